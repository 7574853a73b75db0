import { setTimeout as pause } from 'node:timers/promises'
import { Redis } from 'ioredis'
import pg from 'pg'
import t from 'tap'
import { postgresMissing, redisMissing, startPostgres, startRedis } from '../sessions/servers.js'
import { curlMissing } from './shell.js'
import { walk } from './walk.js'

t.test('npm start -- --curl prints commands, and each answers as it says', { skip: curlMissing }, async t => {
  await walk(t, { in: 'memory' })
})

t.test('on PostgreSQL the same commands answer the same', { skip: curlMissing || postgresMissing }, async t => {
  const postgres = await startPostgres()
  t.teardown(() => postgres.remove())
  const url = `postgres://postgres@127.0.0.1:${postgres.port}/postgres`
  const client = await connect(url)
  t.teardown(() => client.end())
  await walk(t, { in: 'PostgreSQL', env: { DATABASE_URL: url } })

  const users = "SELECT subject, level, blocked FROM users WHERE provider = 'facebook' ORDER BY subject"
  const { rows } = await client.query(users)
  t.strictSame(
    rows,
    [
      { subject: '10158000000000007', level: 'admin', blocked: false },
      { subject: '10158000000000008', level: 'authenticated', blocked: false },
      { subject: '10158000000000009', level: 'authenticated', blocked: true }
    ],
    'users are kept in it'
  )
  const sessions = await client.query('SELECT count(*)::int AS ended FROM token_exchange_sessions WHERE ended')
  t.strictSame(sessions.rows, [{ ended: 1 }], 'and sessions, of which one has ended')
})

t.test('with Redis, sessions are kept in it', { skip: curlMissing || redisMissing }, async t => {
  const redis = await startRedis('no')
  t.teardown(() => redis.remove())
  const client = new Redis(redis.port, '127.0.0.1')
  t.teardown(() => client.disconnect())
  await walk(t, { in: 'Redis', env: { REDIS_URL: `redis://127.0.0.1:${redis.port}` } })
  t.equal(await client.xlen('token-exchange:{revocations}'), 1, 'the logout')
})

// A server that has just been made accepts connections before it accepts logins.
async function connect (url: string): Promise<pg.Client> {
  for (let attempt = 0; ; attempt++) {
    const client = new pg.Client(url)
    try {
      await client.connect()
      return client
    } catch (error) {
      if (attempt === 100) throw error
      await pause(50)
    }
  }
}
