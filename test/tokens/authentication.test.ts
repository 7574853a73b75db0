import { mock } from 'node:test'
import { decodeJwt } from 'jose'
import t from 'tap'
import type { IdentityProvider } from '../../src/index.js'
import { google } from '../../src/providers/index.js'
import { memoryStore } from '../../src/sessions/stores/index.js'
import { startIdentityServer } from '../../src/testing/index.js'
import { sessionServer, tokensIn } from '../routes/session-server.js'
import { ask, ownProvider, startApp, startUsersApp, type Closing } from '../server.js'
import { forge, goodClaims, testKey } from './forge.js'

const began = Date.UTC(2026, 10, 24, 12)
const now = began / 1000

mock.timers.enable({ apis: ['Date'], now: began })
t.beforeEach(() => mock.timers.setTime(began))

/** A provider of the application's own that says this of each login. */
function saying (claims: Record<string, unknown>): Record<string, IdentityProvider> {
  return { own: ownProvider(() => ({ subject: '42', claims })) }
}

async function loginTo (t: Closing, claims: Record<string, unknown>): Promise<Record<string, unknown>> {
  const app = await startApp(t, { providers: saying(claims) })
  const answer = await app.inject({ method: 'POST', url: '/login/own', payload: { access_token: 'good' } })
  const { access_token: token } = answer.json<{ access_token: string }>()
  const { authenticatedAt, acr, amr } = app.tokenExchange.verify(token)
  const { auth_time: inToken, acr: acrInToken, amr: amrInToken } = decodeJwt(token)
  return { at: authenticatedAt, acr, amr, inToken, acrInToken, amrInToken }
}

const rows: Array<[string, Record<string, unknown>, { at: number, acr?: string, amr?: string[] }]> = [
  ["the provider's auth_time", { auth_time: now - 500, iat: now - 5 }, { at: now - 500 }],
  ['without, when its token was made', { iat: now - 5 }, { at: now - 5 }],
  ['without both, the time of the exchange', {}, { at: now }],
  ['whole seconds', { auth_time: now - 0.5 }, { at: now - 1 }],
  ['its acr and amr', { acr: 'urn:mfa', amr: ['pwd', 'otp'] }, { at: now, acr: 'urn:mfa', amr: ['pwd', 'otp'] }],
  ['an amr that is no list', { amr: 'pwd' }, { at: now, amr: ['pwd'] }],
  ['nothing that is none', { acr: 7, amr: [7, '', null], auth_time: '1', iat: {} }, { at: now }],
  ['a clock that is a little ahead', { auth_time: now + 20 }, { at: now + 20 }],
  ['no login of a far future, which would be recent for ever', { auth_time: now + 9e6, iat: now - 5 }, { at: now - 5 }]
]

for (const [name, claims, { at, acr, amr }] of rows) {
  t.test(`auth_time, acr and amr say ${name}`, async t => {
    t.strictSame(await loginTo(t, claims), {
      at,
      acr: acr ?? null,
      amr: amr ?? [],
      inToken: at,
      acrInToken: acr,
      amrInToken: amr
    })
  })
}

t.test("they are those of a built-in provider's ID token", async t => {
  const idp = await startIdentityServer()
  t.teardown(() => idp.close())
  const app = await startApp(t, { providers: { google: google(idp.google.options) } })
  const said = { auth_time: now - 60, acr: '1', amr: ['hwk'] }
  const payload = { id_token: await idp.google.idToken(said) }
  const answer = await app.inject({ method: 'POST', url: '/login/google', payload })
  t.match(decodeJwt(answer.json<{ access_token: string }>().access_token), said)
})

const kept: Array<[string, Record<string, unknown>, number]> = [
  ['those of the provider', { auth_time: now - 500, acr: 'a', amr: ['pwd'] }, now - 500],
  ['the time of the exchange', {}, now]
]

for (const [name, claims, at] of kept) {
  t.test(`a refresh keeps ${name}`, async t => {
    const server = await sessionServer(t, { providers: saying(claims), sessions: { store: memoryStore() } })
    const first = await server.login()
    const before = server.app.tokenExchange.verify(first.access)
    mock.timers.tick(600_000)
    const after = server.app.tokenExchange.verify(tokensIn(await server.refresh(first.refresh)).access)
    t.not(after.issuedAt, before.issuedAt)
    t.strictSame(
      [after.authenticatedAt, after.acr, after.amr],
      [before.authenticatedAt, before.acr, before.amr]
    )
    t.equal(after.authenticatedAt, at)
  })
}

t.test('User is frozen to its depth', async t => {
  const app = await startApp(t, { providers: saying({ amr: ['pwd'] }) })
  const answer = await app.inject({ method: 'POST', url: '/login/own', payload: { access_token: 'good' } })
  t.ok(Object.isFrozen(app.tokenExchange.verify(answer.json<{ access_token: string }>().access_token).amr))
})

t.test('a token that the application issues itself says none of them', async t => {
  const app = await startApp(t)
  const { access_token: token } = app.tokenExchange.issue({ userId: 'ada' })
  const { auth_time: at, acr, amr } = decodeJwt(token)
  t.strictSame([at, acr, amr], [undefined, undefined, undefined])
  t.match(app.tokenExchange.verify(token), { authenticatedAt: null, acr: null, amr: [] })
})

t.test("the application's lookup may not say them", async t => {
  for (const name of ['cnf', 'auth_time', 'acr', 'amr']) {
    const app = await startApp(t, { providers: saying({}), permissions: () => ({ claims: { [name]: 'x' } }) })
    const answer = await app.inject({ method: 'POST', url: '/login/own', payload: { access_token: 'good' } })
    t.equal(answer.json().code, 'AUTH_ERR_LOOKUP_FAILED', name)
  }
})

t.test('a token in which one is ill-typed is refused', async t => {
  const key = await testKey('HS256')
  const app = await startUsersApp(t, { keys: [key.option] })
  const statusOf = async (claims: object): Promise<unknown> => {
    const { status, code } = await ask(app, { authorization: `Bearer ${forge(key, { ...goodClaims(), ...claims })}` })
    return status === 200 ? status : code
  }
  t.equal(await statusOf({ auth_time: now, acr: 'a', amr: ['pwd'] }), 200)
  for (const wrong of [{ auth_time: '1' }, { auth_time: -1 }, { acr: 1 }, { acr: '' }, { amr: 'pwd' }, { amr: [1] }]) {
    t.equal(await statusOf(wrong), 'AUTH_ERR_TOKEN_INVALID', JSON.stringify(wrong))
  }
})
