import { subscribe, tracingChannel, unsubscribe } from 'node:diagnostics_channel'
import type { FastifyRequest } from 'fastify'
import t from 'tap'
import { errors } from '../src/errors.js'
import type { TokenExchangeEvent } from '../src/events.js'
import { google } from '../src/providers/google.js'
import { memoryStore } from '../src/sessions/stores/memory.js'
import { startIdentityServer } from '../src/testing/index.js'
import {
  authorizationServer, authorizePath, codeOf, openBrowser, redeem, stateOf
} from './routes/authorization-server.js'
import { logStream, ownProvider, startApp, type Closing, type Options } from './server.js'

const idp = await startIdentityServer()
t.teardown(() => idp.close())

interface Heard { event: TokenExchangeEvent, request: FastifyRequest | null }

async function server (t: Closing, options: Options = {}, isSilent = false) {
  const heard: Heard[] = []
  const onEvent = (event: TokenExchangeEvent, request: FastifyRequest | null) => { heard.push({ event, request }) }
  const { stream, text } = logStream()
  const app = await startApp(t, {
    providers: { own: ownProvider(), google: google(idp.google.options) },
    sessions: { store: memoryStore() },
    ...(isSilent ? {} : { onEvent }),
    ...options
  }, { logger: { level: 'info', stream } })
  app.get('/user', { onRequest: app.requireUser() }, () => 'user')
  app.get('/admin', { onRequest: app.requireLevel('admin') }, () => 'admin')
  const post = (url: string, payload: object, headers: Record<string, string> = {}) =>
    app.inject({ method: 'POST', url, payload, headers })
  return {
    app,
    heard,
    post,
    log: text,
    login: async () => (await post('/login/own', { access_token: 'good' })).json(),
    refresh: (token: string) => post('/token', { grant_type: 'refresh_token', refresh_token: token }),
    /** What was heard since it was last asked. */
    events: () => heard.splice(0).map(({ event }) => event)
  }
}

t.test('a login is told: who, where, which session, for how long', async t => {
  const { heard, login, app } = await server(t)
  const before = Date.now()
  const { access_token: token } = await login()
  const [{ event, request } = { event: null, request: null }, ...more] = heard
  t.same(more, [])
  t.ok(Object.isFrozen(event))
  const { sessionId } = app.tokenExchange.verify(token)
  t.match(event, {
    type: 'login.succeeded',
    provider: 'own',
    subject: '10158',
    userId: 'own:10158',
    sessionId,
    requestId: request?.id,
    milliseconds: Number
  })
  t.ok(event !== null && event.at >= before && event.at <= Date.now())
  t.equal(request?.url, '/login/own')
})

t.test('a refusal is told by the check that said no, and one line of the log says what was compared', async t => {
  const { events, post, log } = await server(t)
  const now = Math.floor(Date.now() / 1000)
  const good = await idp.google.idToken()
  const idToken = idp.google.idToken
  const clientIds = { expected: idp.google.options.clientIds }
  const rows: Array<[string, string, object]> = [
    ['form', 'x.y.z', {}],
    ['audience', await idToken({ aud: 'another-app' }), { ...clientIds, got: 'another-app' }],
    ['issuer', await idp.google.idToken({ iss: 'https://evil.example' }), { got: 'https://evil.example' }],
    ['time', await idp.google.idToken({ exp: now - 100 }), { expected: 'later than now', got: /^10\d s ago$/ }],
    ['subject', await idp.google.idToken({ sub: '' }), {}],
    ['algorithm', await idp.google.idToken({}, { alg: 'HS256' }), { expected: ['RS256'], got: 'HS256' }],
    ['key', await idp.google.idToken({}, { kid: 'unknown' }), {}],
    ['signature', `${good.slice(0, -6)}AAAAAA`, {}]
  ]
  for (const [check, token, compared] of rows) {
    const answer = await post('/login/google', { id_token: token })
    t.equal(answer.statusCode, 401, check)
    t.match(events(), [{ type: 'login.refused', provider: 'google', code: 'AUTH_ERR_GRANT_REJECTED', check }], check)
    const lines = log().trim().split('\n').map(line => JSON.parse(line)).filter(line => line.check === check)
    t.equal(lines.length, 1, check)
    t.match(lines[0], { level: 30, provider: 'google', code: 'AUTH_ERR_GRANT_REJECTED', check, ...compared }, check)
  }
  await post('/login/google', { id_token: good, nonce: 'another' })
  t.match(events(), [{ type: 'login.refused', check: 'nonce' }])
  await post('/login/own', { access_token: 'bad' })
  t.match(events(), [{ type: 'login.refused', provider: 'own', check: 'token' }], "the provider's own no")
})

