import { Redis } from 'ioredis'
import pg from 'pg'
import t, { type Test } from 'tap'
import { createClient } from 'redis'
import { errors } from '../../src/errors.js'
import { postgresStore, redisStore, type SessionStore } from '../../src/sessions/stores/index.js'
import { startProxy } from './dumb-proxy.js'
import { postgresMissing, redisMissing, startPostgres, startRedis, type PrivateServer } from './servers.js'
import { logIn, refresh, sessionsOn, welcome } from './two-servers.js'

const waiting = Promise.resolve('waiting')
const unavailable = errors.StoreUnavailableError.code

interface Row {
  readonly missing: false | string
  readonly start: () => Promise<PrivateServer>
  /** A store with the settings that the README asks for. */
  readonly cured: (t: Test, port: number) => Promise<SessionStore>
  /** One of a client as it comes. */
  readonly usual: (t: Test, port: number) => Promise<SessionStore>
}

async function onIoredis (t: Test, port: number, settings: object): Promise<SessionStore> {
  const client = new Redis({ port, host: '127.0.0.1', ...settings })
  client.on('error', () => {})
  t.teardown(() => client.disconnect())
  await client.ping()
  return redisStore({ client })
}

async function onNodeRedis (t: Test, port: number, settings: object): Promise<SessionStore> {
  const client = createClient({ socket: { port, host: '127.0.0.1', ...settings } })
  client.on('error', () => {})
  await client.connect()
  t.teardown(() => client.destroy())
  return redisStore({ client })
}

async function onPg (t: Test, port: number, settings: object): Promise<SessionStore> {
  const pool = new pg.Pool({ port, host: '127.0.0.1', user: 'postgres', database: 'postgres', max: 2, ...settings })
  pool.on('error', () => {})
  t.teardown(() => { pool.end().catch(() => {}) })
  const store = postgresStore({ pool })
  await store.now?.()
  // Both connections are there, and are dropped.
  await Promise.all([store.now?.(), store.now?.()])
  return { ...store, subscribe: () => () => {} }
}

const rows: Record<string, Row> = {
  'ioredis with socketTimeout': {
    missing: redisMissing,
    start: () => startRedis('no'),
    cured: (t, port) => onIoredis(t, port, { socketTimeout: 1000 }),
    usual: (t, port) => onIoredis(t, port, {})
  },
  'node-redis with socketTimeout and reconnectStrategy': {
    missing: redisMissing,
    start: () => startRedis('no'),
    cured: (t, port) => onNodeRedis(t, port, { socketTimeout: 1000, reconnectStrategy: 100 }),
    usual: (t, port) => onNodeRedis(t, port, {})
  },
  'pg with query_timeout and connectionTimeoutMillis': {
    missing: postgresMissing,
    start: startPostgres,
    cured: (t, port) => onPg(t, port, { query_timeout: 1000, connectionTimeoutMillis: 1000 }),
    usual: (t, port) => onPg(t, port, {})
  }
}

for (const [name, { missing, start, cured, usual }] of Object.entries(rows)) {
  t.test(`a network that drops connections without a word: ${name} finds its way back`, { skip: missing }, async t => {
    const server = await start()
    t.teardown(() => server.remove())
    const proxy = await startProxy(server.port)
    t.teardown(() => proxy.close())
    const sessions = sessionsOn(await cured(t, proxy.port))
    await sessions.open()
    t.teardown(() => sessions.close())
    const login = await logIn(sessions)
    const other = await usual(t, proxy.port)

    t.ok(proxy.drop() >= 2, 'those of both clients')
    const back = Promise.allSettled([other.read('x'), other.read('x')])
    const next = await eventually(async () => await refresh(sessions, login.refreshToken, welcome))
    await eventually(async () => await refresh(sessions, next.refreshToken, welcome))
    t.equal(await Promise.race([back, waiting]), 'waiting', 'a client without these settings does not')
  })
}

/** A client that comes again until the store is back; the test's time limit ends it. */
async function eventually<T> (work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof Error && Reflect.get(error, 'code') === unavailable)) throw error
    }
    await new Promise(resolve => setImmediate(resolve))
  }
}
