import { mock } from 'node:test'
import t from 'tap'
import { memoryStore } from '../../src/sessions/stores/index.js'
import { decodeClaims, loginServer } from './login-server.js'
import { issuer, ownProvider, secret } from '../server.js'
import { sessionServer, tokensIn, twoSessionServers } from './session-server.js'

const accessTokenType = 'urn:ietf:params:oauth:token-type:access_token'
const exchange = {
  grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
  subject_token_type: accessTokenType,
  subject_issuer: 'own',
  subject_token: 'good'
}

t.test('RFC 6749, 6: a refresh token for a new pair, on whichever server', async t => {
  const [one, other] = await twoSessionServers(t)
  const login = await one.login()
  const answer = await other.refresh(login.refresh)
  t.equal(answer.statusCode, 200)
  t.equal(answer.headers['cache-control'], 'no-store')
  t.match(answer.json(), {
    token_type: 'Bearer',
    expires_in: 3600,
    access_token: String,
    refresh_token: String,
    user: { userId: 'own:10158' }
  })
  const next = tokensIn(answer)
  t.equal(decodeClaims(next.access).sid, decodeClaims(login.access).sid)
  t.equal(await one.call(next.access), 200)
  t.equal(await one.call(login.access), 200, 'the earlier access token goes on until it expires')
})

t.test('a JSON body is understood as well', async t => {
  const { app, login } = await sessionServer(t)
  const { refresh } = await login()
  const answer = await app.inject({
    method: 'POST',
    url: '/token',
    payload: { grant_type: 'refresh_token', refresh_token: refresh }
  })
  t.equal(answer.statusCode, 200)
})

t.test('the lookup runs again: lost permissions are lost, null ends the session', async t => {
  let answers: object | null = { permissions: ['todo:read'] }
  const reasons: string[] = []
  const server = await sessionServer(t, {
    permissions: (_identity, { reason }) => {
      reasons.push(reason)
      return answers
    }
  })
  const login = await server.login()
  answers = { permissions: [] }
  const next = tokensIn(await server.refresh(login.refresh))
  t.same(decodeClaims(next.access).permissions, [])
  t.same(reasons, ['login', 'refresh'])
  answers = null
  const refused = await server.refresh(next.refresh)
  t.equal(refused.statusCode, 400)
  t.match(refused.json(), { error: 'invalid_grant', code: 'AUTH_ERR_ACCESS_DENIED' })
  answers = {}
  t.match((await server.refresh(next.refresh)).json(), { error: 'invalid_grant', code: 'AUTH_ERR_SESSION_REVOKED' })
  t.equal(await server.call(next.access), 401)
})

t.test('a lost answer, an arrival by access token, and theft', async t => {
  const [one, other] = await twoSessionServers(t)
  mock.timers.enable({ apis: ['Date'], now: Date.now() })
  t.teardown(() => mock.timers.reset())
  const login = await one.login()
  const next = tokensIn(await one.refresh(login.refresh))
  mock.timers.tick(86_400_000)
  const again = tokensIn(await other.refresh(login.refresh))
  t.equal(again.refresh, next.refresh)
  t.equal(await one.call(again.access), 200)
  mock.timers.tick(31_000)
  t.match((await one.refresh(login.refresh)).json(), { error: 'invalid_grant', code: 'AUTH_ERR_REFRESH_REUSED' })
  t.match((await other.refresh(next.refresh)).json(), { error: 'invalid_grant', code: 'AUTH_ERR_SESSION_REVOKED' })
  t.equal(await one.call(again.access), 401)
})

t.test('RFC 8693: the exchange in the words of the standard', async t => {
  const server = await sessionServer(t)
  const answer = await server.token(exchange)
  t.equal(answer.statusCode, 200)
  t.match(answer.json(), {
    issued_token_type: accessTokenType,
    token_type: 'Bearer',
    user: { userId: 'own:10158' },
    refresh_token: String
  })
  t.equal(await server.call(tokensIn(answer).access), 200)
})

t.test('without sessions there is the exchange, and no refresh', async t => {
  const server = await sessionServer(t, { sessions: undefined } as object)
  t.equal((await server.token(exchange)).json().refresh_token, undefined)
  t.match((await server.refresh('x')).json(), { error: 'unsupported_grant_type' })
})

