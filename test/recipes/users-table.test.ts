import { PGlite } from '@electric-sql/pglite'
import Fastify, { type FastifyInstance } from 'fastify'
import pg from 'pg'
import t from 'tap'
import { registerUsers, type Database } from '../../example/recipes/users-table.js'
import { apple, facebook, google } from '../../src/providers/index.js'
import { memoryStore } from '../../src/sessions/stores/index.js'
import { startIdentityServer } from '../../src/testing/index.js'
import { codeIn, guardsOnly, logStream, masterKey, type Closing } from '../server.js'
import { postgresMissing, startPostgres } from '../sessions/servers.js'

const idp = await startIdentityServer()
t.teardown(() => idp.close())

const gmail = { email: 'Ada@gmail.com', email_verified: true }
const admins = '/administrators'

interface Started { app: FastifyInstance, log: () => string }

async function start (t: Closing, database: Database, first?: string): Promise<Started> {
  const { stream, text } = logStream()
  const app = Fastify({ logger: { level: 'warn', stream } })
  t.teardown(() => app.close())
  const options = {
    ...guardsOnly,
    providers: {
      google: google(idp.google.options), apple: apple(idp.apple.options), facebook: facebook(idp.facebook.options)
    },
    sessions: { store: memoryStore() }
  }
  await registerUsers(app, options, database, first)
  return { app, log: text }
}

interface Outcome { status: number, code?: string, id: string, level: string, token: string, refresh: string }

