import type { FastifyInstance, InjectOptions } from 'fastify'
import t from 'tap'
import type { IdentityProvider, TokenExchangeOptions } from '../src/index.js'
import { applicationKey, issuer, masterKey, startUsersApp } from './server.js'

// Whatever 32 KiB a client sends, and wherever: no pattern, split or comparison may cost more than they are long. What
// is quadratic takes hundreds of milliseconds here; what is linear takes well under one.
const length = 32 * 1024
/** Microseconds: what is not linear takes hundreds of milliseconds. */
const longest = 5_000

const own: IdentityProvider = {
  accepts: ['access_token', 'id_token', 'authorization_code'],
  verify: async () => ({ subject: '1' }),
  authorizationUrl: ({ state }) => `https://provider.example/authorize?state=${state}`,
  redeem: async () => ({ subject: '1' })
}

async function serve (options: Partial<TokenExchangeOptions>): Promise<FastifyInstance> {
  return await startUsersApp(t, { providers: { own }, sessions: {}, ...options })
}

const clients = { web: { redirectUris: ['https://www.example.com/callback'] } }
const standard = await serve({ clients })
const dialect = await serve({ azureMobileServices: true })
const token = standard.tokenExchange.issue({ userId: 'ada' }).access_token
const [header, payload] = token.split('.')

/** What backtracking patterns stumble over: runs of one thing, between others. */
const units = [
  ' ', '\t', '\u00a0', '=', '.', '/', '\\', '"', '\\"', "'", '-', '_', ',', ';', ':', '%20', '&', '&a=', '[', '{"a":',
  'a', 'A', '0', '1,', '{}', 'Bearer ', 'a=b; ', `${header}.`, '\u00e9'
]

const runs = units.flatMap(unit => {
  const run = unit.repeat(Math.floor((length - 20) / unit.length))
  return [run, `x${run}x`, `x${run}`]
})

type Attempt = (run: string) => InjectOptions

const post = (url: string, payload: string, type: string): InjectOptions =>
  ({ method: 'POST', url, payload, headers: { 'content-type': type } })
const form = (url: string, members: (run: string) => Record<string, string>): Attempt => run =>
  post(url, new URLSearchParams(members(run)).toString().slice(0, length), 'application/x-www-form-urlencoded')
const json = (url: string, members: (run: string) => object): Attempt => run =>
  post(url, JSON.stringify(members(run)).slice(0, length), 'application/json')
const inHeader = (name: string, before = ''): Attempt => run => ({ url: '/', headers: { [name]: before + run } })
// Apostrophes too, as URLs do in a query (WHATWG URL, 1.3): else what is sent is three times as long as what is cut.
const escaped = (text: string): string => encodeURIComponent(text).replaceAll("'", '%27')
const inQuery = (path: string, name: string, others = ''): Attempt => run =>
  ({ url: `${path}?${others}${name}=${escaped(run)}`.slice(0, length) })

const refreshToken = await standard
  .inject({ method: 'POST', url: '/login/own', payload: { access_token: 'x' } })
  .then(answer => answer.json<{ refresh_token: string }>().refresh_token)

const asked = 'client_id=web&redirect_uri=https://www.example.com/callback&code_challenge_method=S256&'
const redeemed = {
  grant_type: 'authorization_code',
  code: 'x',
  client_id: 'web',
  redirect_uri: 'https://www.example.com/callback',
  code_verifier: 'x'
}

