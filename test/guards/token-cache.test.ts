import { randomUUID } from 'node:crypto'
import { mock } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import type { UserAuth } from '../../src/guards/decide.js'
import { createTokenCache } from '../../src/guards/token-cache.js'
import { ask, startApp, startUsersApp } from '../server.js'

const goodUntil = Math.floor(Date.now() / 1000) + 3600
const mebibyte = 1024 * 1024

const [noPermissions, noClaims] = [Object.freeze([]), Object.freeze({})]

/** As JSON.parse makes them: nothing is shared with another caller's but that there are no permissions, no claims. */
function caller (id: string, more: object = {}): UserAuth {
  const { permissions = noPermissions, claims = noClaims, ...members } = JSON.parse(JSON.stringify(more))
  const user: UserAuth['user'] = {
    id: Buffer.from(id).toString(),
    provider: null,
    subject: null,
    level: 'authenticated',
    permissions,
    claims,
    tokenId: Buffer.from(randomUUID()).toString(),
    sessionId: null,
    authenticatedAt: 0,
    acr: null,
    amr: noPermissions,
    issuedAt: 0,
    expiresAt: 1,
    ...members
  }
  return { level: 'authenticated', user, application: null, master: null }
}

/** A text as Node's parser makes them: of its own. */
const textOf = (name: string, length = 500): string => Buffer.from(name.padStart(length, '-')).toString('latin1')

/** How many of these names it still holds. */
function held (cache: ReturnType<typeof createTokenCache>, names: readonly string[]): number {
  return names.filter(name => cache.get(textOf(name)) !== undefined).length
}

t.test('what it holds stays within its bytes, the newest among them', async t => {
  const cache = createTokenCache(20_000)
  const names = Array.from({ length: 1000 }, (_, i) => `token-${i}`)
  for (const name of names) cache.set(textOf(name), caller(name), goodUntil)
  t.equal(cache.get(textOf('token-999'))?.user.id, 'token-999')
  const count = held(cache, names)
  t.ok(count > 10 && count < 30, `${count} of 1000`)
})

t.test('who is asked for stays, however many others come', async t => {
  const cache = createTokenCache(20_000)
  cache.set(textOf('regular'), caller('regular'), goodUntil)
  for (let i = 0; i < 1000; i++) {
    cache.set(textOf(`token-${i}`), caller(`${i}`), goodUntil)
    if (i % 5 === 0) t.equal(cache.get(textOf('regular'))?.user.id, 'regular')
  }
})

t.test('where all are asked for, each new one still finds its place', async t => {
  const cache = createTokenCache(200_000)
  const names = Array.from({ length: 300 }, (_, i) => `token-${i}`)
  for (const name of names) {
    cache.set(textOf(name), caller(name), goodUntil)
    held(cache, names)
  }
  t.equal(cache.get(textOf('token-299'))?.user.id, 'token-299')
  t.ok(held(cache, names) > 150)
})

t.test('one that is larger than all the room is not kept, and takes nobody else\'s', async t => {
  const cache = createTokenCache(10_000)
  cache.set(textOf('small'), caller('small'), goodUntil)
  cache.set(textOf('large', 8000), caller('large', { claims: { text: 'x'.repeat(5000) } }), goodUntil)
  t.equal(cache.get(textOf('large', 8000)), undefined)
  t.equal(cache.get(textOf('small'))?.user.id, 'small')
})

t.test('a cache of no bytes remembers nothing', async t => {
  const cache = createTokenCache(0)
  cache.set(textOf('a'), caller('a'), goodUntil)
  t.equal(cache.get(textOf('a')), undefined)
})

t.test('one that has expired is forgotten', async t => {
  const cache = createTokenCache(10_000)
  cache.set(textOf('a'), caller('a'), goodUntil)
  mock.timers.enable({ apis: ['Date'], now: goodUntil * 1000 - 1 })
  t.equal(cache.get(textOf('a'))?.user.id, 'a')
  mock.timers.tick(1)
  t.equal(cache.get(textOf('a')), undefined)
  mock.timers.reset()
  t.equal(cache.get(textOf('a')), undefined, 'for good')
})

t.test('another text that ends alike is another token', async t => {
  const cache = createTokenCache(10_000)
  cache.set('good.the-end-of-a-signature', caller('good'), goodUntil)
  t.equal(cache.get('evil.the-end-of-a-signature'), undefined)
  t.equal(cache.get('end-of-a-signature'), undefined)
  t.equal(cache.get('good.the-end-of-a-signature')?.user.id, 'good')
})

// Node frees memory when it likes; the flag gives the test a collector of its own.
setFlagsFromString('--expose-gc')
const collect: () => void = runInNewContext('gc')

function heap (): number {
  collect()
  collect()
  return process.memoryUsage().heapUsed
}

