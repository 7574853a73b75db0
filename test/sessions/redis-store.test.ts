import { createHash } from 'node:crypto'
import { mock } from 'node:test'
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { errors } from '../../src/errors.js'
import { redisStore } from '../../src/sessions/stores/index.js'
import { newRevocation, newSession } from './rows.js'
import { redisMissing, startRedis } from './servers.js'

const day = 86_400_000

interface Subject {
  readonly client: Redis
  /** The names of the commands that the store has sent since this was asked for the last time. */
  sent (): string[]
}

t.test('Redis', { skip: redisMissing }, async t => {
  const server = await startRedis('no')
  t.teardown(() => server.remove())

  async function connect (t: Test): Promise<Subject & { store: ReturnType<typeof redisStore> }> {
    const client = new Redis({ port: server.port, host: '127.0.0.1' })
    t.teardown(() => client.disconnect())
    await client.flushall()
    const commands: string[] = []
    const store = redisStore({
      client: {
        call: (command, ...args) => {
          commands.push(command)
          return client.call(command, ...args)
        }
      }
    })
    await store.now?.()
    await store.create(newSession({ userId: 'so that the scripts are known' }))
    return { client, store, sent: () => commands.splice(0) }
  }

  await t.test('two applications with a prefix each do not meet, and every key has a time to live', async t => {
    const { client } = await connect(t)
    await client.flushall()
    const [one, other] = [redisStore({ client, prefix: 'one:' }), redisStore({ client, prefix: 'other:' })]
    const mine = newSession({ userId: 'a}{b' })
    await one.create(mine)
    await one.revoke([newRevocation()])
    await one.spend([{ key: 'nonce', expiresAt: Date.now() + 60_000 }])
    await one.keep('code', 'value', Date.now() + 60_000)
    t.equal(await other.take('code'), null)
    t.equal(await other.read(mine.id), null)
    t.same(await other.list(mine.issuer, mine.userId, 10), [])
    t.same(await other.revocations(null, 0), { revocations: [], cursor: null })
    t.equal(await other.spend([{ key: 'nonce', expiresAt: Date.now() + 60_000 }]), true)
    for (const key of await client.keys('*')) {
      t.match(key, /^(one|other):/)
      t.match(key, /\{[^{}]+\}/, 'a hash tag decides on the node of a cluster')
      t.ok((await client.pttl(key)) > 0, `${key.split('{')[0]} expires`)
    }
  })

  await t.test('a row that is junk is no session', async t => {
    const { client, store } = await connect(t)
    const members = '["i","u","s",0,null,1,1'
    for (const junk of [
      '', ':', '0:', '0:{}', '0:[]', '0:null', 'x:[1]', `0:${'['.repeat(10_000)}`, '0:["i","u","s",0,null,1,1,1,2,3]',
      '0:0:1:[]\n', '0:0:1:null\n{}', `0:0:1:${members}]\n{}`, `0:2:1:${members},1]\n{}`, `0:0:1:${members},1]`
    ]) {
      await client.set('token-exchange:session:{junk}', junk)
      t.equal(await store.read('junk'), null, junk.slice(0, 20))
    }
    await client.set('token-exchange:session:{junk}', `0:0:1:${members},1]\n{}`)
    t.match(await store.read('junk'), { userId: 'u', identity: '{}', version: 0 })
  })

  await t.test('a server whose clock is 40 days ahead hides no session of a user', async t => {
    const { store } = await connect(t)
    const now = Date.now()
    const [mine, theirs] = [newSession({ expiresAt: now + 30 * day }), newSession({ createdAt: now + 40 * day })]
    await store.create(mine)
    mock.timers.enable({ apis: ['Date'], now: now + 40 * day })
    t.teardown(() => mock.timers.reset())
    await store.create({ ...theirs, expiresAt: now + 70 * day })
    t.equal(await store.replace({ ...theirs, userId: 'somebody else', expiresAt: now + 70 * day, version: 1 }), true)
    t.equal(await store.replace({ ...theirs, expiresAt: now + 70 * day, version: 2 }), true)
    t.same((await store.list(mine.issuer, mine.userId, 10)).map(({ id }) => id), [mine.id, theirs.id])
    await store.end([mine.id], [])
    t.equal((await store.read(mine.id))?.ended, true, 'an ended row stays for as long as it would have')
  })

  await t.test('a refresh is one read and one script, as long as the index holds the session', async t => {
    const { client, store, sent } = await connect(t)
    const session = newSession()
    await store.create(session)
    const row = `token-exchange:session:{${session.id}}`
    const index = await indexOf(client, session.id)
    sent()
    await store.read(session.id)
    t.equal(await store.replace({ ...session, counter: 1, expiresAt: Date.now() + 61_000, version: 1 }), true)
    t.strictSame(sent(), ['GET', 'EVALSHA'])
    t.equal(await store.replace({ ...session, counter: 2, expiresAt: Date.now() + 30 * day, version: 2 }), true)
    const [write, user, identity] = ['EVALSHA', 'EVALSHA', 'EVALSHA']
    t.strictSame(sent(), [write, user, identity, write], 'for longer than the indexes would: they are told')
    t.ok(await client.pttl(index) >= await client.pttl(row), 'the index lives at least as long')
    t.equal(await store.replace({ ...session, counter: 3, expiresAt: Date.now() + 30 * day, version: 3 }), true)
    t.strictSame(sent(), ['EVALSHA'])
  })

  await t.test('a session leaves the list of the user that it had before', async t => {
    const { client, store } = await connect(t)
    const session = newSession()
    await store.create(session)
    await store.replace({ ...session, userId: 'test:2', version: 1 })
    t.same((await store.list(session.issuer, 'test:2', 10)).map(({ id }) => id), [session.id])
    const counts = await Promise.all((await client.keys('*user:*')).map(key => client.zcard(key)))
    t.same(counts, [1, 1], 'one of the test and that of the other session')
  })

  await t.test('the list forgets ids whose rows are gone, and asks on for those that are not', async t => {
    const { client, store } = await connect(t)
    const now = Date.now()
    const all = Array.from({ length: 6 }, (_, age) => newSession({ userId: 'many', createdAt: now + age }))
    for (const session of all) await store.create(session)
    for (const { id } of all.slice(0, 3)) await client.del(`token-exchange:session:{${id}}`)
    const listed = await store.list('https://api.example', 'many', 2)
    t.same(listed.map(({ id }) => id), all.slice(3, 5).map(({ id }) => id))
    t.ok((await Promise.all((await client.keys('*user:*')).map(key => client.zcard(key)))).includes(3))
  })

  await t.test('a list of revocations that was lost, while the clock went back, is read from its start', async t => {
    const { client, store } = await connect(t)
    await client.xadd('token-exchange:{revocations}', '99999999999999-0', 'r', '["session","i","x",1,99999999999999]')
    const { cursor } = await store.revocations(null, 0)
    t.equal(cursor, '99999999999999-0')
    t.same(await store.revocations(cursor, 0), { revocations: [], cursor })
    await client.del('token-exchange:{revocations}')
    const entry = newRevocation()
    await store.revoke([entry])
    t.same((await store.revocations(cursor, 0)).revocations, [entry])
  })

  await t.test('of entries that have expired, few are handed out, however many there are', async t => {
    const { store } = await connect(t)
    const now = Date.now()
    const old = Array.from({ length: 1000 }, () => newRevocation({ expiresAt: now - 1 }))
    for (let number = 0; number < 6; number++) await store.revoke(old)
    const fresh = [newRevocation(), newRevocation()]
    await store.revoke(fresh)
    let [cursor, read]: [string | null, unknown[]] = [null, []]
    for (let size = 1; size > 0;) {
      const page = await store.revocations(cursor, now)
      ;({ cursor } = page)
      size = page.revocations.length
      read.push(...page.revocations)
    }
    t.ok(read.length < 6)
    t.strictSame(read.slice(-2), fresh)
  })

  await t.test('what Redis refuses is answered with what an operator has to do', async t => {
    const { client } = await connect(t)
    await client.call('ACL', 'SETUSER', 'poor', 'on', '>password', '~other:*', '+@all')
    await client.call('ACL', 'SETUSER', 'able', 'on', '>password', '~mine:*',
      '+@read', '+@write', '+@scripting', '+time')
    const storeOf = (username: string, prefix: string) => {
      const own = new Redis({ port: server.port, host: '127.0.0.1', username, password: 'password' })
      t.teardown(() => own.disconnect())
      return redisStore({ client: own, prefix })
    }
    const unavailable = { code: errors.StoreUnavailableError.code, reason: /keys mine:\*/ }
    await t.rejects(async () => await storeOf('poor', 'mine:').now?.(), unavailable)
    const able = storeOf('able', 'mine:')
    const session = newSession()
    await able.create(session)
    await able.end([session.id], [newRevocation()])
    t.same(await able.list(session.issuer, session.userId, 1), [])
    t.equal((await able.revocations(null, 0)).revocations.length, 1)
    t.equal(await able.spend([{ key: 'nonce', expiresAt: Date.now() + 1000 }]), true)
    await able.keep('code', 'value', Date.now() + 60_000)
    t.equal(await able.take('code'), 'value')
    await client.config('SET', 'maxmemory', 1)
    await t.rejects(able.create(newSession()), { ...unavailable, reason: /maxmemory/ })
    await client.config('SET', 'maxmemory', 0)
  })

  await t.test('rows of the version before are read, refreshed, listed and ended', async t => {
    const { client, store } = await connect(t)
    const { issuer, userId, ...times } = newSession()
    const members = [issuer, userId, 's', 7, null, times.createdAt, times.lastUsedAt, times.expiresAt, 0, '{"a":1}']
    const digest = createHash('sha256').update(JSON.stringify([issuer, userId])).digest('base64url').slice(0, 32)
    for (const id of ['one', 'two']) {
      await client.set(`token-exchange:session:{${id}}`, `3:${JSON.stringify(members)}`, 'PX', day)
      await client.zadd(`token-exchange:user:{${digest}}`, times.expiresAt + day, id)
    }
    const one = await store.read('one')
    t.match(one, { id: 'one', issuer, userId, counter: 7, identity: '{"a":1}', version: 3 })
    t.same((await store.list(issuer, userId, 10)).map(({ id }) => id), ['one', 'two'])
    if (one !== null) t.equal(await store.replace({ ...one, counter: 8, version: 4 }), true)
    t.match(await store.read('one'), { counter: 8, identity: '{"a":1}', version: 4 })
    await store.end(['one', 'two'], [])
    for (const id of ['one', 'two']) t.match(await store.read(id), { ended: true, identity: '' })
    t.same(await store.list(issuer, userId, 10), [])
  })
})

/** The key of the user's sessions among which this one is. */
async function indexOf (client: Redis, id: string): Promise<string> {
  for (const key of await client.keys('*user:*')) if (await client.zscore(key, id) !== null) return key
  return 'none'
}
