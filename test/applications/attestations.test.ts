import { mock } from 'node:test'
import t, { type Test } from 'tap'
import { appCheck } from '../../src/applications/index.js'
import type { ApplicationVerifier, ProvenApplication, TokenExchangeOptions } from '../../src/index.js'
import { startIdentityServer } from '../../src/testing/index.js'
import { applicationKey, ask, masterKey, ownProvider, startApp } from '../server.js'

const began = Date.UTC(2026, 10, 24, 12)
const seconds = began / 1000
mock.timers.enable({ apis: ['Date'], now: began })
t.afterEach(() => mock.timers.setTime(began))

const rejected = (): Error => Object.assign(new Error('no'), { code: 'AUTH_ERR_GRANT_REJECTED' })
const down = (): Error => new Error('connect ECONNREFUSED')

/** An application's own verifier: it knows what is `good`, and counts who asks. */
function ownVerifier (answers: Record<string, unknown> = {}): ApplicationVerifier & { asked: string[] } {
  const asked: string[] = []
  const all: Record<string, unknown> = {
    good: { expiresAt: seconds + 600 },
    ios: { expiresAt: seconds + 600, application: 'ios' },
    bad: rejected(),
    down: down(),
    ...answers
  }
  return {
    asked,
    header: 'X-Attest',
    async verify (token): Promise<ProvenApplication> {
      asked.push(token)
      const answer = all[token] ?? rejected()
      if (answer instanceof Error) throw answer
      return JSON.parse(JSON.stringify(answer))
    }
  }
}

async function server (t: Test, verifier: ApplicationVerifier, options: Partial<TokenExchangeOptions> = {}) {
  const app = await startApp(t, { applications: { mobile: verifier }, ...options })
  for (const level of ['everyone', 'application', 'authenticated', 'admin'] as const) {
    app.get(`/${level}`, { onRequest: app.requireLevel(level) }, request => request.auth)
  }
  app.get('/user', { onRequest: app.requireUser() }, () => 'ok')
  app.get('/access', { onRequest: app.requireAccess(auth => auth.application === 'mobile/ios') }, () => 'ok')
  await app.ready()
  return app
}

t.test('the levels with an attestation in the place of the key', async t => {
  const app = await server(t, ownVerifier())
  const { access_token: user } = app.tokenExchange.issue({ userId: 'ada' })
  const bearer = { authorization: `Bearer ${user}` }
  const [pass, missing] = [undefined, 'AUTH_ERR_CREDENTIAL_MISSING']
  const [insufficient, invalid] = ['AUTH_ERR_LEVEL_INSUFFICIENT', 'AUTH_ERR_APPLICATION_INVALID']
  const key = { 'x-zumo-application': applicationKey }
  const unavailable = 'AUTH_ERR_PROVIDER_UNAVAILABLE'
  const rows: Array<[string, Record<string, string>, Array<string | undefined>]> = [
    ['none', {}, [pass, missing, missing, missing]],
    ['empty', { 'x-attest': '' }, [pass, missing, missing, missing]],
    ['good', { 'x-attest': 'good' }, [pass, pass, missing, missing]],
    ['good and a user', { 'x-attest': 'good', ...bearer }, [pass, pass, pass, insufficient]],
    ['good and a master key', { 'x-attest': 'good', 'x-zumo-master': masterKey }, [pass, pass, pass, pass]],
    ['bad', { 'x-attest': 'bad' }, [invalid, invalid, invalid, invalid]],
    ['bad and a good key', { 'x-attest': 'bad', ...key }, [invalid, invalid, invalid, invalid]],
    ['bad and a user', { 'x-attest': 'bad', ...bearer }, [invalid, invalid, invalid, invalid]],
    ['bad and a master key', { 'x-attest': 'bad', 'x-zumo-master': masterKey }, [invalid, invalid, invalid, invalid]],
    ['outage', { 'x-attest': 'down' }, [pass, unavailable, missing, missing]],
    ['outage and a good key', { 'x-attest': 'down', ...key }, [pass, pass, missing, missing]],
    ['outage and a master key', { 'x-attest': 'down', 'x-zumo-master': masterKey }, [pass, pass, pass, pass]],
    ['outage and a user', { 'x-attest': 'down', ...bearer }, [pass, unavailable, pass, insufficient]]
  ]
  for (const [name, headers, codes] of rows) {
    for (const [at, level] of ['everyone', 'application', 'authenticated', 'admin'].entries()) {
      for (const state of ['cold', 'warm']) {
        t.equal((await ask(app, headers, `/${level}`)).code, codes[at], `${name}, ${state}: ${level}`)
      }
    }
  }
  t.match(await ask(app, { 'x-attest': 'bad' }, '/everyone'), { status: 401, challenge: 'Bearer' })
  const outage = await app.inject({ url: '/application', headers: { 'x-attest': 'down' } })
  t.match([outage.statusCode, outage.headers['retry-after']], [503, '5'])
})

