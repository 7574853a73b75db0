import { mock } from 'node:test'
import t from 'tap'
import type { RecentLogin } from '../../src/index.js'
import { requirementOf } from '../../src/guards/guards.js'
import { forge, goodClaims, testKey } from '../tokens/forge.js'
import { applicationKey, ask, masterKey, startApp, type Closing, type Outcome } from '../server.js'

const began = Date.UTC(2026, 10, 24, 12)
const now = began / 1000
mock.timers.enable({ apis: ['Date'], now: began })

const key = await testKey('HS256')
const bearer = (claims: object): Record<string, string> => ({
  authorization: `Bearer ${forge(key, { ...goodClaims(), ...claims })}`
})

/** What a route that asks for such a login answers. */
async function asking (
  t: Closing,
  login: RecentLogin
): Promise<(headers?: Record<string, string>) => Promise<Outcome>> {
  const app = await startApp(t, { keys: [key.option] })
  app.get('/', { onRequest: app.requireRecentLogin(login) }, () => 'ok')
  return headers => ask(app, headers)
}

t.test('a login is recent for maxAge seconds', async t => {
  const answer = await asking(t, { maxAge: 300 })
  t.equal((await answer(bearer({ auth_time: now }))).status, 200)
  t.equal((await answer(bearer({ auth_time: now - 300 }))).status, 200)
  t.strictSame(await answer(bearer({ auth_time: now - 301 })), {
    status: 401,
    code: 'AUTH_ERR_LOGIN_REQUIRED',
    challenge: 'Bearer error="insufficient_user_authentication", max_age="300"'
  })
})

t.test('a token that has proven itself grows too old like any other', async t => {
  t.teardown(() => mock.timers.setTime(began))
  const answer = await asking(t, { maxAge: 300 })
  const headers = bearer({ auth_time: now })
  t.equal((await answer(headers)).status, 200)
  mock.timers.tick(301_000)
  t.equal((await answer(headers)).code, 'AUTH_ERR_LOGIN_REQUIRED')
})

t.test('its acr is one of those that are accepted, which the challenge names (RFC 9470, 3)', async t => {
  const answer = await asking(t, { maxAge: 60, acr: ['urn:mfa', 'phr'] })
  t.equal((await answer(bearer({ auth_time: now, acr: 'phr' }))).status, 200)
  for (const claims of [{ acr: 'urn' }, {}, { acr: 'phr', auth_time: now - 61 }]) {
    t.strictSame(await answer(bearer({ auth_time: now, ...claims })), {
      status: 401,
      code: 'AUTH_ERR_LOGIN_REQUIRED',
      challenge: 'Bearer error="insufficient_user_authentication", max_age="60", acr_values="urn:mfa phr"'
    }, JSON.stringify(claims))
  }
})

t.test('a token that does not say when its user logged in is of no recent login', async t => {
  const answer = await asking(t, { maxAge: Number.MAX_SAFE_INTEGER })
  t.equal((await answer(bearer({}))).code, 'AUTH_ERR_LOGIN_REQUIRED')
  const app = await startApp(t)
  app.get('/', { onRequest: app.requireRecentLogin({ maxAge: 300 }) }, () => 'ok')
  const { access_token: issued } = app.tokenExchange.issue({ userId: 'ada' })
  t.equal((await ask(app, { authorization: `Bearer ${issued}` })).code, 'AUTH_ERR_LOGIN_REQUIRED')
})

t.test('a master key passes; nobody, and an application, lack a credential; a bad token is bad', async t => {
  const answer = await asking(t, { maxAge: 300 })
  t.equal((await answer({ 'x-zumo-master': masterKey })).status, 200)
  t.equal((await answer({ 'x-zumo-master': masterKey, ...bearer({}) })).status, 200)
  for (const headers of [{}, { 'x-zumo-application': applicationKey }]) {
    t.strictSame(await answer(headers), { status: 401, code: 'AUTH_ERR_CREDENTIAL_MISSING', challenge: 'Bearer' })
  }
  t.strictSame(await answer({ authorization: 'Bearer garbage' }), {
    status: 401,
    code: 'AUTH_ERR_TOKEN_INVALID',
    challenge: 'Bearer error="invalid_token"'
  })
})

t.test('the dialect answers it in its own words', async t => {
  const app = await startApp(t, { azureMobileServices: true, keys: [key.option] })
  app.get('/', { onRequest: app.requireRecentLogin({ maxAge: 300 }) }, () => 'ok')
  const answer = await app.inject({ url: '/', headers: bearer({}) })
  t.match(answer.json(), { code: 401, error: /^Error: .+/, errorCode: 'AUTH_ERR_LOGIN_REQUIRED' })
  t.match(answer.headers['www-authenticate'], /max_age="300"/)
})

t.test('what cannot be asked for throws where the route is declared', async t => {
  const app = await startApp(t)
  const rows: unknown[][] = [
    [], [300], [{}], [{ maxAge: 0 }], [{ maxAge: -1 }], [{ maxAge: 1.5 }], [{ maxAge: '300' }],
    [{ maxAge: 300, acr: [] }], [{ maxAge: 300, acr: 'urn:mfa' }], [{ maxAge: 300, acr: ['a b'] }],
    [{ maxAge: 300, acr: ['"'] }], [{ maxAge: 300, acr: ['\\'] }], [{ maxAge: 300, acr: ['é'] }],
    [{ maxAge: 300, acr: ['a\r\nb'] }], [{ maxage: 300 }]
  ]
  for (const args of rows) {
    t.throws(
      () => Reflect.apply(app.requireRecentLogin, app, args),
      { code: 'AUTH_ERR_OPTION_INVALID' },
      JSON.stringify(args)
    )
  }
})

t.test('the guard says what it asks for', async t => {
  const app = await startApp(t)
  const login = { maxAge: 300, acr: ['urn:mfa'] }
  t.strictSame(requirementOf(app.requireRecentLogin(login)), { recentLogin: login })
})