t.test("the application's no is told without a check; what is malformed or unknown not at all", async t => {
  const { events, post } = await server(t, { permissions: () => null })
  await post('/login/own', { access_token: 'good' })
  const [event, ...more] = events()
  t.match(event, { type: 'login.refused', code: 'AUTH_ERR_ACCESS_DENIED' })
  t.notOk(event !== undefined && 'check' in event)
  t.same(more, [])
  await post('/login/own', {})
  await post('/login/nobody', { access_token: 'good' })
  await post('/token', { grant_type: 'refresh_token' })
  t.same(events(), [])
})

t.test('an outage of a provider is told when it begins and when it ends', async t => {
  let isDown = true
  const { app, events, post } = await server(t, {
    providers: {
      own: ownProvider(() => {
        if (isDown) throw new Error('down')
        return { subject: '1' }
      })
    }
  })
  const login = () => post('/login/own', { access_token: 'good' })
  await login()
  await login()
  t.match(events(), [
    { type: 'provider.unavailable', provider: 'own', code: 'AUTH_ERR_PROVIDER_UNAVAILABLE', requestId: null },
    { type: 'login.failed', provider: 'own', code: 'AUTH_ERR_PROVIDER_UNAVAILABLE' },
    { type: 'login.failed' }
  ])
  t.match(app.tokenExchange.health(), { ok: true, providers: { own: { ok: false, keysAge: null } } })
  isDown = false
  await login()
  t.match(events(), [{ type: 'provider.recovered', provider: 'own' }, { type: 'login.succeeded' }])
  t.match(app.tokenExchange.health(), { providers: { own: { ok: true } } })
})

t.test('a refresh is told with why its token came', async t => {
  let [gate, waiting] = [Promise.resolve(), 0]
  const { app, events, login, refresh } = await server(t, {
    permissions: async () => {
      waiting++
      await gate
      return {}
    }
  })
  const first = await login()
  events()
  const second = (await refresh(first.refresh_token)).json()
  await refresh(first.refresh_token)
  t.match(events(), [
    { type: 'session.refreshed', retry: 'none', provider: 'own', userId: 'own:10158', sessionId: String },
    { type: 'session.refreshed', retry: 'lost-answer' }
  ])
  await app.inject({ url: '/user', headers: { authorization: `Bearer ${second.access_token}` } })
  await refresh(first.refresh_token)
  t.match(events(), [{ type: 'session.refreshed', retry: 'concurrent' }], 'its answer had arrived')
  const third = (await refresh(second.refresh_token)).json()
  events()
  let isOpen = (): void => {}
  waiting = 0
  gate = new Promise(resolve => { isOpen = resolve })
  const both = [refresh(third.refresh_token), refresh(third.refresh_token)]
  const isWaiting = () => waiting === 2
  while (!isWaiting()) await new Promise(resolve => { setImmediate(resolve) })
  isOpen()
  await Promise.all(both)
  t.same(events().map(event => event.type === 'session.refreshed' && event.retry).sort(), ['concurrent', 'none'])
  await refresh('x')
  t.match(events(), [{ type: 'refresh.refused', code: 'AUTH_ERR_REFRESH_INVALID' }])
})