t.test('of two attestations each is judged, and the first one is the label', async t => {
  const applications = { mobile: ownVerifier(), partner: { ...ownVerifier(), header: 'X-Partner' } }
  const app = await server(t, ownVerifier(), { applications })
  const rows: Array<[mobile: string, partner: string, code: string | undefined]> = [
    ['good', 'good', undefined], ['good', 'down', undefined], ['down', 'good', undefined],
    ['good', 'bad', 'AUTH_ERR_APPLICATION_INVALID'], ['bad', 'good', 'AUTH_ERR_APPLICATION_INVALID'],
    ['down', 'bad', 'AUTH_ERR_APPLICATION_INVALID'], ['down', 'down', 'AUTH_ERR_PROVIDER_UNAVAILABLE']
  ]
  for (const [mobile, partner, code] of rows) {
    const answer = await ask(app, { 'x-attest': mobile, 'x-partner': partner }, '/application')
    t.equal(answer.code, code, `${mobile}, ${partner}`)
  }
  const both = await app.inject({ url: '/application', headers: { 'x-attest': 'good', 'x-partner': 'ios' } })
  t.match(both.json(), { application: 'mobile' })
})

t.test('request.auth names it by its label, and by what it is of several', async t => {
  const app = await server(t, ownVerifier())
  const applicationOf = async (headers: Record<string, string>) =>
    (await app.inject({ url: '/everyone', headers })).json<{ application: string, level: string }>()
  t.match(await applicationOf({ 'x-attest': 'good' }), { application: 'mobile', level: 'application' })
  t.match(await applicationOf({ 'x-attest': 'ios' }), { application: 'mobile/ios' })
  const both = { 'x-attest': 'good', 'x-zumo-application': applicationKey }
  t.match(await applicationOf(both), { application: 'mobile' }, 'what proves more comes first')
  t.equal((await ask(app, { 'x-attest': 'ios', 'x-zumo-master': masterKey }, '/access')).status, 200)
})

t.test('it is asked once, until what it has proven expires', async t => {
  const verifier = ownVerifier({ short: { expiresAt: seconds + 10 }, over: { expiresAt: seconds } })
  const app = await server(t, verifier)
  for (let time = 0; time < 3; time++) t.equal((await ask(app, { 'x-attest': 'short' }, '/application')).status, 200)
  t.strictSame(verifier.asked, ['short'])
  mock.timers.setTime(began + 10_000)
  t.equal((await ask(app, { 'x-attest': 'short' }, '/application')).code, 'AUTH_ERR_APPLICATION_INVALID')
  t.equal((await ask(app, { 'x-attest': 'over' }, '/application')).code, 'AUTH_ERR_APPLICATION_INVALID')
  t.strictSame(verifier.asked, ['short', 'short', 'over'])
})

t.test('requests at once with one token share one question', async t => {
  const verifier = ownVerifier()
  const app = await server(t, verifier)
  const answers = await Promise.all(Array.from({ length: 20 }, () => ask(app, { 'x-attest': 'good' }, '/application')))
  t.ok(answers.every(({ status }) => status === 200))
  t.strictSame(verifier.asked, ['good'])
})

