import { PGlite } from '@electric-sql/pglite'
import { Cluster, Redis } from 'ioredis'
import pg from 'pg'
import { memoryStore } from '../../src/sessions/stores/memory.js'
import { postgresStore } from '../../src/sessions/stores/postgres.js'
import { redisStore } from '../../src/sessions/stores/redis.js'
import type { SessionStore } from '../../src/sessions/store.js'
import { postgresMissing, redisMissing, startPostgres, startRedis, type PrivateServer } from './servers.js'

/** One more client of a store, as another server of the application would have. */
export interface StoreClient {
  readonly store: SessionStore
  close (): Promise<void>
}

/** A store of its own, empty, with its server where it has one. */
export interface PrivateStore {
  readonly server: PrivateServer | null
  /** For another process: `redis:port` or `postgres:port`; of a cluster, `cluster:port,port`. */
  readonly address: string | null
  connect (): StoreClient
  remove (): Promise<void>
}

export interface StoreKind {
  readonly name: string
  /** False, or why it cannot be had here. */
  readonly missing: false | string
  start (): Promise<PrivateStore>
}

const memory: StoreKind = {
  name: 'memory',
  missing: false,
  async start () {
    const store = memoryStore()
    return { server: null, address: null, connect: () => ({ store, close: async () => {} }), remove: async () => {} }
  }
}

const pglite: StoreKind = {
  name: 'PGlite',
  missing: false,
  async start () {
    const pool = new PGlite()
    return {
      server: null,
      address: null,
      connect: () => ({ store: postgresStore({ pool }), close: async () => {} }),
      remove: () => pool.close()
    }
  }
}

export const redis: StoreKind = {
  name: 'Redis',
  missing: redisMissing,
  async start () {
    const server = await startRedis()
    return {
      server,
      address: `redis:${server.port}`,
      connect: () => connectTo(`redis:${server.port}`),
      remove: () => server.remove()
    }
  }
}

export const postgres: StoreKind = {
  name: 'PostgreSQL',
  missing: postgresMissing,
  async start () {
    const server = await startPostgres()
    return {
      server,
      address: `postgres:${server.port}`,
      connect: () => connectTo(`postgres:${server.port}`),
      remove: () => server.remove()
    }
  }
}

export const storeKinds = [memory, pglite, redis, postgres]
export const realServers = [redis, postgres]

/** A client of a server that somebody else started. */
export function connectTo (address: string): StoreClient {
  const [kind, port = ''] = address.split(':')
  if (kind === 'cluster') return connectToCluster(port.split(',').map(Number))
  return kind === 'redis' ? connectToRedis(Number(port)) : connectToPostgres(Number(port))
}

function connectToRedis (port: number): StoreClient {
  const client = new Redis({ port, host: '127.0.0.1', retryStrategy: () => 100 })
  client.on('error', () => {})
  return { store: redisStore({ client }), close: async () => client.disconnect() }
}

function connectToCluster (ports: number[]): StoreClient {
  const nodes = ports.map(port => ({ port, host: '127.0.0.1' }))
  const client = new Cluster(nodes, { clusterRetryStrategy: () => 100 })
  client.on('error', () => {})
  return { store: redisStore({ client }), close: async () => client.disconnect() }
}

function connectToPostgres (port: number): StoreClient {
  const pool = new pg.Pool({ port, host: '127.0.0.1', user: 'postgres', database: 'postgres', max: 10 })
  pool.on('error', () => {})
  return { store: postgresStore({ pool }), close: () => pool.end() }
}