t.test('the end of a session is told with its cause', async t => {
  let isDenied = false
  const { app, events, post, login, refresh } = await server(t, { permissions: () => isDenied ? null : {} })
  const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
  const ended = (cause: string) => ({ type: 'session.ended', cause, userId: 'own:10158', sessionId: String })
  const told = () => events().filter(({ type }) => type !== 'login.succeeded' && type !== 'session.refreshed')

  await post('/logout', {}, bearer((await login()).access_token))
  t.match(told(), [{ ...ended('logout'), requestId: String }])
  await login()
  await login()
  const last = await login()
  await post('/logout', { scope: 'others' }, bearer(last.access_token))
  t.match(told(), [ended('logout'), ended('logout')])
  await app.tokenExchange.revokeUser('own:10158')
  t.match(told(), [{ ...ended('revoked'), requestId: null }])
  await post('/revoke', { token: (await login()).refresh_token })
  t.match(told(), [{ ...ended('revoked'), requestId: String }])
  await post('/revoke', { token: (await login()).access_token })
  t.match(told(), [{ type: 'token.revoked', userId: 'own:10158', sessionId: String }])
  await app.tokenExchange.revokeIdentity('own', '10158')
  t.match(told(), [ended('revoked')])

  const stolen = await login()
  const { refresh_token: second } = (await refresh(stolen.refresh_token)).json()
  await refresh(second)
  await refresh(stolen.refresh_token)
  t.match(told(), [
    { type: 'session.reused', provider: 'own', subject: '10158', userId: 'own:10158', sessionId: String },
    { ...ended('reused'), requestId: String },
    { type: 'refresh.refused', code: 'AUTH_ERR_REFRESH_REUSED' }
  ])
  const { refresh_token: token } = await login()
  isDenied = true
  await refresh(token)
  t.match(told(), [ended('denied'), {
    type: 'refresh.refused', code: 'AUTH_ERR_ACCESS_DENIED', provider: 'own', subject: '10158', sessionId: String
  }])
})

t.test('a code that comes again ends its session', async t => {
  const heard: TokenExchangeEvent[] = []
  const { app } = await authorizationServer(t, { onEvent: event => { heard.push(event) } })
  const code = await codeOf(openBrowser(app))
  await redeem(app, code)
  await redeem(app, code)
  t.match(heard.splice(0), [
    { type: 'login.succeeded', clientId: 'web' },
    { type: 'session.ended', cause: 'code-reused', clientId: 'web', requestId: String }
  ])
  const another = await codeOf(openBrowser(app))
  await Promise.all([redeem(app, another), redeem(app, another)])
  t.match(heard, [{ type: 'login.refused', check: 'replay' }], 'or is refused in the middle of its login')
})

t.test('whom the application says no to is named', async t => {
  const { events, post } = await server(t, {
    permissions: (_identity, { request: { headers: { x } } }) => {
      if (x === 'link') throw new errors.LinkRequiredError()
      if (x === 'down') throw new Error('down')
      return null
    }
  })
  for (const x of ['no', 'link', 'down']) await post('/login/own', { access_token: 'good' }, { x })
  t.match(events(), [
    { type: 'login.refused', provider: 'own', subject: '10158', code: 'AUTH_ERR_ACCESS_DENIED' },
    { type: 'login.refused', provider: 'own', subject: '10158', code: 'AUTH_ERR_LINK_REQUIRED' },
    { type: 'login.failed', provider: 'own', subject: '10158', code: 'AUTH_ERR_LOOKUP_FAILED' }
  ])
})

t.test('a guard tells whom it refuses', async t => {
  const { app, events, login } = await server(t)
  const { access_token: token } = await login()
  const bearer = { authorization: `Bearer ${token}` }
  events()
  await app.inject('/user')
  await app.inject({ url: '/user', headers: { authorization: 'Bearer x' } })
  await app.inject({ url: '/admin', headers: bearer })
  await app.inject({ url: '/user', headers: { ...bearer, 'x-zumo-auth': 'another' } })
  await app.inject({ url: '/user', headers: bearer })
  t.match(events(), [
    { type: 'access.refused', code: 'AUTH_ERR_CREDENTIAL_MISSING' },
    { type: 'access.refused', code: 'AUTH_ERR_TOKEN_INVALID' },
    { type: 'access.refused', code: 'AUTH_ERR_LEVEL_INSUFFICIENT', userId: 'own:10158', sessionId: String }
  ])
})

t.test('a login by redirect is told as any other', async t => {
  const heard: TokenExchangeEvent[] = []
  const { app, log } = await authorizationServer(t, { onEvent: event => { heard.push(event) } })
  const browser = openBrowser(app)
  await redeem(app, await codeOf(browser))
  t.match(heard.splice(0), [{ type: 'login.succeeded', provider: 'own', clientId: 'web' }])
  for (const [query, told] of [
    ['code=bad', { type: 'login.refused', check: 'token' }],
    ['error=access_denied', { type: 'login.refused', check: 'token' }],
    ['code=good&code=good', { type: 'login.refused', check: 'form' }],
    ['code=down', { type: 'login.failed' }]
  ] as const) {
    const begun = await browser.visit(authorizePath())
    await browser.visit(`/callback/own?state=${stateOf(begun)}&${query}`)
    t.match(heard.splice(0).filter(({ type }) => type.startsWith('login.')), [told], query)
  }
  t.match(log(), /"reqId":[^}]*"provider":"own"[^}]*"check":"token"/)
  await browser.visit('/callback/own?code=good&state=x')
  t.same(heard, [], 'an answer that belongs to no login')
})

