import type { FastifyInstance, FastifyRequest, LightMyRequestResponse } from 'fastify'
import t from 'tap'
import { errors, type LookupContext, type Permissions, type User } from '../../src/index.js'
import { memoryStore } from '../../src/sessions/stores/index.js'
import { codeIn, ownProvider, startApp, type Closing, type Options } from '../server.js'

const exchange = 'urn:ietf:params:oauth:grant-type:token-exchange'
const subject = { subject_token: 'good', subject_token_type: 'urn:ietf:params:oauth:token-type:access_token' }

interface LinkingServer {
  readonly app: FastifyInstance
  /** What the lookup was told, each time. */
  readonly told: LookupContext[]
  /** Every way that a login may carry an access token. */
  readonly ways: Array<[string, (headers?: Record<string, string>) => Promise<LightMyRequestResponse>]>
}

type Answer = (context: LookupContext) => Permissions | null

/** Two providers whose logins the application may link. */
async function linkingServer (t: Closing, answer: Answer = () => ({}), options: Options = {}): Promise<LinkingServer> {
  const told: LookupContext[] = []
  const app = await startApp(t, {
    providers: { one: ownProvider(), two: ownProvider() },
    sessions: { store: memoryStore() },
    permissions: (_identity, context) => {
      told.push(context)
      return answer(context)
    },
    ...options
  })
  app.get('/me', { onRequest: app.requireUser() }, request => request.auth.user)
  const post = (url: string, payload: object) => async (headers: Record<string, string> = {}) =>
    await app.inject({ method: 'POST', url, headers, payload })
  return {
    app,
    told,
    ways: [
      ['/login/:provider', post('/login/two', { access_token: 'good' })],
      ['the exchange of /token', post('/token', { grant_type: exchange, subject_issuer: 'two', ...subject })]
    ]
  }
}

interface Tokens { access_token: string, refresh_token: string }

async function logIn (app: FastifyInstance): Promise<Tokens> {
  return (await app.inject({ method: 'POST', url: '/login/one', payload: { access_token: 'good' } })).json<Tokens>()
}