t.test('RFC 6749, 5.2: every error of the route', async t => {
  const down = { ...memoryStore(), read: async () => await Promise.reject(new Error('down')) }
  const rows: Record<string, [object, Record<string, string>, number, object]> = {
    'no grant type': [{}, {}, 400, {
      error: 'invalid_request',
      error_description: 'The request is malformed: grant_type must be a non-empty string',
      code: 'AUTH_ERR_REQUEST_INVALID'
    }],
    'another grant type': [
      {},
      { grant_type: 'password' },
      400,
      {
        error: 'unsupported_grant_type',
        error_description: 'The request is malformed: this grant_type is not supported',
        code: 'AUTH_ERR_REQUEST_INVALID'
      }
    ],
    'no refresh token': [
      {},
      { grant_type: 'refresh_token' },
      400,
      { error: 'invalid_request', code: 'AUTH_ERR_REQUEST_INVALID' }
    ],
    'a tampered refresh token': [
      {},
      { grant_type: 'refresh_token', refresh_token: 'A'.repeat(72) },
      400,
      { error: 'invalid_grant', code: 'AUTH_ERR_REFRESH_INVALID' }
    ],
    'a refused subject token': [
      {},
      { ...exchange, subject_token: 'bad' },
      400,
      { error: 'invalid_request', code: 'AUTH_ERR_GRANT_REJECTED' }
    ],
    'an unknown issuer': [
      {},
      { ...exchange, subject_issuer: 'nobody' },
      400,
      { error: 'invalid_request', code: 'AUTH_ERR_PROVIDER_UNKNOWN' }
    ],
    'an unknown type of token': [
      {},
      { ...exchange, subject_token_type: 'urn:x' },
      400,
      { error: 'invalid_request', code: 'AUTH_ERR_REQUEST_INVALID' }
    ],
    'another type of token asked for': [
      {},
      { ...exchange, requested_token_type: 'urn:x' },
      400,
      { error: 'invalid_request', code: 'AUTH_ERR_REQUEST_INVALID' }
    ],
    'a user that is denied': [
      { permissions: () => null },
      exchange,
      400,
      { error: 'invalid_grant', code: 'AUTH_ERR_ACCESS_DENIED' }
    ],
    'a lookup that fails': [
      {
        permissions: () => {
          throw new Error('x')
        }
      },
      exchange,
      503,
      { error: 'temporarily_unavailable', code: 'AUTH_ERR_LOOKUP_FAILED' }
    ],
    'a provider that is down': [
      {
        providers: {
          own: ownProvider(() => {
            throw new Error('x')
          })
        }
      },
      exchange,
      503,
      { error: 'temporarily_unavailable', code: 'AUTH_ERR_PROVIDER_UNAVAILABLE' }
    ],
    'a store that is down': [
      { sessions: { store: down } },
      { grant_type: 'refresh_token' },
      503,
      { error: 'temporarily_unavailable', code: 'AUTH_ERR_STORE_UNAVAILABLE' }
    ]
  }
  for (const [name, [options, parameters, status, body]] of Object.entries(rows)) {
    await t.test(name, async t => {
      const server = await sessionServer(t, options)
      server.app.setErrorHandler(async () => ({ fromTheApplication: true }))
      const refreshToken =
        status === 503 && parameters.grant_type === 'refresh_token'
          ? { refresh_token: (await server.login()).refresh }
          : {}
      const answer = await server.token({ ...parameters, ...refreshToken })
      t.equal(answer.statusCode, status)
      t.match(answer.json(), { error_description: String, ...body })
      t.strictSame(Object.keys(answer.json()), ['error', 'error_description', 'code'])
      t.equal(answer.headers['cache-control'], 'no-store')
      t.equal(answer.headers['retry-after'], status === 503 ? '5' : undefined)
    })
  }
  t.test('bodies that are none', async t => {
    const { app } = await sessionServer(t)
    for (const [type, payload, status] of [
      ['application/json', '{', 400],
      ['application/json', '{"grant_type":1}', 400],
      ['text/plain', 'x', 415],
      ['application/x-www-form-urlencoded', 'grant_type=a&grant_type=b', 400]
    ] as const) {
      const answer = await app.inject({ method: 'POST', url: '/token', headers: { 'content-type': type }, payload })
      t.equal(answer.statusCode, status)
      t.match(answer.json(), { error: 'invalid_request' })
    }
  })
})