t.test('the store falls silent, is back, and what another server revoked is heard', async t => {
  const store = memoryStore()
  let isDown = false
  const failing = {
    ...store,
    revocations: async (...given: Parameters<typeof store.revocations>) => {
      if (isDown) throw new Error('down')
      return await store.revocations(...given)
    }
  }
  const other = await server(t, { sessions: { store } })
  const { app, heard } = await server(t, { sessions: { store: failing } })
  const until = async (type: string) => {
    while (!heard.some(({ event }) => event.type === type)) await new Promise(resolve => { setImmediate(resolve) })
  }
  await other.app.tokenExchange.revokeUser('own:1')
  await until('revocation.heard')
  t.match(heard.map(({ event }) => event), [{ type: 'revocation.heard', milliseconds: Number, requestId: null }])
  t.notOk(other.events().some(({ type }) => type === 'revocation.heard'), 'not by the one that revoked')
  heard.length = 0
  await other.app.tokenExchange.revokeIdentity('own', '1', { before: Date.now() - 3_600_000 })
  await until('revocation.heard')
  t.ok((heard[0]?.event.milliseconds ?? Infinity) < 60_000, 'since it was made, however old is what it ends')
  isDown = true
  await until('store.unavailable')
  t.match(app.tokenExchange.health(), { ok: false, store: { ok: false, since: Number, lag: Number } })
  isDown = false
  await until('store.recovered')
  t.match(app.tokenExchange.health(), { ok: true, store: { ok: true } })
})

t.test('a listener that throws, or answers with a promise that does, changes nothing and is logged', async t => {
  const rejecting: () => unknown = async () => { throw new Error('mine') }
  for (const onEvent of [() => { throw new Error('mine') }, () => rejecting()]) {
    const { login, log } = await server(t, { onEvent })
    t.ok((await login()).access_token)
    await new Promise(resolve => { setImmediate(resolve) })
    t.match(log(), /onEvent failed/)
  }
  await t.rejects(Reflect.apply(startApp, undefined, [t, { onEvent: 'mine' }]), {
    code: 'AUTH_ERR_OPTION_INVALID', message: /onEvent/
  })
})

t.test('node:diagnostics_channel tells the same, and its tracing channels never a result', async t => {
  const heard: unknown[] = []
  const listen = (event: unknown) => { heard.push(event) }
  subscribe('fastify-token-exchange:event', listen)
  t.teardown(() => unsubscribe('fastify-token-exchange:event', listen))
  const traced: Array<[string, string, unknown]> = []
  for (const name of ['verify', 'lookup', 'store']) {
    const subscribers = Object.fromEntries(['start', 'end', 'asyncStart', 'asyncEnd', 'error'].map(stage => [
      stage, (context: object) => { traced.push([name, stage, { ...context }]) }
    ]))
    const channel = tracingChannel(`fastify-token-exchange:${name}`)
    Reflect.apply(channel.subscribe, channel, [subscribers])
    t.teardown(() => Reflect.apply(channel.unsubscribe, channel, [subscribers]))
  }
  const { login, post } = await server(t, {}, true)
  await login()
  t.match(heard, [{ type: 'login.succeeded' }])
  t.match(traced.filter(([name]) => name === 'verify'), [
    ['verify', 'start', { operation: 'verify', provider: 'own' }],
    ['verify', 'end', {}],
    ['verify', 'asyncStart', {}],
    ['verify', 'asyncEnd', {}]
  ])
  const started = (channel: string) => traced.filter(([name, stage]) => name === channel && stage === 'start')
  t.match(started('lookup'), [['lookup', 'start', { operation: 'login', provider: 'own' }]])
  const operations = started('store').map(([, , context]) => Reflect.get(Object(context), 'operation'))
  t.ok(operations.includes('create') && operations.includes('list'))
  await post('/login/own', { access_token: 'bad' })
  t.match(traced.find(([name, stage]) => name === 'verify' && stage === 'error'), [
    'verify', 'error', { operation: 'verify', provider: 'own', code: 'AUTH_ERR_GRANT_REJECTED' }
  ])
  const members = new Set(traced.flatMap(([, , context]) => Object.keys(Object(context))))
  t.same([...members].sort(), ['code', 'operation', 'provider'])
})
