import { Cluster } from 'ioredis'
import openPostgresJs from 'postgres'
import { createClient, createCluster } from 'redis'
import { postgresStore } from '../../src/sessions/stores/postgres.js'
import { redisStore } from '../../src/sessions/stores/redis.js'
import { storeKinds, type StoreClient } from './private-stores.js'
import { postgresMissing, redisMissing, startPostgres, startRedis, startRedisCluster } from './servers.js'

/** A client library, and how to come to a store through it: on a server of its own, which goes when it is closed. */
export interface Library {
  readonly name: string
  /** False, or why it cannot be had here. */
  readonly missing: false | string
  open (): Promise<StoreClient>
}

const usual: Library[] = storeKinds.map(({ name, missing, start }) => ({
  name,
  missing,
  async open () {
    const started = await start()
    const { store, close } = started.connect()
    return { store, close: async () => { await close(); await started.remove() } }
  }
}))

const nodeRedis: Library = {
  name: 'Redis, node-redis',
  missing: redisMissing,
  async open () {
    const server = await startRedis()
    const client = createClient({ socket: { port: server.port, host: '127.0.0.1' } })
    client.on('error', () => {})
    await client.connect()
    return { store: redisStore({ client }), close: async () => { client.destroy(); await server.remove() } }
  }
}

/** Three masters: they refuse keys that are not of their slots, and scripts with keys of several slots. */
const redisCluster: Library = {
  name: 'Redis Cluster, ioredis',
  missing: redisMissing,
  async open () {
    const servers = await startRedisCluster()
    const client = new Cluster(servers.map(({ port }) => ({ port, host: '127.0.0.1' })))
    client.on('error', () => {})
    const close = async () => {
      client.disconnect()
      for (const server of servers) await server.remove()
    }
    return { store: redisStore({ client }), close }
  }
}

const nodeRedisCluster: Library = {
  name: 'Redis Cluster, node-redis',
  missing: redisMissing,
  async open () {
    const servers = await startRedisCluster()
    const client = createCluster({ rootNodes: servers.map(({ port }) => ({ socket: { port, host: '127.0.0.1' } })) })
    client.on('error', () => {})
    await client.connect()
    const close = async () => {
      client.destroy()
      for (const server of servers) await server.remove()
    }
    return { store: redisStore({ client }), close }
  }
}

const postgresJs: Library = {
  name: 'PostgreSQL, postgres.js',
  missing: postgresMissing,
  async open () {
    const server = await startPostgres()
    const sql = openPostgresJs({ port: server.port, host: '127.0.0.1', user: 'postgres', database: 'postgres' })
    const store = postgresStore({ pool: { query: (text, values) => sql.unsafe(text, values) } })
    return { store, close: async () => { await sql.end(); await server.remove() } }
  }
}

export const libraries = [...usual, nodeRedis, redisCluster, nodeRedisCluster, postgresJs]
