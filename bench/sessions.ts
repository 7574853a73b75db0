import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { Redis } from 'ioredis'
import pg from 'pg'
import type { Identity } from '../src/identity.js'
import { storeIdentity } from '../src/sessions/session.js'
import type { Session, SessionStore } from '../src/sessions/store.js'
import { memoryStore, postgresStore, redisStore } from '../src/sessions/stores/index.js'
import { postgresMissing, redisMissing, startPostgres, startRedis } from '../test/sessions/servers.js'
import { compare, type Subject, type Variant } from './measure.js'
import { bundleReleases, firstSessions, sessionsNow, type Chains } from './releases.js'

// What a refresh costs the server: on the memory store beside the first release, on Redis and PostgreSQL beside one
// write of theirs; and the bytes that each holds for a session. Servers that are not installed are left out.

const sessionCount = Number(process.env.SESSIONS ?? 100_000)
/** Refreshes in one turn of the loop, as a server has them whose connections are many. */
const callers = 20

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

// Releases are bundled and servers started here, once; the processes under test find them.
const isParent = process.argv[2] === undefined
const folder = process.env.BENCH_FOLDER ??= mkdtempSync(join(tmpdir(), 'bench-sessions-'))
const removals: Array<() => unknown> = [() => { rmSync(folder, { recursive: true, force: true }) }]

async function start (): Promise<void> {
  await bundleReleases(folder)
  for (const [name, missing, server] of [
    ['BENCH_REDIS', redisMissing, () => startRedis('no')] as const,
    ['BENCH_POSTGRES', postgresMissing, startPostgres] as const
  ]) {
    if (missing !== false) continue
    const { port, remove } = await server()
    process.env[name] = String(port)
    removals.push(remove)
  }
}

const redis = (): Redis => new Redis({ port: Number(process.env.BENCH_REDIS), host: '127.0.0.1' })
const postgres = (): pg.Pool =>
  new pg.Pool({ port: Number(process.env.BENCH_POSTGRES), host: '127.0.0.1', user: 'postgres', max: callers })

function inTurns (name: string, base: string, prepare: () => Promise<(caller: number) => Promise<unknown>>): Variant {
  return {
    name,
    base,
    count: 30_000,
    load: null,
    async prepare (): Promise<Subject> {
      const step = await prepare()
      const steps: Array<Promise<unknown>> = []
      return {
        async call (index) {
          if (steps.push(step(index % callers)) < callers) return
          await Promise.all(steps.splice(0))
          await nextTurn()
        }
      }
    }
  }
}

function refreshes (name: string, base: string, open: () => Promise<Chains>): Variant {
  return inTurns(name, base, async () => {
    const { begin, refresh } = await open()
    const tokens = await Promise.all(Array.from({ length: callers }, begin))
    return async caller => { tokens[caller] = await refresh(tokens[caller] ?? '') }
  })
}

function onMemory (): Variant[] {
  const first = 'memory, the first release'
  return [
    refreshes(first, first, async () => await firstSessions(folder, stores => stores.memoryStore(), identity)),
    refreshes('memory', first, async () => await sessionsNow(folder, stores => stores.memoryStore(), identity))
  ]
}

function onRedis (): Variant[] {
  return [
    inTurns('INCR', 'INCR', async () => {
      const client = redis()
      return async caller => await client.incr(`n${caller}`)
    }),
    refreshes('Redis', 'INCR', async () =>
      await sessionsNow(folder, stores => stores.redisStore({ client: redis() }), identity))
  ]
}

function onPostgres (): Variant[] {
  return [
    inTurns('UPDATE', 'UPDATE', async () => {
      const pool = postgres()
      await pool.query('CREATE TABLE IF NOT EXISTS counters (id int PRIMARY KEY, n int) WITH (fillfactor = 50)')
      await pool.query('INSERT INTO counters SELECT id, 0 FROM generate_series(0, 99) AS id ON CONFLICT DO NOTHING')
      return async caller => await pool.query('UPDATE counters SET n = n + 1 WHERE id = $1', [caller])
    }),
    refreshes('PostgreSQL', 'UPDATE', async () =>
      await sessionsNow(folder, stores => stores.postgresStore({ pool: postgres() }), identity))
  ]
}

async function printBytes (name: string, store: SessionStore, size: () => Promise<number>): Promise<void> {
  await store.read('tables are made')
  const before = await size()
  const text = storeIdentity(identity)
  const now = Date.now()
  for (let made = 0; made < sessionCount; made += callers) {
    await Promise.all(Array.from({ length: callers }, (_unused, index) => store.create(rowOf(made + index, text, now))))
  }
  const bytes = Math.round((await size() - before) / sessionCount)
  console.log(`${name}: ${bytes} bytes for each of ${sessionCount} sessions`)
}

async function printAllBytes (): Promise<void> {
  await printBytes('memory', memoryStore({ limit: sessionCount * 2 }), async () => {
    globalThis.gc?.()
    return process.memoryUsage().heapUsed
  })
  if (process.env.BENCH_REDIS !== undefined) {
    const client = redis()
    const size = async (): Promise<number> => Number(/used_memory:(\d+)/.exec(await client.info('memory'))?.[1])
    await printBytes('Redis', redisStore({ client }), size)
    client.disconnect()
  }
  if (process.env.BENCH_POSTGRES !== undefined) {
    const pool = postgres()
    await printBytes('PostgreSQL', postgresStore({ pool }), async () => {
      await pool.query('VACUUM token_exchange_sessions')
      const size = "pg_total_relation_size('token_exchange_sessions')"
      const { rows } = await pool.query<{ size: string }>(`SELECT ${size} AS size`)
      return Number(rows[0]?.size)
    })
    await pool.end()
  }
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
    identityKey: JSON.stringify(['google', String(number)]),
    providerSession: null,
    secretId: 'Yl3kq-9A',
    ...counted,
    ...timed
  }
}

if (isParent) {
  await start()
  await printAllBytes()
}
await compare(import.meta.url, [
  ...onMemory(),
  ...(process.env.BENCH_REDIS === undefined ? [] : onRedis()),
  ...(process.env.BENCH_POSTGRES === undefined ? [] : onPostgres())
])
for (const remove of removals) await remove()
process.exit()
