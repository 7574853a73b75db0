import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import t from 'tap'
import type { Identity, LookupContext, OwnIdentity } from '../../src/index.js'
import { memoryStore } from '../../src/sessions/stores/index.js'
import { codeIn, ownProvider, startApp, type Closing, type Options } from '../server.js'

interface Seen { identity: Identity, context: LookupContext }

/** A server whose `POST /own` logs in whatever is posted; it answers as section 4 does. */
async function ownServer (t: Closing, options: Options = {}): Promise<{ app: FastifyInstance, seen: Seen[] }> {
  const seen: Seen[] = []
  const app = await startApp(t, {
    providers: { one: ownProvider() },
    sessions: { store: memoryStore() },
    permissions: (identity, context) => {
      seen.push({ identity, context })
      return { permissions: ['todo:read'] }
    },
    ...options
  })
  app.post<{ Body: OwnIdentity }>('/own', async request => await app.tokenExchange.login(request.body, request))
  return { app, seen }
}

async function logIn (app: FastifyInstance, payload: object, headers = {}): Promise<LightMyRequestResponse> {
  return await app.inject({ method: 'POST', url: '/own', payload, headers })
}

interface Answered { access_token: string, refresh_token: string }

t.test('whom the application has proven is logged in as by a provider', async t => {
  const { app, seen } = await ownServer(t)
  const answer = (await logIn(app, {
    provider: 'passkey',
    subject: 'cred-1',
    email: 'ada@example.com',
    emailVerified: true,
    claims: { amr: ['hwk'] }
  })).json<Answered>()
  const { access_token: access, refresh_token: refresh } = answer
  t.match(answer, {
    token_type: 'Bearer',
    expires_in: 3600,
    user: { userId: 'passkey:cred-1', provider: 'passkey', level: 'authenticated', permissions: ['todo:read'] },
    authenticationToken: access
  })
  t.match(app.tokenExchange.verify(access), {
    id: 'passkey:cred-1',
    provider: 'passkey',
    subject: 'cred-1',
    amr: ['hwk'],
    sessionId: /./
  })
  t.type(app.tokenExchange.verify(access).authenticatedAt, 'number')
  t.match(seen, [{
    identity: {
      provider: 'passkey',
      subject: 'cred-1',
      clientId: null,
      email: 'ada@example.com',
      emailVerified: true,
      name: null
    },
    context: { reason: 'login', user: null, sessionId: null, providerTokens: null }
  }])
  t.ok(Object.isFrozen(seen[0]?.identity.claims))

  const payload = { grant_type: 'refresh_token', refresh_token: refresh }
  t.equal((await app.inject({ method: 'POST', url: '/token', payload })).statusCode, 200)
  t.match(seen[1], { identity: { provider: 'passkey', subject: 'cred-1' }, context: { reason: 'refresh' } })
})

t.test('without sessions it answers without a refresh token', async t => {
  const app = await startApp(t)
  app.post('/own', async request => await app.tokenExchange.login({ provider: 'guest', subject: '1' }, request))
  const answer = await logIn(app, {})
  t.equal(answer.statusCode, 200)
  t.equal(answer.json().refresh_token, undefined)
})

t.test('a good access token of the request is that of the account to link to; a bad one is 401', async t => {
  const { app, seen } = await ownServer(t)
  const { access_token: token } = (await logIn(app, { provider: 'guest', subject: '1' })).json<Answered>()
  const linked = await logIn(app, { provider: 'passkey', subject: '2' }, { authorization: `Bearer ${token}` })
  t.equal(linked.statusCode, 200)
  t.match(seen[1]?.context.user, { id: 'guest:1' })
  const refused = await logIn(app, { provider: 'passkey', subject: '2' }, { 'x-zumo-auth': 'garbage' })
  t.match([refused.statusCode, codeIn(refused.body)], [401, 'AUTH_ERR_TOKEN_INVALID'])
  t.equal(refused.headers['www-authenticate'], 'Bearer error="invalid_token"')
  t.equal(seen.length, 2)
})

t.test('the lookup says no as it does to a provider', async t => {
  const { app } = await ownServer(t, { permissions: () => null })
  const answer = await logIn(app, { provider: 'passkey', subject: '1' })
  t.match([answer.statusCode, codeIn(answer.body)], [403, 'AUTH_ERR_ACCESS_DENIED'])
})

t.test('what is no identity, or is named as a provider, is a mistake of the application', async t => {
  const { app, seen } = await ownServer(t)
  const rows: object[] = [
    [], {}, { subject: '1' }, { provider: 'passkey' }, { provider: 'passkey', subject: '' },
    { provider: 'passkey', subject: 7 }, { provider: 'passkey', subject: 'x'.repeat(256) },
    { provider: 'one', subject: '1' }, { provider: 'Pass Key', subject: '1' }, { provider: '', subject: '1' },
    { provider: 'a:b', subject: '1' }, { provider: 'x'.repeat(101), subject: '1' },
    { provider: 'passkey', subject: '1', email: 7 }, { provider: 'passkey', subject: '1', emailVerified: 'yes' },
    { provider: 'passkey', subject: '1', claims: 'x' }
  ]
  for (const identity of rows) {
    const answer = await logIn(app, identity)
    t.match([answer.statusCode, codeIn(answer.body)], [500, 'AUTH_ERR_OPTION_INVALID'], JSON.stringify(identity))
  }
  t.strictSame(seen, [])
})

t.test("sessions lists a user's sessions, for administrators", async t => {
  const { app } = await ownServer(t)
  const ids: Array<string | null> = []
  for (let count = 0; count < 2; count++) {
    const { access_token: token } = (await logIn(app, { provider: 'guest', subject: '1' })).json<Answered>()
    ids.push(app.tokenExchange.verify(token).sessionId)
  }
  const listed = await app.tokenExchange.sessions('guest:1')
  t.strictSame(new Set(listed.map(({ id }) => id)), new Set(ids))
  for (const { createdAt, lastUsedAt, expiresAt, current } of listed) {
    t.match({ createdAt, lastUsedAt, current }, { createdAt: Number, lastUsedAt: Number, current: false })
    t.ok(expiresAt > createdAt)
  }
  await app.tokenExchange.revokeSession(ids[0] ?? '')
  t.strictSame((await app.tokenExchange.sessions('guest:1')).map(({ id }) => id), [ids[1]])
  t.strictSame(await app.tokenExchange.sessions('nobody'), [])
  await t.rejects(app.tokenExchange.sessions(''), { code: 'AUTH_ERR_OPTION_INVALID' })
  const without = await startApp(t)
  await t.rejects(without.tokenExchange.sessions('guest:1'), { code: 'AUTH_ERR_OPTION_INVALID' })
})

t.test('without providers its refresh tokens are good as well, where there is a lookup', async t => {
  const sessions = { store: memoryStore() }
  const app = await startApp(t, { sessions, permissions: () => ({ permissions: ['todo:read'] }) })
  app.post('/own', request => app.tokenExchange.login({ provider: 'passkey', subject: '1' }, request))
  const { refresh_token: token } = (await app.inject({ method: 'POST', url: '/own' })).json()
  const payload = { grant_type: 'refresh_token', refresh_token: token }
  t.match((await app.inject({ method: 'POST', url: '/token', payload })).json(), {
    refresh_token: String, user: { permissions: ['todo:read'] }
  })
  t.match((await app.inject('/.well-known/oauth-authorization-server')).json().grant_types_supported, ['refresh_token'])
  const guards = await startApp(t, { sessions })
  t.equal((await guards.inject({ method: 'POST', url: '/token', payload })).statusCode, 404, 'who only guards has none')
})
