// Bytes per session and refreshes per second, for each store, beside the store's own limit.
//
//   npx tsx bench/sessions.ts [sessions=1000000] [seconds=5]
//
// Redis and PostgreSQL are private servers in temporary directories; a store whose server is not installed is left out.
import { randomBytes } from 'node:crypto'
import { Redis } from 'ioredis'
import pg from 'pg'
import type { Identity } from '../src/identity.js'
import type { Session, SessionStore } from '../src/sessions/store.js'
import { storeIdentity } from '../src/sessions/session.js'
import { resolveSessionOptions } from '../src/sessions/session-options.js'
import { createSessions } from '../src/sessions/sessions.js'
import { memoryStore, postgresStore, redisStore } from '../src/sessions/stores/index.js'
import { postgresMissing, redisMissing, startPostgres, startRedis } from '../test/sessions/servers.js'

const sessionCount = Number(process.argv[2] ?? 1_000_000)
const seconds = Number(process.argv[3] ?? 5)
const callers = 64

const identity: Identity = {
  provider: 'google',
  subject: '110169484474386276334',
  clientId: '407408718192.apps.googleusercontent.com',
  email: 'somebody@example.com',
  emailVerified: true,
  name: 'Some Body',
  picture: null,
  locale: 'en',
  claims: {
    sub: '110169484474386276334',
    email: 'somebody@example.com',
    email_verified: true,
    name: 'Some Body',
    locale: 'en'
  }
}

interface Subject {
  readonly name: string
  readonly store: SessionStore
  /** Bytes that the store holds. */
  size (): Promise<number>
  /** One write of the store's own kind: what a refresh cannot be faster than. */
  readonly limitName: string
  limit (): Promise<unknown>
  close (): Promise<void>
}

async function inMemory (): Promise<Subject> {
  const counters = new Map<string, number>()
  const size = async (): Promise<number> => {
    globalThis.gc?.()
    return process.memoryUsage().heapUsed
  }
  const limit = async (): Promise<void> => { counters.set('n', (counters.get('n') ?? 0) + 1) }
  return {
    name: 'memory',
    store: memoryStore({ limit: sessionCount * 2 }),
    size,
    limitName: 'Map.set',
    limit,
    close: async () => {}
  }
}

async function inRedis (): Promise<Subject> {
  const server = await startRedis('no')
  const client = new Redis({ port: server.port, host: '127.0.0.1' })
  const size = async (): Promise<number> => Number(/used_memory:(\d+)/.exec(await client.info('memory'))?.[1])
  const close = async (): Promise<void> => {
    client.disconnect()
    await server.remove()
  }
  return { name: 'Redis', store: redisStore({ client }), size, limitName: 'INCR', limit: () => client.incr('n'), close }
}

async function inPostgres (): Promise<Subject> {
  const server = await startPostgres()
  const pool = new pg.Pool({ port: server.port, host: '127.0.0.1', user: 'postgres', database: 'postgres', max: 16 })
  const store = postgresStore({ pool })
  await store.read('tables are made')
  await pool.query('CREATE TABLE counters (id int PRIMARY KEY, n int NOT NULL) WITH (fillfactor = 50)')
  await pool.query('INSERT INTO counters SELECT id, 0 FROM generate_series(0, 999) AS id')
  const size = async (): Promise<number> => {
    await pool.query('VACUUM token_exchange_sessions')
    const { rows } = await pool.query<{ size: string }>(
      "SELECT pg_total_relation_size('token_exchange_sessions') AS size"
    )
    return Number(rows[0]?.size)
  }
  let id = 0
  const limit = (): Promise<unknown> => pool.query('UPDATE counters SET n = n + 1 WHERE id = $1', [id++ % 1000])
  const close = async (): Promise<void> => {
    await pool.end()
    await server.remove()
  }
  return { name: 'PostgreSQL', store, size, limitName: 'UPDATE', limit, close }
}

async function bytesPerSession ({ store, size }: Subject): Promise<number> {
  const before = await size()
  const text = storeIdentity(identity)
  const now = Date.now()
  let made = 0
  await inParallel(async () => {
    while (made < sessionCount) await store.create(rowOf(made++, text, now))
  })
  return (await size() - before) / sessionCount
}

function rowOf (number: number, text: string, now: number): Session {
  const counted = { counter: 0, arrivedAt: null, ended: false, version: 0 }
  const timed = { createdAt: now, lastUsedAt: now, expiresAt: now + 30 * 86_400_000 }
  // A copy of its own: the rows of a real server do not share one text.
  const own = Buffer.from(text).toString()
  return {
    id: randomBytes(16).toString('base64url'),
    issuer: 'https://api.example.com',
    userId: `google:${number}`,
    identity: own,
    secretId: 'Yl3kq-9A',
    ...counted,
    ...timed
  }
}

async function refreshesPerSecond ({ store }: Subject): Promise<number> {
  const options = resolveSessionOptions({ store, secrets: [randomBytes(32).toString('base64url')] }, [])
  const sessions = createSessions(options, {
    issuer: 'https://api.example.com',
    accessTokenLifetime: 3600,
    clockTolerance: 5,
    report: () => {}
  })
  const perSecond = await rate(async () => {
    let { refreshToken } = await sessions.begin(identity, 'google:1', sessions.mark())
    return async () => {
      const claim = await sessions.present(refreshToken)
      refreshToken = (await claim.advance('google:1')).refreshToken
    }
  })
  await sessions.close()
  return perSecond
}

async function rate (open: () => Promise<() => Promise<unknown>>): Promise<number> {
  const works = await Promise.all(Array.from({ length: callers }, open))
  const started = performance.now()
  const end = started + seconds * 1000
  let done = 0
  await Promise.all(works.map(async work => {
    for (; performance.now() < end; done++) await work()
  }))
  return done / (performance.now() - started) * 1000
}

async function inParallel (work: () => Promise<void>): Promise<void> {
  await Promise.all(Array.from({ length: callers }, work))
}

async function measure (open: () => Promise<Subject>): Promise<Record<string, string | number>> {
  const subject = await open()
  const bytes = await bytesPerSession(subject)
  const refreshes = await refreshesPerSecond(subject)
  const limit = await rate(async () => subject.limit)
  await subject.close()
  return {
    store: subject.name,
    sessions: sessionCount,
    'bytes each': Math.round(bytes),
    'refreshes/s': Math.round(refreshes),
    'own limit': `${Math.round(limit)} ${subject.limitName}/s`,
    ratio: (refreshes / limit).toFixed(2)
  }
}

const subjects = [
  inMemory,
  ...(redisMissing === false ? [inRedis] : []),
  ...(postgresMissing === false ? [inPostgres] : [])
]
const table: Record<string, string | number>[] = []
for (const open of subjects) {
  table.push(await measure(open))
  console.error(table.at(-1))
}
console.table(table)