const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` })
const linkTo = ({ user }: LookupContext): Permissions => (user === null ? {} : { userId: user.id })
const fromCookie = ({ headers: { cookie } }: FastifyRequest): string | null => cookie?.replace('token=', '') ?? null

t.test('a login with a good access token puts its user into the context, by every carrier', async t => {
  const { app, told, ways } = await linkingServer(t, linkTo, { tokenFrom: fromCookie })
  const { access_token: token } = await logIn(app)
  const carriers = [
    bearer(token), { authorization: `bearer ${token}` }, { 'x-zumo-auth': token }, { cookie: `token=${token}` }
  ]
  for (const [way, login] of ways) {
    for (const headers of carriers) {
      const answer = await login(headers)
      t.equal(answer.statusCode, 200, way)
      t.match(told.at(-1), { reason: 'login', user: { id: 'one:10158', provider: 'one' }, sessionId: null }, way)
      const linked = await app.inject({ url: '/me', headers: bearer(answer.json<Tokens>().access_token) })
      t.match(linked.json<User>(), { id: 'one:10158', provider: 'two', subject: '10158' }, 'one user, two logins')
    }
  }
})

t.test('without one, the user is null; so it is at a refresh, which has a session', async t => {
  const { app, told, ways } = await linkingServer(t)
  for (const [way, login] of ways) {
    for (const headers of [{}, { 'x-zumo-auth': '' }, { authorization: 'Basic eDp5' }]) {
      t.equal((await login(headers)).statusCode, 200, way)
      t.match(told.at(-1), { reason: 'login', user: null, sessionId: null }, way)
    }
  }
  const { access_token: access, refresh_token: refresh } = await logIn(app)
  const payload = { grant_type: 'refresh_token', refresh_token: refresh }
  t.equal((await app.inject({ method: 'POST', url: '/token', headers: bearer(access), payload })).statusCode, 200)
  const { sessionId } = app.tokenExchange.verify(access)
  t.match(told.at(-1), { reason: 'refresh', user: null, sessionId })
})

t.test('a bad token is 401, and neither the provider nor the lookup is asked', async t => {
  let asked = 0
  const counting = ownProvider(() => ({ subject: String(++asked) }))
  const { app, told, ways } = await linkingServer(t, () => ({}), { providers: { two: counting } })
  const { access_token: revoked } = (await ways[0]?.[1]())?.json<Tokens>() ?? { access_token: '' }
  await app.tokenExchange.revokeSession(app.tokenExchange.verify(revoked).sessionId ?? '')
  const [before, lookups] = [asked, told.length]
  const rows: Array<[Record<string, string>, string]> = [
    [bearer('garbage'), 'AUTH_ERR_TOKEN_INVALID'],
    [{ authorization: 'Bearer' }, 'AUTH_ERR_TOKEN_INVALID'],
    [{ 'x-zumo-auth': 'garbage' }, 'AUTH_ERR_TOKEN_INVALID'],
    [bearer(revoked), 'AUTH_ERR_TOKEN_REVOKED']
  ]
  for (const [way, login] of ways) {
    for (const [headers, code] of rows) {
      const answer = await login(headers)
      t.equal(answer.statusCode, 401, way)
      t.equal(codeIn(answer.body), code, way)
      t.equal(answer.headers['www-authenticate'], 'Bearer error="invalid_token"', way)
      t.equal(answer.headers['cache-control'], 'no-store', way)
    }
    const two = await login({ ...bearer('a.b.c'), 'x-zumo-auth': 'd.e.f' })
    t.match([two.statusCode, codeIn(two.body)], [400, 'AUTH_ERR_REQUEST_INVALID'], `two tokens: ${way}`)
  }
  t.strictSame([asked, told.length], [before, lookups])
  t.match((await ways[1]?.[1](bearer('garbage')))?.json(), { error: 'invalid_token' }, 'in the form of RFC 6749, 5.2')
})

t.test('a refresh is not asked whose access token came along: it may have expired', async t => {
  const { app } = await linkingServer(t)
  const { refresh_token: refresh } = await logIn(app)
  const payload = { grant_type: 'refresh_token', refresh_token: refresh }
  const answer = await app.inject({ method: 'POST', url: '/token', headers: bearer('garbage'), payload })
  t.equal(answer.statusCode, 200)
})

const refusals: Array<[string, Answer, number, string]> = [
  ['LinkRequiredError', () => { throw new errors.LinkRequiredError('taken') }, 409, 'AUTH_ERR_LINK_REQUIRED'],
  [
    'an error of its code from another copy',
    () => { throw Object.assign(new Error('ada@example.com'), { code: 'AUTH_ERR_LINK_REQUIRED' }) },
    409,
    'AUTH_ERR_LINK_REQUIRED'
  ],
  ['null', () => null, 403, 'AUTH_ERR_ACCESS_DENIED'],
  ['anything else', () => { throw new Error('down') }, 503, 'AUTH_ERR_LOOKUP_FAILED']
]

for (const [name, refuse, status, code] of refusals) {
  t.test(`a link that is refused by ${name} leaves the session of that token as it was`, async t => {
    const { app, ways } = await linkingServer(
      t,
      context => context.user === null ? {} : refuse(context),
      { sessions: { store: memoryStore(), perUser: 1 } }
    )
    const { access_token: access, refresh_token: refresh } = await logIn(app)
    for (const [way, login] of ways) {
      const answer = await login(bearer(access))
      const isToken = way.includes('/token')
      t.equal(answer.statusCode, isToken && status < 500 ? 400 : status, way)
      t.equal(codeIn(answer.body), code, way)
      if (isToken && status === 409) t.equal(answer.json().error, 'invalid_request')
      t.notMatch(answer.body, /ada@example\.com|taken|down/, 'fixed words')
      t.equal((await app.inject({ url: '/me', headers: bearer(access) })).statusCode, 200, way)
    }
    const listed = await app.inject({ url: '/sessions', headers: bearer(access) })
    t.match(listed.json(), { sessions: [{ current: true }] })
    const payload = { grant_type: 'refresh_token', refresh_token: refresh }
    t.equal((await app.inject({ method: 'POST', url: '/token', payload })).statusCode, 200)
  })
}

t.test('a login that has to be linked first has spent nothing: it comes again with a token', async t => {
  let spent = 0
  const claims = { iss: 'https://id.example.com', jti: 'one' }
  const provider = ownProvider(() => ({ subject: String(++spent), claims }), { replay: 'refuse', nonce: 'required' })
  const { app } = await linkingServer(
    t,
    ({ user, request }) => {
      if (user === null && request.url === '/login/two') throw new errors.LinkRequiredError()
      return {}
    },
    { providers: { one: ownProvider(), two: provider } }
  )
  const { nonce } = (await app.inject({ method: 'POST', url: '/nonce' })).json<{ nonce: string }>()
  const login = async (headers = {}): Promise<number> =>
    (await app.inject({ method: 'POST', url: '/login/two', headers, payload: { id_token: 'x', nonce } })).statusCode
  t.equal(await login(), 409)
  const { access_token: token } = await logIn(app)
  t.equal(await login(bearer(token)), 200)
  t.equal(await login(bearer(token)), 401, 'and once only')
})

t.test('a lookup that wants a link at a refresh ends nothing', async t => {
  const { app } = await linkingServer(t, ({ reason }) => {
    if (reason === 'refresh') throw new errors.LinkRequiredError()
    return {}
  })
  const { access_token: access, refresh_token: refresh } = await logIn(app)
  const payload = { grant_type: 'refresh_token', refresh_token: refresh }
  const answer = await app.inject({ method: 'POST', url: '/token', payload })
  t.match(answer.json(), { error: 'invalid_request', code: 'AUTH_ERR_LINK_REQUIRED' })
  t.equal((await app.inject({ url: '/me', headers: bearer(access) })).statusCode, 200)
})

t.test('the dialect looks at no token: its SDKs send the one of the user before', async t => {
  const { app, told } = await linkingServer(t, ({ request }) => {
    if (request.headers['x-wants'] === 'link') throw new errors.LinkRequiredError()
    return {}
  }, { azureMobileServices: true })
  const { access_token: token } = await logIn(app)
  const login = async (headers: Record<string, string>): Promise<LightMyRequestResponse> =>
    await app.inject({ method: 'POST', url: '/login/two', headers, payload: { access_token: 'good' } })
  for (const value of [token, 'garbage']) {
    t.equal((await login({ 'x-zumo-auth': value })).statusCode, 200)
    t.equal(told.at(-1)?.user, null)
  }
  const refused = await login({ 'x-wants': 'link' })
  t.equal(refused.statusCode, 401, 'and every refusal is 401')
  t.match(refused.json(), { code: 401, error: /^Error: .+/, errorCode: 'AUTH_ERR_LINK_REQUIRED' })
})