t.test('what is refused is not remembered, and pushes nobody out', async t => {
  const verifier = ownVerifier()
  const app = await server(t, verifier)
  for (let time = 0; time < 2; time++) await ask(app, { 'x-attest': 'bad' }, '/application')
  t.strictSame(verifier.asked, ['bad', 'bad'])
  t.equal((await ask(app, { 'x-attest': 'x'.repeat(8193) }, '/application')).code, 'AUTH_ERR_APPLICATION_INVALID')
  t.equal(verifier.asked.length, 2, 'what is too long is not looked at')
})

t.test('junk is an outage', async t => {
  const rows: Record<string, unknown> = {
    nothing: null,
    text: 'yes',
    empty: {},
    time: { expiresAt: '2030' },
    endless: { expiresAt: null },
    name: { expiresAt: seconds + 600, application: '' },
    number: { expiresAt: seconds + 600, application: 1 }
  }
  const app = await server(t, ownVerifier(rows))
  for (const name of Object.keys(rows).filter(name => rows[name] !== null)) {
    t.equal((await ask(app, { 'x-attest': name }, '/application')).code, 'AUTH_ERR_PROVIDER_UNAVAILABLE', name)
  }
})

t.test('a verifier that hangs is waited for as long as a provider', async t => {
  const hanging: ApplicationVerifier = { header: 'X-Attest', verify: () => new Promise(() => {}) }
  const app = await server(t, hanging, { providerTimeout: 20 })
  t.equal((await ask(app, { 'x-attest': 'x' }, '/application')).code, 'AUTH_ERR_PROVIDER_UNAVAILABLE')
  t.equal((await ask(app, { 'x-attest': 'x' }, '/everyone')).status, 200)
})

t.test('sent twice: 400; a preflight and an own route', async t => {
  const verifier = ownVerifier()
  const app = await server(t, verifier, { providers: { own: ownProvider() } })
  t.equal((await ask(app, { 'x-attest': ['good', 'good'] }, '/everyone')).code, 'AUTH_ERR_REQUEST_INVALID')
  t.strictSame(verifier.asked, [])
  const login = async (attest: string) => (await app.inject({
    method: 'POST', url: '/login/own', headers: { 'x-attest': attest }, payload: { access_token: 'good' }
  })).statusCode
  t.equal(await login('good'), 200)
  t.equal(await login('bad'), 401)
})

t.test('browsers may send it', async t => {
  const origin = 'https://www.example.com'
  const app = await server(t, ownVerifier(), { cors: { origins: [origin] } })
  const headers = { origin, 'access-control-request-method': 'GET', 'access-control-request-headers': 'x-attest' }
  const answer = await app.inject({ method: 'OPTIONS', url: '/everyone', headers })
  t.match(answer.headers['access-control-allow-headers'], /X-Attest/)
})

t.test('options that must not start', async t => {
  const good = ownVerifier()
  const rows: unknown[] = [
    [good], 'x', { mobile: null }, { mobile: {} }, { mobile: { header: 'X' } }, { mobile: { verify () {} } },
    { mobile: { header: 'a b', verify () {} } }, { mobile: { header: 'Authorization', verify () {} } },
    { mobile: { header: 'X-ZUMO-AUTH', verify () {} } }, { mobile: { header: 'x-zumo-application', verify () {} } },
    { mobile: { header: 'DPoP', verify () {} } }, { one: good, other: { ...good, header: 'x-attest' } }
  ]
  for (const applications of rows) {
    await t.rejects(
      async () => { await Reflect.apply(startApp, null, [t, { applications }]) },
      { code: 'AUTH_ERR_OPTION_INVALID', message: /applications/ }
    )
  }
})

