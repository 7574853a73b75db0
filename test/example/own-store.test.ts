import { PGlite } from '@electric-sql/pglite'
import pg from 'pg'
import t, { type Test } from 'tap'
import { ownStore, ownTables } from '../../example/own-store.js'
import type { Database } from '../../example/database.js'
import { sessionStoreConformance } from '../../src/testing/index.js'
import { keptAfterExpiry } from '../../src/sessions/stores/index.js'
import { postgresMissing, startPostgres } from '../sessions/servers.js'

async function conforms (t: Test, database: Pick<Database, 'query'>): Promise<void> {
  for (const statement of ownTables) await database.query(statement)
  const store = ownStore(database)
  for (const { name, run } of sessionStoreConformance(() => store)) await t.test(name, async () => { await run() })
}

t.test('the store of the README conforms on PGlite, and sweeps', async t => {
  const database = new PGlite()
  t.teardown(() => database.close())
  await conforms(t, database)

  const store = ownStore(database)
  const { rows } = await database.query<{ id: string }>('SELECT id FROM app_session WHERE NOT ended')
  t.ok(rows.length > 0)
  await store.sweep(Date.now())
  t.ok(await store.read(rows[0]?.id ?? ''), 'what goes on stays')
  await store.sweep(Date.now() + 365 * keptAfterExpiry)
  for (const table of ['app_session', 'app_revocation', 'app_spent', 'app_kept']) {
    t.strictSame((await database.query(`SELECT * FROM ${table}`)).rows, [], table)
  }
})

t.test('it conforms on PostgreSQL, where callers are at once', { skip: postgresMissing }, async t => {
  const server = await startPostgres()
  t.teardown(() => server.remove())
  const pool = new pg.Pool({ port: server.port, host: '127.0.0.1', user: 'postgres', database: 'postgres' })
  pool.on('error', () => {})
  t.teardown(() => pool.end())
  await conforms(t, { query: (text, values) => pool.query(text, values) })
})