t.test('a nonce is not spent where the session cannot be kept, and a second use leaves no session behind', async t => {
  let isDown = true
  const store = memoryStore()
  const flaky = {
    ...store,
    create: async (session: Parameters<typeof store.create>[0]) =>
      isDown ? await Promise.reject(new Error('down')) : await store.create(session)
  }
  const provider = ownProvider(undefined, { nonce: 'required', accepts: ['id_token'] })
  const { app } = await sessionServer(t, { providers: { own: provider }, sessions: { store: flaky } })
  const { nonce } = (await app.inject({ method: 'POST', url: '/nonce' })).json()
  const login = async () =>
    await app.inject({ method: 'POST', url: '/login/own', payload: { id_token: 'good', nonce } })
  t.equal((await login()).statusCode, 503)
  isDown = false
  t.equal((await login()).statusCode, 200)
  t.equal((await login()).statusCode, 401)
  t.equal((await store.list(issuer, 'own:10158', 10)).length, 1)
})

t.test('a store that falls silent between the session and its nonce is waited for once: 503', async t => {
  let fallSilent = () => {}
  const silence = new Promise<void>(resolve => { fallSilent = resolve })
  const never = () => new Promise<never>(() => {})
  const silent = { spend: () => { fallSilent(); return never() }, revoke: never }
  const provider = ownProvider(undefined, { nonce: 'required', accepts: ['id_token'] })
  const { app } = await sessionServer(t, {
    providers: { own: provider },
    sessions: { store: { ...memoryStore(), ...silent } }
  })
  const { nonce } = (await app.inject({ method: 'POST', url: '/nonce' })).json()
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const login = app.inject({ method: 'POST', url: '/login/own', payload: { id_token: 'good', nonce } })
  await silence
  // The deadline of work that is not done at once is set when the loop comes round.
  await new Promise(resolve => setImmediate(resolve))
  // Whoever waits for the end of the session as well waits for a second tick, which never comes.
  mock.timers.tick(800)
  t.match((await login).json(), { statusCode: 503, code: 'AUTH_ERR_STORE_UNAVAILABLE' })
})

t.test('retiring a signing key logs nobody out while its secret is kept', async t => {
  const store = memoryStore()
  const before = await sessionServer(t, { sessions: { store } })
  const { refresh } = await before.login()
  const keys = 'Zk8sPq3Lw9Xv5Bn1Mc7Rt4Yj2Hg6Fd0D'
  const after = await sessionServer(t, {
    keys: [
      { algorithm: 'HS256', secret: keys },
      { algorithm: 'HS256', secret }
    ],
    sessions: { store }
  })
  t.equal((await after.refresh(refresh)).statusCode, 200)
})

t.test('the memory store says once that it serves one server, unless somebody chose it', async t => {
  for (const [sessions, times] of [[{}, 1], [{ store: memoryStore() }, 0]] as const) {
    const { app, log, login } = await loginServer({ sessions })
    t.teardown(() => app.close())
    for (let logins = 0; logins < 2; logins++) t.equal((await login({ access_token: 'good' })).statusCode, 200)
    t.equal(log().split('serves one server').length - 1, times)
  }
})

t.test('no refresh token is logged, and none is stored', async t => {
  const store = memoryStore()
  const rows: string[] = []
  const watched = {
    ...store,
    create: async (row: Parameters<typeof store.create>[0]) => {
      rows.push(JSON.stringify(row))
      await store.create(row)
    }
  }
  const { app, log, login } = await loginServer({ sessions: { store: watched } })
  t.teardown(() => app.close())
  const refreshToken: string = (await login({ access_token: 'good' })).json().refresh_token
  for (const token of [refreshToken, `${refreshToken.slice(0, -1)}_`]) {
    await app.inject({ method: 'POST', url: '/token', payload: { grant_type: 'refresh_token', refresh_token: token } })
  }
  const mac = refreshToken.slice(30)
  t.notOk(log().includes(mac))
  t.notOk(rows.join('').includes(mac))
})