const attempts: Array<[string, FastifyInstance, Attempt]> = [
  ['Authorization', standard, inHeader('authorization')],
  ['a Bearer token', standard, inHeader('authorization', 'Bearer ')],
  ['a bearer token', standard, inHeader('authorization', 'bearer ')],
  ['more after a good token', standard, inHeader('authorization', `Bearer ${token}`)],
  ['a payload', standard, inHeader('authorization', `Bearer ${header}.`)],
  ['a signature', standard, inHeader('authorization', `Bearer ${header}.${payload}.`)],
  ['X-ZUMO-AUTH', standard, inHeader('x-zumo-auth')],
  ['X-ZUMO-AUTH with a good token', standard, inHeader('x-zumo-auth', token)],
  ['X-ZUMO-APPLICATION', standard, inHeader('x-zumo-application')],
  ['X-ZUMO-APPLICATION with a good key', standard, inHeader('x-zumo-application', applicationKey)],
  ['X-ZUMO-MASTER', standard, inHeader('x-zumo-master', masterKey)],
  ['any header', standard, inHeader('x-other')],
  ['a header name', standard, run => ({ url: '/', headers: { [`x-${run}`.replace(/[^a-z-]/g, '-')]: 'x' } })],
  ['any query', standard, run => ({ url: `/?${encodeURI(run).replaceAll("'", '%27')}`.slice(0, length) })],
  ['a content type', standard, run => ({ ...post('/login/own', '{}', 'x'), headers: { 'content-type': run } })],
  ['a provider', standard, run => post(`/login/${encodeURIComponent(run)}`.slice(0, length), '{}', 'application/json')],
  ['raw JSON', standard, run => post('/login/own', run, 'application/json')],
  ['JSON that begins well', standard, run => post('/login/own', `{"a":"${run}`, 'application/json')],
  ['a raw form', standard, run => post('/login/own', run, 'application/x-www-form-urlencoded')],
  ['a grant', standard, json('/login/own', run => ({ access_token: run }))],
  ['a member name', standard, json('/login/own', run => ({ access_token: 'x', [run]: { a: 'b:c' } }))],
  ['a nonce', standard, json('/login/own', run => ({ id_token: 'x', nonce: run }))],
  ['a redirect URI', standard, json('/login/own', run => ({ authorization_code: 'x', redirect_uri: run }))],
  ['a code verifier', standard, json('/login/own', run => ({ authorization_code: 'x', code_verifier: run }))],
  ['a grant type', standard, form('/token', run => ({ grant_type: run }))],
  ['a refresh token', standard, form('/token', run => ({ grant_type: 'refresh_token', refresh_token: run }))],
  [
    'more after a refresh token',
    standard,
    form('/token', run => ({ grant_type: 'refresh_token', refresh_token: refreshToken + run }))
  ],
  ['a token to revoke', standard, form('/revoke', run => ({ token: run }))],
  ['an access token to revoke', standard, form('/revoke', run => ({ token: `${header}.${run}` }))],
  [
    'the scope of a logout',
    standard,
    run => ({ ...json('/logout', () => ({ scope: run }))(run), headers: { authorization: `Bearer ${token}` } })
  ],
  ['a client', standard, inQuery('/authorize', 'client_id', 'redirect_uri=https://www.example.com/callback&')],
  ['the redirect URI of a client', standard, inQuery('/authorize', 'redirect_uri', 'client_id=web&')],
  ...['state', 'response_type', 'code_challenge', 'provider', 'login_hint', 'prompt', 'max_age', 'other'].map(
    (name): [string, FastifyInstance, Attempt] => [`${name} of a client`, standard, inQuery('/authorize', name, asked)]
  ),
  ['the state of a callback', standard, inQuery('/callback/own', 'state', 'code=x&')],
  ['the answer of a form', standard, inQuery('/callback/own', 'answer')],
  ['the cookies of a callback', standard, run => ({
    url: '/callback/own?code=x&state=y', headers: { cookie: `__Secure-login-x-${run}` }
  })],
  ['an authorization code', standard, form('/token', run => ({ ...redeemed, code: run }))],
  ['a code verifier of a client', standard, form('/token', run => ({ ...redeemed, code_verifier: run }))],
  ['the cookie of a login', dialect, run => ({
    url: '/login/own?code=x&state=y', headers: { cookie: `__Host-login=${run}` }
  })],
  ['cookies', dialect, run => ({ url: '/login/own?code=x&state=y', headers: { cookie: run } })],
  ['a code', dialect, inQuery('/login/own', 'code')],
  ['a state', dialect, inQuery('/login/own', 'state', 'code=x&')],
  ['an error', dialect, inQuery('/login/own', 'error', 'state=x&')],
  ['post_login_redirect_uri', dialect, inQuery('/.auth/login/own', 'post_login_redirect_uri')],
  ['an own path', dialect, run => inQuery('/.auth/login/own', 'post_login_redirect_uri')(`/${run}`)],
  ['a completion origin', dialect, inQuery('/login/own', 'completion_origin', 'completion_type=postMessage&')],
  [
    'a code challenge',
    dialect,
    inQuery('/login/own', 'code_challenge', 'post_login_redirect_uri=/x&code_challenge_method=S256&')
  ],
  ['a one-time code', dialect, inQuery('/.auth/login/own/token', 'authorization_code', 'code_verifier=x&')],
  ['a verifier', dialect, inQuery('/.auth/login/own/token', 'code_verifier', 'authorization_code=x&')],
  ['post_logout_redirect_uri', dialect, inQuery('/.auth/logout', 'post_logout_redirect_uri')],
  ['a grant of the dialect', dialect, json('/login/own', run => ({ access_token: run }))]
]

/** Microseconds of this process, of the quickest of several: a busy machine disturbs some, a slow pattern all. */
async function cost (app: FastifyInstance, request: InjectOptions): Promise<{ status: number, microseconds: number }> {
  let best = Infinity
  let status = 0
  for (let attempt = 0; attempt < 50 && best > longest; attempt++) {
    const before = process.cpuUsage()
    status = (await app.inject(request)).statusCode
    const { user, system } = process.cpuUsage(before)
    best = Math.min(best, user + system)
  }
  return { status, microseconds: best }
}

for (const [name, app, attempt] of attempts) {
  t.test(`${name}: 32 KiB of anything cost at most 5 ms`, async t => {
    for (const [index, run] of runs.entries()) {
      const { status, microseconds } = await cost(app, attempt(run))
      const what = `${JSON.stringify(run.slice(0, 12))} (${index}): ${status}, ${microseconds} µs`
      if (microseconds > longest || status >= 500) t.fail(what)
    }
    t.equal(runs.length, units.length * 3)
  })
}
t.test('the issuer is still there', async t => {
  const headers = { authorization: `Bearer ${token}` }
  t.equal((await standard.inject({ url: '/', headers })).statusCode, 200, issuer)
})
