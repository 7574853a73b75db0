import rateLimit from '@fastify/rate-limit'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import type { TokenExchangeEvent } from '../../src/events.js'
import type { ProviderEvent } from '../../src/identity.js'
import type { ToldProviderEvent } from '../../src/login/provider-events.js'
import { buildServer, codeIn, ownProvider, startApp } from '../server.js'
import { eventProviders, eventServer, idp, senderNames, senders } from './senders.js'

t.teardown(() => idp.close())

for (const name of senderNames) {
  const { revoke, status } = senders[name]

  t.test(`${name}: ends what the user that it names began, and nothing else; once`, async t => {
    const told: ToldProviderEvent[] = []
    const { post, login, call, refresh } = await eventServer(t, { onProviderEvent: event => { told.push(event) } })
    const [gone, again, stranger] = [await login(name, '101'), await login(name, '101'), await login(name, '102')]
    for (const { access } of [gone, again, stranger]) t.equal(await call(access), 200)
    const event = await revoke('101')
    const answer = await post(name, event)
    t.equal(answer.statusCode, status)
    t.equal(answer.body, '', 'nothing of the event in the answer')
    t.equal(answer.headers['cache-control'], 'no-store')
    for (const { access, refresh: token } of [gone, again]) {
      t.equal(await call(access), 401)
      t.equal(await refresh(token), 400)
    }
    t.equal(await call(stranger.access), 200)
    t.equal(await refresh(stranger.refresh), 200)
    t.match(told, [{ provider: name, subject: '101', at: Number }])
    t.ok(Object.isFrozen(told[0]))
    const later = await login(name, '101')
    t.equal(await call(later.access), 200, 'a login right after it is let in')
    t.equal((await post(name, event)).statusCode, status, 'a repeat is a success')
    t.equal(await call(later.access), 200, 'and nothing is done')
    t.equal(told.length, 1)
  })

  t.test(`${name}: what began later goes on when an event comes late`, async t => {
    idp.clock.offset(-60)
    t.teardown(() => idp.clock.offset(0))
    const event = await revoke('103')
    idp.clock.offset(0)
    const { post, login, call } = await eventServer(t)
    const { access } = await login(name, '103')
    t.equal((await post(name, event)).statusCode, status)
    // GitHub does not say when.
    t.equal(await call(access), name === 'github' ? 401 : 200)
  })

  t.test(`${name}: the application fails, and is told again; its sessions have ended`, async t => {
    const told: string[] = []
    const { post, login, call } = await eventServer(t, {
      async onProviderEvent ({ id }) {
        told.push(String(id))
        if (told.length === 1) throw new Error('the database is down')
      }
    })
    const { access } = await login(name, '104')
    const event = await revoke('104')
    const failed = await post(name, event)
    t.equal(failed.statusCode, 503)
    t.equal(codeIn(failed.body), 'AUTH_ERR_EVENT_FAILED')
    t.ok(failed.headers['retry-after'])
    t.notMatch(failed.body, /database/)
    t.equal(await call(access), 401)
    t.equal((await post(name, event)).statusCode, status)
    t.equal((await post(name, event)).statusCode, status)
    t.equal(told.length, 2)
    t.equal(told[0], told[1])
  })
}

t.test('off: 404, and only for those that are on', async t => {
  const { apple, facebook } = eventProviders()
  const app = await startApp(t, { providers: { apple, facebook, own: ownProvider() } })
  for (const path of ['/events/own', '/events/nobody', '/events/apple/deletion']) {
    const { statusCode, body } = await app.inject({ method: 'POST', url: path, payload: {} })
    t.equal(statusCode, 404, path)
    t.equal(codeIn(body), 'AUTH_ERR_PROVIDER_UNKNOWN', path)
  }
  const without = await startApp(t, { providers: { own: ownProvider() } })
  t.equal((await without.inject({ method: 'POST', url: '/events/own' })).statusCode, 404)
})

