import { memoryStore, postgresStore, redisStore, type SessionStore } from 'fastify-token-exchange/stores'
import { Redis } from 'ioredis'
import type { Database } from './database.js'

/** Where sessions live, and the connection to it. */
export interface SessionStorage {
  /** As the programs of the example print it. */
  readonly name: string
  readonly store: SessionStore
  close (): Promise<void>
}

/** Redis where there is a URL, else tables of the database where there is one, else the memory of this process. */
export function openSessionStore (redisUrl: string | undefined, database: Database | undefined): SessionStorage {
  if (redisUrl !== undefined) return inRedis(redisUrl)
  const close = async (): Promise<void> => {}
  if (database === undefined) return { name: 'memory', store: memoryStore(), close }
  return { name: 'PostgreSQL', store: postgresStore({ pool: database }), close }
}

function inRedis (url: string): SessionStorage {
  // A connection that the network drops without a word is given up after this, and taken anew.
  const client = new Redis(url, { socketTimeout: 5_000 })
  // It connects again by itself, and without a listener each attempt would be printed.
  client.on('error', () => {})
  return { name: 'Redis', store: redisStore({ client }), close: async () => client.disconnect() }
}
