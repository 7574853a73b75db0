import t from 'tap'
import { errors } from '../../src/errors.js'
import { memoryStore, postgresSchema, postgresStore, redisStore } from '../../src/sessions/stores/index.js'
import { keptAfterExpiry } from '../../src/sessions/store.js'
import { sessionStoreConformance } from '../../src/testing/session-store-conformance.js'
import { libraries } from './clients.js'
import { newRevocation, newSession } from './rows.js'

const optionInvalid = { code: errors.OptionInvalidError.code }

for (const { name, missing, open } of libraries) {
  t.test(`${name} conforms`, { skip: missing }, async t => {
    const { store, close } = await open()
    t.teardown(close)
    for (const { name, run } of sessionStoreConformance(() => store)) await t.test(name, async () => { await run() })
    await t.test('sweeps what has expired a day ago, and nothing else', async t => {
      const now = Date.now()
      const old = newSession({ id: 'a'.repeat(22), expiresAt: now - keptAfterExpiry - 1 })
      const fresh = newSession({ id: 'b'.repeat(22) })
      await store.create(old)
      await store.create(fresh)
      await store.sweep(now)
      if (!name.startsWith('Redis')) t.equal(await store.read(old.id), null)
      t.equal((await store.read(fresh.id))?.id, fresh.id)
    })
    await t.test('refuses ids that it cannot hold, or tells them apart', async t => {
      for (const [mine, theirs] of [['\ud800', '\ufffd'], ['\ud800', '\udbff'], ['\0', ''], ['\0', ' ']]) {
        const { id, issuer } = newSession()
        const expiresAt = Date.now() + 60_000
        await store.create(newSession({ id: `${id}${mine}`, userId: `${id}${mine}` })).catch(() => {})
        t.equal(await store.read(`${id}${theirs}`), null)
        t.same(await store.list(issuer, `${id}${theirs}`, 1), [])
        await store.spend([{ key: `${id}${mine}`, expiresAt }]).catch(() => {})
        t.equal(await store.spend([{ key: `${id}${theirs}`, expiresAt }]), true)
        await store.keep(`${id}${mine}`, 'mine', expiresAt).catch(() => {})
        t.equal(await store.take(`${id}${theirs}`), null)
        await store.end([`${id}${mine}`], [newRevocation({ id: `${id}${mine}` })]).catch(() => {})
        const found = (await store.revocations(null, 0)).revocations.filter(entry => entry.id.startsWith(id))
        t.ok(found.every(entry => entry.id === `${id}${mine}`))
      }
    })
    await t.test('sweeps what was kept and has expired', async t => {
      const now = Date.now()
      await store.keep('swept', 'value', now + 50_000)
      await store.keep('unswept', 'value', now + 60_000)
      await store.sweep(now + 55_000)
      if (!name.startsWith('Redis')) t.equal(await store.take('swept'), null)
      t.equal(await store.take('unswept'), 'value')
    })
    await t.test('keeps what a newer server has written, of which this one knows nothing', async t => {
      const newer = Object.assign(newSession(), { boundTo: 'a key \u0000 ✓', at: null })
      await store.create(newer)
      const read = await store.read(newer.id)
      t.strictSame({ ...read }, newer)
      if (read !== null) t.equal(await store.replace({ ...read, counter: 1, version: 1 }), true)
      t.strictSame({ ...await store.read(newer.id) }, { ...newer, counter: 1, version: 1 })
    })
  })
}

t.test('memory: is bounded, and fails closed', async t => {
  const store = memoryStore({ limit: 3 })
  const ids = ['a', 'b', 'c', 'd', 'e'].map(letter => letter.repeat(22))
  for (const id of ids.slice(0, 3)) await store.create(newSession({ id }))
  const full = { code: errors.StoreUnavailableError.code, statusCode: 503 }
  await t.rejects(store.create(newSession({ id: ids[3] ?? '' })), full)
  await store.end([ids[0] ?? ''], [])
  await store.create(newSession({ id: ids[3] ?? '' }))
  t.equal(await store.read(ids[0] ?? ''), null, 'one that had ended made room')
  t.ok(await store.read(ids[1] ?? ''), 'one that goes on did not')
  await store.spend(['a', 'b', 'c'].map(key => ({ key, expiresAt: Date.now() + 60_000 })))
  await t.rejects(store.spend([{ key: 'd', expiresAt: Date.now() + 60_000 }]), full)
  t.equal(await store.spend([{ key: 'a', expiresAt: Date.now() + 60_000 }]), false)
  const soon = Date.now() + 60_000
  for (const key of ['a', 'b']) await store.keep(key, 'value', soon)
  await store.keep('c', 'value', Date.now() - 1)
  await store.keep('d', 'value', soon)
  await t.rejects(store.keep('e', 'value', soon), full)
  t.equal(await store.take('a'), 'value', 'one that had expired made room')
  await store.keep('e', 'value', soon)
  t.throws(() => memoryStore({ limit: 0 }), optionInvalid)
})

t.test('names that would be commands are refused', async t => {
  const pool = { query: async () => ({ rows: [] }) }
  for (const table of ['', 'a b', 'a;drop table b', 'a"b', "a'b", 'a.b.c', '1a', 'ä', 'a'.repeat(41)]) {
    t.throws(() => postgresStore({ pool, table }), optionInvalid, `table ${table}`)
    t.throws(() => postgresSchema(table), optionInvalid)
  }
  const client = { call: async () => null }
  for (const prefix of ['', 'a b', '{a}', 'a}', '\r\n', '*', 'ä:', 'a'.repeat(65)]) {
    t.throws(() => redisStore({ client, prefix }), optionInvalid, `prefix ${prefix}`)
  }
  t.match(postgresSchema('auth.sessions').join(';'), /"auth"."sessions_revocations"/)
})
