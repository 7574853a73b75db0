import t from 'tap'
import { errors } from '../../src/errors.js'
import { memoryStore, postgresSchema, postgresStore, redisStore } from '../../src/sessions/stores/index.js'
import { keptAfterExpiry, type Session } from '../../src/sessions/store.js'
import { sessionStoreConformance } from '../../src/testing/session-store-conformance.js'
import { connectTo, postgres, redisCluster, storeKinds } from './private-stores.js'

const OPTION_INVALID = { code: errors.OptionInvalidError.code }

for (const kind of [...storeKinds, redisCluster]) {
  t.test(`${kind.name} conforms`, { skip: kind.missing }, async t => {
    const started = await kind.start()
    const client = started.connect()
    t.teardown(async () => {
      await client.close()
      await started.remove()
    })
    for (const { name, run } of sessionStoreConformance(() => client.store)) {
      await t.test(name, async () => { await run() })
    }
    await t.test('sweeps what has expired a day ago, and nothing else', async t => {
      const now = Date.now()
      const old = session({ id: 'a'.repeat(22), expiresAt: now - keptAfterExpiry - 1 })
      const fresh = session({ id: 'b'.repeat(22) })
      await client.store.create(old)
      await client.store.create(fresh)
      await client.store.sweep(now)
      if (!kind.name.startsWith('Redis')) t.equal(await client.store.read(old.id), null)
      t.equal((await client.store.read(fresh.id))?.id, fresh.id)
    })
  })
}

t.test('memory: is bounded, and fails closed', async t => {
  const store = memoryStore({ limit: 3 })
  const ids = ['a', 'b', 'c', 'd', 'e'].map(letter => letter.repeat(22))
  for (const id of ids.slice(0, 3)) await store.create(session({ id }))
  const full = { code: errors.StoreUnavailableError.code, statusCode: 503 }
  await t.rejects(store.create(session({ id: ids[3] ?? '' })), full)
  await store.end([ids[0] ?? ''], [])
  await store.create(session({ id: ids[3] ?? '' }))
  t.equal(await store.read(ids[0] ?? ''), null, 'one that had ended made room')
  t.ok(await store.read(ids[1] ?? ''), 'one that goes on did not')
  await store.spend(['a', 'b', 'c'].map(key => ({ key, expiresAt: Date.now() + 60_000 })))
  await t.rejects(store.spend([{ key: 'd', expiresAt: Date.now() + 60_000 }]), full)
  t.equal(await store.spend([{ key: 'a', expiresAt: Date.now() + 60_000 }]), false)
  t.throws(() => memoryStore({ limit: 0 }), OPTION_INVALID)
})

t.test('names that would be commands are refused', async t => {
  const pool = { query: async () => ({ rows: [] }) }
  for (const table of ['', 'a b', 'a;drop table b', 'a"b', "a'b", 'a.b.c', '1a', 'ä', 'a'.repeat(41)]) {
    t.throws(() => postgresStore({ pool, table }), OPTION_INVALID, `table ${table}`)
    t.throws(() => postgresSchema(table), OPTION_INVALID)
  }
  const client = { call: async () => null }
  for (const prefix of ['', 'a b', '{a}', 'a}', '\r\n', '*', 'ä:', 'a'.repeat(65)]) {
    t.throws(() => redisStore({ client, prefix }), OPTION_INVALID, `prefix ${prefix}`)
  }
  t.match(postgresSchema('auth.sessions').join(';'), /"auth"."sessions_revocations"/)
})

t.test('PostgreSQL: two servers that start at once both find their tables', { skip: postgres.missing }, async t => {
  const started = await postgres.start()
  t.teardown(async () => await started.remove())
  const clients = Array.from({ length: 4 }, () => connectTo(started.address ?? ''))
  t.teardown(async () => { await Promise.all(clients.map(client => client.close())) })
  t.same(await Promise.all(clients.map(({ store }) => store.read('none'))), [null, null, null, null])
})

t.test(
  'PostgreSQL: the connection that listens does not keep the application from ending its pool',
  { skip: postgres.missing },
  async t => {
    const started = await postgres.start()
    t.teardown(() => started.remove())
    const client = connectTo(started.address ?? '')
    const stop = client.store.subscribe?.(() => {})
    t.teardown(() => stop?.())
    await client.store.read('none')
    await client.close()
    t.pass('ended')
  }
)

function session (different: Partial<Session>): Session {
  const now = Date.now()
  const counted = { counter: 0, arrivedAt: null, ended: false, version: 0 }
  const timed = { createdAt: now, lastUsedAt: now, expiresAt: now + 60_000 }
  return {
    id: 'c'.repeat(22),
    issuer: 'https://api.example',
    userId: 'test:1',
    identity: '{}',
    secretId: 's',
    ...counted,
    ...timed,
    ...different
  }
}