const kinds: Array<[string, (i: number) => object]> = [
  ['no permissions', () => ({})],
  ['a session', i => ({
    provider: 'facebook', subject: `1015800000${i}`, sessionId: `${i}`.padStart(22, 's'), permissions: ['todo:read']
  })],
  ['many permissions', () => ({ permissions: Array.from({ length: 40 }, (_, k) => `resource-${k}:write`) })],
  ['claims', i => ({ claims: { tenant: `tenant-of-${i}`, roles: ['editor-in-chief'], plan: { seats: i + 0.5 } } })],
  ['claims whose names are all different', i => ({
    claims: Object.fromEntries(Array.from({ length: 10 }, (_, k) => [`name-${i}-${k}`, k]))
  })],
  ['nested claims', () => ({ claims: { a: [[[[[[]]]]]], b: Array.from({ length: 50 }, () => ({})) } })],
  ['claims that are not Latin', i => ({ claims: { name: `${i} ${'漢字'.repeat(50)}` } })]
]

function fill (limit: number, more: (i: number) => object): ReturnType<typeof createTokenCache> {
  const cache = createTokenCache(limit)
  for (let i = 0; i < 7000; i++) cache.set(textOf(`token-${i}`), caller(`user-${i}`, more(i)), goodUntil)
  return cache
}

// What compiles and is collected for the first time is not the entries'.
fill(mebibyte, () => ({}))
heap()

for (const [name, more] of kinds) {
  t.test(`its bytes are real ones: ${name}`, async t => {
    const limit = 4 * mebibyte
    let cache: ReturnType<typeof createTokenCache> | null = fill(limit, more)
    const full = heap()
    t.equal(cache.get(textOf('token-6999'))?.user.id, 'user-6999')
    cache = null
    const bytes = full - heap()
    t.ok(bytes < limit * 1.02, `${bytes} of ${limit}`)
    t.ok(bytes > limit * 0.5, `${bytes} of ${limit}`)
  })
}

t.test('100,000 users fit into 128 MiB', async t => {
  const [users, share] = [5000, 20]
  const app = await startApp(t, { tokenCache: { bytes: Math.floor(128 * mebibyte / share) } })
  app.get('/', { onRequest: app.requireUser() }, request => request.auth.user?.id)
  const tokens = Array.from({ length: users }, (_, i) => app.tokenExchange.issue({
    userId: `facebook:${1_015_800_000_000_000 + i}`, permissions: ['todo:read', 'todo:write']
  }).access_token)
  const first = tokens.map(token => app.tokenExchange.verify(token))
  t.ok(
    tokens.every((token, i) => app.tokenExchange.verify(token) === first[i]),
    'each is still the one that was proven'
  )
})

t.test('a flood of garbage neither stays nor pushes users out', async t => {
  const app = await startUsersApp(t)
  const headers = { authorization: `Bearer ${app.tokenExchange.issue({ userId: 'ada' }).access_token}` }
  const first = app.tokenExchange.verify(headers.authorization.slice(7))
  for (let i = 0; i < 3000; i++) {
    t.equal(
      (await ask(app, { authorization: `${headers.authorization.slice(0, -6)}${i}`.padEnd(800, 'A') })).status,
      401
    )
  }
  t.equal(app.tokenExchange.verify(headers.authorization.slice(7)), first, 'still the one that was proven at first')
})

t.test('however it is carried, a token is one user', async t => {
  const app = await startUsersApp(t)
  const token = app.tokenExchange.issue({ userId: 'ada' }).access_token
  const other = app.tokenExchange.issue({ userId: 'eve' }).access_token
  const carriers = [
    { authorization: `Bearer ${token}` },
    { authorization: `bEARER ${token}` },
    { 'x-zumo-auth': token },
    { 'x-zumo-auth': `${token} ` },
    { authorization: `Bearer ${token}`, 'x-zumo-auth': token },
    { authorization: 'Basic eDp5', 'x-zumo-auth': token }
  ]
  for (const headers of [...carriers, ...carriers]) {
    const answer = await app.inject({ url: '/', headers })
    t.match(answer.json(), { user: { id: 'ada' } }, JSON.stringify(Object.entries(headers).map(([name]) => name)))
  }
  for (const headers of [
    { authorization: token },
    { 'x-zumo-auth': `Bearer ${token}` },
    { authorization: `Bearer Bearer ${token}` },
    { authorization: `Bearer ${token}`, 'x-zumo-auth': `Bearer ${token}` },
    { authorization: `Bearer ${token}`, 'x-zumo-auth': other }
  ]) {
    const { status } = await ask(app, headers)
    t.ok([400, 401].includes(status), `${status}: what has proven itself elsewhere`)
  }
})