t.test('is told: what the provider said, what ended for it, in the log without the user', async t => {
  const heard: TokenExchangeEvent[] = []
  const { post, login } = await eventServer(t, { onEvent: event => { heard.push(event) } })
  for (const name of senderNames) {
    await login(name, '106')
    heard.length = 0
    await post(name, await senders[name].revoke('106'))
    const told = heard.filter(({ type }) => type === 'provider.event')
    const kind = name === 'oidc' ? 'sessions-revoked' : 'authorization-revoked'
    t.match(told, [{ type: 'provider.event', provider: name, kind, subject: '106', requestId: String }], name)
    t.match(heard.filter(({ type }) => type === 'session.ended'), [{ cause: 'provider', requestId: String }], name)
  }
})

t.test('what comes once meets no rate limit of the application', async t => {
  const prepare = (app: FastifyInstance) => app.register(rateLimit, { global: true, max: 1 })
  const app = await buildServer({ providers: eventProviders(), rateLimit: { max: 1 } }, { prepare })
  t.teardown(() => app.close())
  const statuses = []
  for (const user of ['107', '108', '109']) {
    const { headers, body } = idp.facebook.deauthorize(user)
    const answer = await app.inject({
      method: 'POST', url: '/events/facebook', headers: { ...headers }, payload: body
    })
    statuses.push(answer.statusCode)
  }
  t.same(statuses, [200, 200, 200])
})

t.test('a user who asks for the deletion of its data is told where to see how far it is', async t => {
  const told: ToldProviderEvent[] = []
  const { post, login, call } = await eventServer(t, { onProviderEvent: event => { told.push(event) } })
  const { access } = await login('facebook', '105')
  const request = idp.facebook.requestDeletion('105')
  const answer = await post('facebook/deletion', request)
  t.equal(answer.statusCode, 200)
  const { url, confirmation_code: code } = answer.json<Record<string, string>>()
  t.match(code, /^[0-9a-f]{32}$/)
  t.equal(url, `https://app.example.com/deletions/${code}`)
  t.match(told, [{ kind: 'data-deletion-requested', provider: 'facebook', subject: '105', id: code }])
  t.equal(await call(access), 401)
  t.same((await post('facebook/deletion', request)).json(), answer.json(), 'a repeat is answered alike')
  t.equal(told.length, 1)
  t.equal((await post('facebook', request)).statusCode, 200, 'the other callback, of the same second')
  t.match(told[1], { kind: 'authorization-revoked', subject: '105' })
})

t.test('a back-channel logout ends one session at the provider, or all of a user', async t => {
  const { post, login, call } = await eventServer(t)
  const inSession = async (sub: string, sid?: string) =>
    await login('oidc', sub, { id_token: await idp.oidc.idToken({ sub, sid }) })
  const [tab, phone, none] = [await inSession('7', 'tab'), await inSession('7', 'phone'), await inSession('7')]
  t.equal((await post('oidc', await idp.oidc.logout({ sub: '7', sid: 'tab' }))).statusCode, 200)
  t.same(await Promise.all([tab, phone, none].map(({ access }) => call(access))), [401, 200, 200])
  t.equal((await post('oidc', await idp.oidc.logout({ sid: 'phone' }))).statusCode, 200)
  t.same(await Promise.all([phone, none].map(({ access }) => call(access))), [401, 200])
  t.equal((await post('oidc', await idp.oidc.logout({ sub: '7' }))).statusCode, 200)
  t.equal(await call(none.access), 401)
})