t.test('Firebase App Check', async t => {
  const idp = await startIdentityServer()
  t.teardown(() => idp.close())
  const { appCheck: local } = idp
  const app = await server(t, appCheck(local.options), { providerTimeout: 1000 })
  const codeOf = async (token: string, url = '/application') =>
    (await ask(app, { [local.header.toLowerCase()]: token }, url)).code
  const applicationOf = async (token: string) => {
    const answer = await app.inject({ url: '/application', headers: { 'x-firebase-appcheck': token } })
    return answer.json<{ application: string }>()
  }

  const good = await local.token()
  t.match(await applicationOf(good), { application: `mobile/${local.options.appIds[0]}` })
  t.match(await applicationOf(await local.token({ sub: local.options.appIds[1] })), {
    application: `mobile/${local.options.appIds[1]}`
  })
  const rows: Array<[string, string]> = [
    ['another project', await local.token({ iss: 'https://firebaseappcheck.googleapis.com/1043' })],
    ['an issuer that begins like it', await local.token({ iss: 'https://firebaseappcheck.googleapis.com/10420' })],
    ['an audience of another project', await local.token({ aud: ['projects/1043'] })],
    ['an audience that is text', await local.token({ aud: 'projects/1042' })],
    ['no audience', await local.token({ aud: undefined })],
    ['another app of the project', await local.token({ sub: '1:1042:ios:ffff' })],
    ['no app', await local.token({ sub: undefined })],
    ['expired', await local.token({ exp: seconds })],
    ['without an end', await local.token({ exp: undefined })],
    ['of tomorrow', await local.token({ iat: seconds + 86_400 })],
    ['alg none', await local.token({}, { alg: 'none' })],
    ['HS256', await local.token({}, { alg: 'HS256' })],
    ['another key', await local.token({}, { kid: 'x' })],
    ['crit', await local.token({}, { crit: ['x'] })],
    ['an ID token', await idp.google.idToken()],
    ['garbage', 'garbage'],
    ['its signature broken', `${good.slice(0, -8)}AAAAAAAA`],
    ['other spelling', `${good}=`]
  ]
  for (const [name, token] of rows) t.equal(await codeOf(token), 'AUTH_ERR_APPLICATION_INVALID', name)

  const calls = idp.calls.length
  for (let time = 0; time < 5; time++) await codeOf(await local.token({ jti: String(time) }))
  t.equal(idp.calls.length, calls, 'nobody is asked about a token')

  mock.timers.setTime(began + 3_600_000)
  t.equal(await codeOf(good), 'AUTH_ERR_APPLICATION_INVALID', 'expired')
})

t.test('Firebase App Check, while its keys cannot be had', async t => {
  const idp = await startIdentityServer()
  t.teardown(() => idp.close())
  const app = await server(t, appCheck(idp.appCheck.options), { providerTimeout: 1000 })
  const token = await idp.appCheck.token()
  idp.appCheck.outage()
  const headers = { 'x-firebase-appcheck': token }
  t.equal((await ask(app, headers, '/application')).code, 'AUTH_ERR_PROVIDER_UNAVAILABLE')
  t.equal((await ask(app, headers, '/everyone')).status, 200)
  idp.appCheck.outage(false)
  mock.timers.setTime(began + 31_000)
  t.equal((await ask(app, headers, '/application')).status, 200)
})

t.test('options of appCheck that must not start', async t => {
  const good = { projectNumber: '1042', appIds: ['1:1042:ios:0f1e'] }
  const rows: object[] = [
    {}, { ...good, projectNumber: '' }, { ...good, projectNumber: 'my-project' }, { ...good, appIds: [] },
    { ...good, appIds: 'x' }, { ...good, appIds: [''] }, { ...good, appids: [] },
    { ...good, endpoints: { jwks: 'http://keys.example.com' } }
  ]
  for (const row of rows) {
    const make = (): unknown => Reflect.apply(appCheck, null, [row])
    t.throws(make, { code: 'AUTH_ERR_OPTION_INVALID' }, JSON.stringify(row))
  }
  t.equal(appCheck(good).header, 'X-Firebase-AppCheck')
})
