import t, { type Test } from 'tap'
import { memoryStore } from '../../src/sessions/stores/index.js'
import { decodeClaims } from './login-server.js'
import { sessionServer, twoSessionServers, type SessionServer, type Tokens } from './session-server.js'

const stillGood = [200, 200] as const
const gone = [401, 400] as const

/** What becomes of the caller's tokens and of its other session's: status of a guarded route and of a refresh. */
const scopes: [object | undefined, readonly [number, number], readonly [number, number]][] = [
  [undefined, gone, stillGood],
  [{}, gone, stillGood],
  [{ scope: 'this' }, gone, stillGood],
  [{ scope: 'others' }, stillGood, gone],
  [{ scope: 'all' }, gone, gone]
]

for (const [body, mine, others] of scopes) {
  t.test(`POST /logout ${JSON.stringify(body)}, on both servers`, async t => {
    const [one, other] = await twoSessionServers(t)
    const [caller, elsewhere] = [await one.login(), await other.login()]
    const answer = await one.post('/logout', caller.access, body)
    t.equal(answer.statusCode, 204)
    t.equal(answer.body, '')
    t.equal(answer.headers['cache-control'], 'no-store')
    for (const server of [one, other]) {
      await standing(t, server, caller, mine)
      await standing(t, server, elsewhere, others)
    }
    t.equal(await other.call((await one.login()).access), 200, 'a login right after it')
  })
}

t.test('a client that names a content type and sends no body logs this session out', async t => {
  for (const type of ['application/json', 'application/x-www-form-urlencoded']) {
    const { app, login, call } = await sessionServer(t)
    const { access } = await login()
    const answer = await app.inject({
      method: 'POST',
      url: '/logout',
      headers: { 'content-type': type, authorization: `Bearer ${access}` }
    })
    t.equal(answer.statusCode, 204, type)
    t.equal(await call(access), 401, type)
  }
})

t.test('a token without a session is itself revoked', async t => {
  const [one, other] = await twoSessionServers(t)
  const [first, second] = [
    one.app.tokenExchange.issue({ userId: 'u' }).access_token,
    one.app.tokenExchange.issue({ userId: 'u' }).access_token
  ]
  t.equal((await one.post('/logout', first)).statusCode, 204)
  for (const server of [one, other]) {
    t.equal(await server.call(first), 401)
    t.equal(await server.call(second), 200)
  }
  t.throws(() => one.app.tokenExchange.verify(first), { code: 'AUTH_ERR_TOKEN_REVOKED' })
})

t.test('what /logout refuses', async t => {
  const server = await sessionServer(t)
  const { access } = await server.login()
  for (const scope of ['everything', null, 1, ['all']]) {
    t.match((await server.post('/logout', access, { scope })).json(), {
      statusCode: 400,
      code: 'AUTH_ERR_REQUEST_INVALID'
    })
  }
  const anonymous = await server.app.inject({ method: 'POST', url: '/logout' })
  t.equal(anonymous.statusCode, 401)
  t.equal(anonymous.headers['www-authenticate'], 'Bearer')
  t.equal(await server.call(access), 200)
})

t.test('a store that is down: 503, and the token is good for another attempt', async t => {
  let isDown = false
  const store = memoryStore()
  const flaky = {
    ...store,
    end: async (...given: Parameters<typeof store.end>) =>
      isDown ? await Promise.reject(new Error('down')) : await store.end(...given)
  }
  const server = await sessionServer(t, { sessions: { store: flaky } })
  const { access } = await server.login()
  isDown = true
  const answer = await server.post('/logout', access)
  t.match(answer.json(), { statusCode: 503, code: 'AUTH_ERR_STORE_UNAVAILABLE' })
  t.equal(answer.headers['retry-after'], '5')
  t.equal(await server.call(access), 200)
  isDown = false
  t.equal((await server.post('/logout', access)).statusCode, 204)
})