async function post (app: FastifyInstance, url: string, payload: object, token?: string): Promise<Outcome> {
  const answer = await app.inject({ method: 'POST', url, payload, headers: token === undefined ? {} : bearer(token) })
  const { code, user, access_token: access, refresh_token: refresh } = answer.json()
  return { status: answer.statusCode, code, id: user?.userId, level: user?.level, token: access, refresh }
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
const byGoogle = async (app: FastifyInstance, claims: object, token?: string) =>
  await post(app, '/login/google', { id_token: await idp.google.idToken({ email: undefined, ...claims }) }, token)
const byApple = async (app: FastifyInstance, claims: object, token?: string) =>
  await post(app, '/login/apple', { id_token: await idp.apple.idToken({ email: undefined, ...claims }) }, token)
const byFacebook = async (app: FastifyInstance, person: { id: string, email?: string }, token?: string) =>
  await post(app, '/login/facebook', { access_token: idp.facebook.accessToken(person) }, token)
const renew = async (app: FastifyInstance, token: string) =>
  await post(app, '/token', { grant_type: 'refresh_token', refresh_token: token })

async function call (
  app: FastifyInstance, method: 'GET' | 'PUT' | 'DELETE', url: string, headers: Record<string, string>
): Promise<[status: number, code: string | undefined]> {
  const answer = await app.inject({ method, url, headers })
  return [answer.statusCode, codeIn(answer.body)]
}

async function count (database: Database, table: 'users' | 'identities'): Promise<number> {
  return (await database.query(`SELECT FROM ${table}`)).rows.length
}

const openPglite = async (t: Closing): Promise<Database> => {
  const database = new PGlite()
  t.teardown(() => database.close())
  return database
}

// One for all tests here: tables are dropped before each of them.
const postgres = postgresMissing === false ? await startPostgres() : null
const pool = new pg.Pool({ port: postgres?.port ?? 0, host: '127.0.0.1', user: 'postgres', max: 20 })
pool.on('error', () => {})
t.teardown(async () => {
  await pool.end()
  await postgres?.remove()
})
const inPostgres: Database = { query: (text, values) => pool.query(text, values) }

/** Does both at the same moment: what they need is locked until both wait for it. */
async function atOnce<Result> (lock: string, both: () => Array<Promise<Result>>): Promise<Result[]> {
  const client = await pool.connect()
  await client.query('BEGIN')
  await client.query(lock)
  const results = both()
  const waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
  while ((await pool.query(waiting)).rowCount !== results.length) continue
  await client.query('ROLLBACK')
  client.release()
  return await Promise.all(results)
}

for (const [name, open, skip] of [
  ['PGlite', openPglite, false],
  ['PostgreSQL', async () => inPostgres, postgresMissing]
] as const) {
  t.test(name, { skip }, async t => {
    const database = await open(t)
    t.beforeEach(async () => { await database.query('DROP TABLE IF EXISTS identities, users') })

    t.test('first logins at once make one user, by one provider or by two', async t => {
      const { app } = await start(t, database)
      const same = await Promise.all(Array.from({ length: 8 }, () => byFacebook(app, { id: '7' })))
      t.strictSame(same.map(({ status }) => status), Array(8).fill(200))
      t.equal(new Set(same.map(({ id }) => id)).size, 1)
      t.equal(await count(database, 'users'), 1)

      const two = await Promise.all(Array.from({ length: 8 }, (_, index) =>
        (index % 2 === 0 ? byGoogle : byApple)(app, gmail)))
      t.strictSame(two.map(({ status }) => status), Array(8).fill(200))
      t.equal(new Set(two.map(({ id }) => id)).size, 1)
      t.strictSame([await count(database, 'users'), await count(database, 'identities')], [2, 3])
    })

    t.test('a second identity is linked with the token of the account, and opens it from then on', async t => {
      const { app } = await start(t, database)
      const mine = await byGoogle(app, gmail)
      const facebookOfAda = { id: '8', email: 'ada@gmail.com' }
      t.match(await byFacebook(app, facebookOfAda), { status: 409, code: 'AUTH_ERR_LINK_REQUIRED' })
      t.equal((await byFacebook(app, facebookOfAda, mine.token)).id, mine.id)
      t.equal((await byFacebook(app, facebookOfAda)).id, mine.id)
      t.equal(await count(database, 'users'), 1)

      const other = await byFacebook(app, { id: '9' })
      t.not(other.id, mine.id)
      t.match(await byFacebook(app, { id: '9' }, mine.token), { status: 403, code: 'AUTH_ERR_ACCESS_DENIED' })
      t.equal((await byFacebook(app, { id: '9' })).id, other.id, 'nobody takes over an identity')
    })

    t.test('a blocked user and an unlinked identity end at the next refresh', async t => {
      const { app } = await start(t, database)
      const { id, refresh } = await byFacebook(app, { id: '7' })
      const renewed = await renew(app, refresh)
      t.equal(renewed.id, id)
      await database.query("DELETE FROM identities WHERE subject = '7'")
      t.equal((await renew(app, renewed.refresh)).code, 'AUTH_ERR_ACCESS_DENIED')

      const other = await byFacebook(app, { id: '8' })
      await database.query('UPDATE users SET blocked = true WHERE id = $1', [other.id])
      t.equal((await renew(app, other.refresh)).code, 'AUTH_ERR_ACCESS_DENIED')
      t.match(await byFacebook(app, { id: '8' }), { status: 403, code: 'AUTH_ERR_ACCESS_DENIED' })
    })

    t.test('nobody becomes administrator by coming first', async t => {
      const { app, log } = await start(t, database)
      t.match(log(), /set FIRST_ADMINISTRATOR/)
      t.equal((await byFacebook(app, { id: '7' })).level, 'authenticated')
    })

    t.test('whom the operator names is the first administrator, before the first login or after', async t => {
      const before = await start(t, database, 'facebook:7')
      t.match(before.log(), /now it is facebook:7/)
      t.equal((await byFacebook(before.app, { id: '7' })).level, 'admin')
      t.equal((await byFacebook(before.app, { id: '8' })).level, 'authenticated')

      const later = await start(t, database, 'facebook:8')
      t.equal(later.log(), '')
      t.equal((await byFacebook(later.app, { id: '8' })).level, 'authenticated', 'there is one already')

      await database.query('UPDATE users SET is_admin = false')
      const last = await start(t, database, 'facebook:8')
      t.equal((await byFacebook(last.app, { id: '8' })).level, 'admin')
    })

    t.test('administrators make and dismiss others, which counts at once', async t => {
      const { app } = await start(t, database, 'facebook:7')
      const [ada, bob] = [await byFacebook(app, { id: '7' }), await byFacebook(app, { id: '8' })]
      const [ofAda, ofBob] = [`${admins}/${ada.id}`, `${admins}/${bob.id}`]
      t.strictSame(await call(app, 'PUT', ofBob, bearer(bob.token)), [403, 'AUTH_ERR_LEVEL_INSUFFICIENT'])
      t.strictSame(await call(app, 'PUT', ofBob, {}), [401, 'AUTH_ERR_CREDENTIAL_MISSING'])
      t.strictSame(await call(app, 'DELETE', ofAda, bearer(ada.token)), [409, undefined], 'one has to stay')
      t.equal((await call(app, 'PUT', `${admins}/7`, bearer(ada.token)))[0], 400)
      t.equal((await call(app, 'PUT', ofAda.replace(/.{4}$/, '0000'), bearer(ada.token)))[0], 404)

      t.equal((await call(app, 'PUT', ofBob, bearer(ada.token)))[0], 204)
      const renewed = await renew(app, bob.refresh)
      t.equal(renewed.level, 'admin')
      t.equal((await call(app, 'DELETE', ofAda, bearer(renewed.token)))[0], 204)
      t.strictSame(await call(app, 'GET', '/me', bearer(ada.token)), [401, 'AUTH_ERR_TOKEN_REVOKED'])
      t.equal((await renew(app, ada.refresh)).code, 'AUTH_ERR_SESSION_REVOKED')
      t.equal((await byFacebook(app, { id: '7' })).level, 'authenticated')
      t.equal((await call(app, 'PUT', ofAda, { 'x-zumo-master': masterKey }))[0], 204, 'an operator may, too')
    })
  })
}

t.test('a first administrator that cannot be is said at start', async t => {
  await t.rejects(start(t, { query: async () => ({ rows: [] }) }, '110169484474386276334'), /provider:subject/)
})

t.test('at the same moment', { skip: postgresMissing }, async t => {
  t.beforeEach(async () => { await pool.query('DROP TABLE IF EXISTS identities, users') })

  t.test('one person by two providers: one user', async t => {
    const { app } = await start(t, inPostgres)
    const lock = "INSERT INTO users (id, email) VALUES (gen_random_uuid(), 'ada@gmail.com')"
    const [one, other] = await atOnce(lock, () => [byGoogle(app, gmail), byApple(app, gmail)])
    t.match([one?.status, other?.status], [200, 200])
    t.equal(one?.id, other?.id)
    t.strictSame([await count(inPostgres, 'users'), await count(inPostgres, 'identities')], [1, 2])
  })

  t.test('two administrators dismiss each other: one stays', async t => {
    const { app } = await start(t, inPostgres, 'facebook:7')
    const [ada, bob] = [await byFacebook(app, { id: '7' }), await byFacebook(app, { id: '8' })]
    await call(app, 'PUT', `${admins}/${bob.id}`, bearer(ada.token))
    const master = { 'x-zumo-master': masterKey }
    const answers = await atOnce('SELECT FROM users FOR UPDATE', () =>
      [ada, bob].map(({ id }) => call(app, 'DELETE', `${admins}/${id}`, master)))
    t.strictSame(answers.map(([status]) => status).toSorted(), [204, 409])
    t.equal((await pool.query('SELECT FROM users WHERE is_admin')).rowCount, 1)
  })
})