t.test('a logout token is no login, and an ID token no logout', async t => {
  const { app, post } = await eventServer(t)
  const { body } = await idp.oidc.logout({ sub: '8' }, { exp: idp.clock.now() + 60 }, { typ: 'JWT' })
  const token = new URLSearchParams(body).get('logout_token')
  const login = await app.inject({ method: 'POST', url: '/login/oidc', payload: { id_token: token } })
  t.equal(login.statusCode, 401)
  t.equal(codeIn(login.body), 'AUTH_ERR_GRANT_REJECTED')
  const idToken = await idp.oidc.idToken({ jti: 'a' })
  const logout = await post('oidc', {
    headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: `logout_token=${idToken}`
  })
  t.equal(codeIn(logout.body), 'AUTH_ERR_EVENT_INVALID')
})

const good: ProviderEvent = {
  kind: 'account-deleted', subject: '10158', providerSession: null, at: Date.now(), id: 'a'
}

t.test('an own provider: the raw body, its events, its outages', async t => {
  const bodies: Buffer[] = []
  let answer: () => unknown = () => []
  const own = ownProvider(undefined, {
    async readEvents ({ headers, body }, { signal }) {
      t.type(signal, AbortSignal)
      t.equal(headers['x-signature'], 'a')
      bodies.push(body)
      return JSON.parse(JSON.stringify(answer()))
    }
  })
  const { app } = await eventServer(t, { providers: { own } })
  const post = async (given: () => unknown) => {
    answer = given
    const answered = await app.inject({
      method: 'POST',
      url: '/events/own',
      headers: { 'x-signature': 'a', 'content-type': 'text/whatever' },
      payload: Buffer.from([0, 255, 1])
    })
    return [answered.statusCode, codeIn(answered.body)]
  }
  const failing = (code: string) => () => { throw Object.assign(new Error('no'), { code }) }
  const login = await app.inject({ method: 'POST', url: '/login/own', payload: { access_token: 'good' } })
  const { access_token: token } = login.json<{ access_token: string }>()
  const unavailable = [503, 'AUTH_ERR_PROVIDER_UNAVAILABLE']
  t.same(await post(failing('AUTH_ERR_EVENT_INVALID')), [400, 'AUTH_ERR_EVENT_INVALID'])
  t.same(await post(failing('AUTH_ERR_GRANT_REJECTED')), [400, 'AUTH_ERR_EVENT_INVALID'])
  t.same(await post(failing('AUTH_ERR_PROVIDER_UNAVAILABLE')), unavailable)
  t.same(await post(failing('ECONNREFUSED')), unavailable)
  const wrong = [
    null, { kind: 'another' }, { at: 'now' }, { subject: 1 }, { id: '' }, { providerSession: {} }
  ].map(member => [member && { ...good, ...member }])
  for (const junk of [null, {}, ...wrong]) {
    t.same(await post(() => junk), unavailable, JSON.stringify(junk))
  }
  t.same(await post(() => []), [200, undefined])
  t.ok(app.tokenExchange.verify(token))
  t.same(await post(() => [{ kind: good.kind, subject: good.subject }]), [200, undefined], 'at: as it came')
  t.throws(() => app.tokenExchange.verify(token), { code: 'AUTH_ERR_TOKEN_REVOKED' })
  t.ok(bodies.every(body => body.equals(Buffer.from([0, 255, 1]))))
})

t.test('no application is told of more than there is; events of one id are done together', async t => {
  const told: ToldProviderEvent[] = []
  const events = [good, { ...good, kind: 'account-enabled' as const }, { ...good, id: 'b', at: 5.5 }]
  const own = ownProvider(undefined, { readEvents: async () => events })
  const { app } = await eventServer(t, {
    providers: { own }, onProviderEvent: event => { told.push(event) }
  })
  const post = () => app.inject({ method: 'POST', url: '/events/own' })
  const before = Date.now()
  events[0] = { ...good, at: before + 60_000 }
  await Promise.all([post(), post(), post()])
  t.same(told.map(({ kind, id }) => [kind, id]), [
    ['account-deleted', 'a'], ['account-enabled', 'a'], ['account-deleted', 'b']
  ])
  t.ok((told[0]?.at ?? Infinity) <= Date.now(), 'nothing happens later than now')
})