t.test('GET /sessions: the caller\'s own', async t => {
  const server = await sessionServer(t, { permissions: identity => ({ userId: identity.subject }) })
  const [mine, other] = [await server.login(), await server.login()]
  const answer = await server.app.inject({ url: '/sessions', headers: { authorization: `Bearer ${mine.access}` } })
  t.equal(answer.statusCode, 200)
  t.equal(answer.headers['cache-control'], 'no-store')
  const { sessions } = answer.json()
  t.equal(sessions.length, 2)
  for (const [tokens, current] of [[mine, true], [other, false]] as const) {
    const { sid, iat } = decodeClaims(tokens.access)
    const entry = sessions.find(({ id }: { id: unknown }) => id === sid)
    t.strictSame(Object.keys(entry), ['id', 'createdAt', 'lastUsedAt', 'expiresAt', 'current'])
    t.equal(entry.current, current)
    t.ok(Math.abs(entry.createdAt - Number(iat)) <= 1, 'seconds')
    t.equal(entry.expiresAt, entry.createdAt + 30 * 86_400)
  }
  t.equal((await server.app.inject('/sessions')).statusCode, 401)
})

t.test('RFC 7009', async t => {
  const [one, other] = await twoSessionServers(t)
  const revoke = async (token: string) => await one.app.inject({ method: 'POST', url: '/revoke', payload: { token } })

  await t.test('a refresh token ends its session', async t => {
    const tokens = await one.login()
    const answer = await revoke(tokens.refresh)
    t.match(answer.headers, { 'content-type': /^application\/json/ })
    t.strictSame([answer.statusCode, answer.body], [200, '{}'], 'clients that parse strictly read JSON')
    await standing(t, other, tokens, gone)
  })

  await t.test('an access token ends itself', async t => {
    const tokens = await one.login()
    t.equal((await revoke(tokens.access)).statusCode, 200)
    await standing(t, other, tokens, [401, 200])
  })

  await t.test('what is no token of ours is answered alike, a request without one is not', async t => {
    for (const token of ['x', 'a.b.c', 'A'.repeat(72)]) t.equal((await revoke(token)).statusCode, 200)
    const answer = await one.app.inject({ method: 'POST', url: '/revoke', payload: {} })
    t.equal(answer.statusCode, 400)
    t.match(answer.json(), { error: 'invalid_request', code: 'AUTH_ERR_REQUEST_INVALID' })
  })
})

t.test('revokeUser and revokeSession', async t => {
  const [one, other] = await twoSessionServers(t)
  const [first, second] = [await one.login(), await other.login()]
  const issued = other.app.tokenExchange.issue({ userId: 'own:10158' }).access_token
  await one.app.tokenExchange.revokeSession(String(decodeClaims(first.access).sid))
  await standing(t, other, first, gone)
  t.equal(await other.call(second.access), 200)
  await one.app.tokenExchange.revokeUser('own:10158')
  await standing(t, other, second, gone)
  t.equal(await other.call(issued), 401)
  t.equal(await other.call((await other.login()).access), 200, 'a login right after it')

  const without = await sessionServer(t, { sessions: undefined } as object)
  await t.rejects(without.app.tokenExchange.revokeUser('u'), { code: 'AUTH_ERR_OPTION_INVALID' })
  await t.rejects(without.app.tokenExchange.revokeSession('s'), { code: 'AUTH_ERR_OPTION_INVALID' })
  await t.rejects(one.app.tokenExchange.revokeUser(''), { code: 'AUTH_ERR_OPTION_INVALID' })
  for (const url of ['/logout', '/revoke']) t.equal((await without.app.inject({ method: 'POST', url })).statusCode, 404)
})

async function standing (
  t: Test,
  server: SessionServer,
  tokens: Tokens,
  [access, refresh]: readonly [number, number]
): Promise<void> {
  t.equal(await server.call(tokens.access), access)
  const answer = await server.refresh(tokens.refresh)
  t.equal(answer.statusCode, refresh)
  if (refresh === 400) t.equal(answer.json().code, 'AUTH_ERR_SESSION_REVOKED')
}
