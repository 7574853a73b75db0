import pg from 'pg'
import t, { type Test } from 'tap'
import { errors } from '../../src/errors.js'
import { postgresSchema, postgresStore, type SessionStore } from '../../src/sessions/stores/index.js'
import { firstStore, firstTables } from './first-postgres-store.js'
import { newRevocation, newSession } from './rows.js'
import { postgresMissing, startPostgres } from './servers.js'

const unavailable = { code: errors.StoreUnavailableError.code, statusCode: 503 }

t.test('PostgreSQL', { skip: postgresMissing }, async t => {
  const server = await startPostgres()
  t.teardown(() => server.remove())
  let databases = 0

  function connect (t: Test, database: string, user = 'postgres'): pg.Pool {
    const pool = new pg.Pool({ port: server.port, host: '127.0.0.1', user, database, max: 8 })
    pool.on('error', () => {})
    t.teardown(() => pool.end())
    return pool
  }

  /** An empty database of the test's own, and the pool of its owner. */
  async function newDatabase (t: Test): Promise<{ pool: pg.Pool, database: string }> {
    const database = `test_${++databases}`
    await connect(t, 'postgres').query(`CREATE DATABASE ${database}`)
    return { pool: connect(t, database), database }
  }

  await t.test('servers that start at once make the tables of this version, once', async t => {
    const { pool, database } = await newDatabase(t)
    const stores = Array.from({ length: 6 }, () => postgresStore({ pool: connect(t, database) }))
    t.same(await Promise.all(stores.map(store => store.read('none'))), stores.map(() => null))
    const { rows } = await pool.query('SELECT version FROM token_exchange_sessions_schema ORDER BY version')
    t.same(rows, [{ version: 2 }, { version: 3 }])
  })

  await t.test('on one machine the store is not ahead of a server', async t => {
    const store = postgresStore({ pool: (await newDatabase(t)).pool })
    const times: number[] = []
    for (let count = 0; count < 50; count++) times.push(await store.now?.() ?? Infinity, Date.now())
    t.same(times, times.toSorted((one, other) => one - other))
  })

  await t.test('servers that start at once upgrade the tables of the first version, and lose no row', async t => {
    const { pool, database } = await newDatabase(t)
    for (const statement of firstTables) await pool.query(statement)
    const first = firstStore(pool)
    const all = Array.from({ length: 50 }, () => newSession({ counter: 3, arrivedAt: 5 }))
    for (const session of all) await first.create(session)
    await first.revoke('revoked before')
    const stores = Array.from({ length: 6 }, () => postgresStore({ pool: connect(t, database) }))
    await Promise.all(stores.map(async store => await store.now?.()))
    for (const session of all) t.strictSame({ ...await stores[0]?.read(session.id) }, session)
    const [one] = all
    if (one === undefined) return
    t.equal(await stores[1]?.replace({ ...one, counter: 4, version: 1 }), true)
    t.equal((await stores[2]?.list(one.issuer, one.userId, 100))?.length, 50)
    t.match(await stores[3]?.revocations(null, 0), { revocations: [{ id: 'revoked before' }] })
    t.same(await indexesOf(pool), [
      'token_exchange_sessions_of_identity', 'token_exchange_sessions_of_provider_session',
      'token_exchange_sessions_of_user', 'token_exchange_sessions_pkey'
    ])
  })

  await t.test('a server of the first version goes on beside a newer one', async t => {
    const { pool } = await newDatabase(t)
    for (const statement of firstTables) await pool.query(statement)
    const [first, second] = [firstStore(pool), postgresStore({ pool })]
    await second.now?.()

    const [theirs, ours] = [newSession(), Object.assign(newSession(), { boundTo: 'a key' })]
    await first.create(theirs)
    await second.create(ours)
    t.strictSame({ ...await second.read(theirs.id) }, { ...theirs, identityKey: null })
    t.match(await first.read(ours.id), { userId: ours.userId, identity: ours.identity, ended: false })
    t.equal(await first.replace({ ...ours, counter: 1, version: 1 }), true)
    const kept = { ...ours, counter: 1, version: 1 }
    t.strictSame({ ...await second.read(ours.id) }, kept, 'what it does not know is kept')
    t.equal(await second.replace({ ...theirs, counter: 1, version: 1 }), true)
    t.equal(await first.replace({ ...theirs, counter: 2, version: 2 }), true)
    t.equal((await first.list(ours.issuer, ours.userId)).length, 2)
    await first.end([theirs.id])
    await first.revoke(theirs.id)
    t.match(await second.read(theirs.id), { ended: true, identity: '' })
    t.match(await second.revocations(null, 0), { revocations: [{ id: theirs.id }] })
    await second.end([ours.id], [newRevocation({ id: ours.id })])
    t.match(await first.read(ours.id), { ended: true })
  })

  await t.test('sessions of an earlier version are found by their identity', async t => {
    const { pool } = await newDatabase(t)
    for (const statement of firstTables) await pool.query(statement)
    const [first, second] = [firstStore(pool), postgresStore({ pool })]
    const who = [
      ['google', '10769150350006150715'],
      ['own', 'O\'Brien "\\" \u0001 ключ ✓ \n'],
      ['own', '"'],
      ['own', '\\'],
      ['own', 'x","y'],
      ['own', 'x'.repeat(20_000)]
    ] as const
    const sessionOf = ([provider, subject]: readonly [string, string], claims: object = {}) =>
      newSession({ identity: JSON.stringify({ provider, subject, clientId: null, claims }) })
    const before = who.map(one => sessionOf(one, { text: '\u0000 \ud800', subject: 'another' }))
    const junk = ['', '{', '{"provider":1}', '{"provider":"own","subject":"', '{"subject":"x","provider":"own"}']
    for (const session of [...before, ...junk.map(identity => newSession({ identity }))]) await first.create(session)
    const ended = sessionOf(who[0])
    await first.create(ended)
    await first.end([ended.id])
    await second.now?.()
    const beside = who.map(one => sessionOf(one))
    for (const session of beside) await first.create(session)
    for (const [number, one] of who.entries()) {
      const listed = await second.listByIdentity('https://api.example', JSON.stringify(one))
      t.same(listed.map(({ id }) => id).sort(), [before[number]?.id, beside[number]?.id].sort(), one[1].slice(0, 20))
    }
    t.match(await second.read(before[0]?.id ?? ''), { identityKey: '["google","10769150350006150715"]' })
  })

  await t.test('a role that may not create tables is told what to do, and needs no restart then', async t => {
    for (const before of [[], firstTables]) {
      const { pool, database } = await newDatabase(t)
      for (const statement of before) await pool.query(statement)
      const role = `app_${database}`
      await pool.query(`CREATE ROLE ${role} LOGIN`)
      await pool.query(`GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO ${role}`)
      const store = postgresStore({ pool: connect(t, database, role) })
      const asked = async () => await store.now?.()
      await t.rejects(asked(), { ...unavailable, reason: /run the statements of postgresSchema/ })
      for (const statement of postgresSchema()) await pool.query(statement)
      await t.rejects(asked(), { ...unavailable, reason: /GRANT .*SELECT.* ON .*_schema"/ })
      await pool.query(`GRANT SELECT, INSERT, DELETE ON token_exchange_sessions_revocations TO ${role}`)
      await pool.query(`GRANT SELECT, INSERT, DELETE ON token_exchange_sessions_spent TO ${role}`)
      await pool.query(`GRANT SELECT, INSERT, UPDATE, DELETE ON token_exchange_sessions_kept TO ${role}`)
      await pool.query(`GRANT SELECT ON token_exchange_sessions_schema TO ${role}`)
      await pool.query(`GRANT SELECT, INSERT, UPDATE, DELETE ON token_exchange_sessions TO ${role}`)
      const session = newSession()
      await store.create(session)
      await store.end([session.id], [newRevocation()])
      t.equal(await store.spend([{ key: 'nonce', expiresAt: Date.now() + 60_000 }]), true)
      await store.keep('code', 'kept', Date.now() + 60_000)
      t.equal(await store.take('code'), 'kept')
      await store.sweep(Date.now())
      t.equal((await store.read(session.id))?.ended, true)
    }
  })

  await t.test('what else an operator has to mend has words, too', async t => {
    const { pool, database } = await newDatabase(t)
    const nowhere = postgresStore({ pool, table: 'none.sessions' })
    await t.rejects(nowhere.read('x'), { ...unavailable, reason: /CREATE SCHEMA/ })
    const store = postgresStore({ pool })
    await store.now?.()
    await pool.query('DROP TABLE token_exchange_sessions_spent')
    const spend = async () => await store.spend([{ key: 'nonce', expiresAt: Date.now() + 60_000 }])
    await t.rejects(spend(), { ...unavailable, reason: /tables are missing/ })
    t.equal(await spend(), true, 'they are made again')
    await pool.query(`ALTER DATABASE ${database} SET default_transaction_read_only = on`)
    const standby = postgresStore({ pool: connect(t, database) })
    await t.rejects(standby.create(newSession()), { ...unavailable, reason: /read-only/ })
  })

  await t.test('its tables may be in a schema, and be made by hand from the statements', async t => {
    const { pool } = await newDatabase(t)
    await pool.query('CREATE SCHEMA auth')
    for (const statement of postgresSchema('auth.sessions')) await pool.query(statement)
    for (const statement of postgresSchema('auth.sessions')) await pool.query(statement)
    const store = postgresStore({ pool, table: 'auth.sessions' })
    const session = newSession()
    await store.create(session)
    t.equal((await store.list(session.issuer, session.userId, 1))[0]?.id, session.id)
  })

  await t.test('a refresh changes nothing that has an index, so its row stays in its page (HOT)', async t => {
    const { pool } = await newDatabase(t)
    const store = postgresStore({ pool })
    await store.now?.()
    const { rows } = await pool.query(`SELECT DISTINCT attname FROM pg_index JOIN pg_attribute ON attrelid = indrelid
      AND (attnum = ANY (indkey) OR indpred::text LIKE '%:varattno ' || attnum || ' %')
      WHERE indrelid = 'token_exchange_sessions'::regclass ORDER BY attname`)
    const indexed = ['created_at', 'ended', 'id', 'identity_key', 'provider_session', 'user_id']
    t.same(rows.map(({ attname }) => attname), indexed)
    const { rows: [table] } = await pool.query(
      "SELECT reloptions FROM pg_class WHERE relname = 'token_exchange_sessions'"
    )
    t.match(table.reloptions, ['fillfactor=85'])
  })

  await t.test('the list and the rows are written together, or not at all', async t => {
    const { pool } = await newDatabase(t)
    const store = postgresStore({ pool })
    const session = newSession()
    await store.create(session)
    await pool.query(`CREATE FUNCTION fail() RETURNS trigger AS $$ BEGIN RAISE 'crash'; END $$ LANGUAGE plpgsql;
      CREATE TRIGGER crash BEFORE UPDATE ON token_exchange_sessions FOR EACH ROW EXECUTE FUNCTION fail()`)
    await t.rejects(store.end([session.id], [newRevocation()]))
    t.same((await store.revocations(null, 0)).revocations, [])
    await pool.query('DROP TRIGGER crash ON token_exchange_sessions')
    await store.end([session.id], [newRevocation()])
    t.equal((await store.revocations(null, 0)).revocations.length, 1)
  })

  await t.test('servers that end the same sessions at once end each of them once', async t => {
    const { database } = await newDatabase(t)
    const stores = Array.from({ length: 4 }, () => postgresStore({ pool: connect(t, database) }))
    const ids: string[] = []
    for (let number = 0; number < 100; number++) {
      const session = newSession()
      ids.push(session.id)
      await stores[0]?.create(session)
    }
    const orders = Array.from({ length: 40 }, (_, turn) => turn % 2 === 0 ? ids : ids.toReversed())
    await Promise.all(orders.map(async (order, turn) =>
      await stores[turn % 4]?.end(order, turn % 3 === 0 ? [] : [newRevocation()])))
    t.match(await stores[0]?.read(ids[0] ?? ''), { ended: true, version: 1 })
  })

  await t.test('a list that was restored is read from its start, though its numbers come again', async t => {
    const { pool } = await newDatabase(t)
    const store = postgresStore({ pool })
    const at = Date.now()
    for (let number = 0; number < 3; number++) await store.revoke([newRevocation({ at: at - 1000 })])
    const { cursor } = await store.revocations(null, 0)
    t.same(await store.revocations(cursor, 0), { revocations: [], cursor })
    for (const restored of [1, 5]) {
      await pool.query('TRUNCATE token_exchange_sessions_revocations RESTART IDENTITY')
      const entries = Array.from({ length: restored }, () => newRevocation({ at }))
      await store.revoke(entries)
      t.strictSame((await store.revocations(cursor, 0)).revocations, entries, `${restored} entries`)
    }
  })

  await t.test('of entries that have expired, few are handed out, however many there are', async t => {
    const { pool } = await newDatabase(t)
    const store = postgresStore({ pool })
    const now = Date.now()
    const fresh = [newRevocation(), newRevocation()]
    await store.revoke([fresh[0] ?? newRevocation()])
    await pool.query(`INSERT INTO token_exchange_sessions_revocations (kind, issuer, id, at, expires_at)
      SELECT 'session', 'i', n, ${now - 2}, ${now - 1} FROM generate_series(1, 20000) AS n`)
    await store.revoke([fresh[1] ?? newRevocation()])
    const read: unknown[] = []
    let cursor: string | null = null
    for (let size = 1; size > 0;) {
      const page: Awaited<ReturnType<SessionStore['revocations']>> = await store.revocations(cursor, now)
      cursor = page.cursor
      size = page.revocations.length
      read.push(...page.revocations)
    }
    t.ok(read.length < 10)
    t.strictSame([read[0], read.at(-1)], fresh)
  })

  await t.test('the connection that listens does not keep the application from ending its pool', async t => {
    const { database } = await newDatabase(t)
    const pool = new pg.Pool({ port: server.port, host: '127.0.0.1', user: 'postgres', database })
    const store = postgresStore({ pool })
    const woken = new Promise<void>(resolve => { t.teardown(store.subscribe?.(resolve) ?? (() => {})) })
    await woken
    t.equal(pool.totalCount - pool.idleCount, 1, 'it listens')
    await pool.end()
    t.equal(pool.totalCount, 0)
  })
})

async function indexesOf (pool: pg.Pool): Promise<string[]> {
  const { rows } = await pool.query<{ name: string }>(`SELECT indexname AS name FROM pg_indexes
    WHERE tablename = 'token_exchange_sessions' ORDER BY name`)
  return rows.map(({ name }) => name)
}
