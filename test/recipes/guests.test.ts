import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import t from 'tap'
import { guestRoutes, identities, permissions } from '../../example/recipes/guests.js'
import { memoryStore } from '../../src/sessions/stores/index.js'
import { applicationKey, codeIn, ownProvider, startApp, type Closing } from '../server.js'

t.beforeEach(() => identities.clear())

async function start (t: Closing): Promise<FastifyInstance> {
  const app = await startApp(t, {
    providers: { own: ownProvider() },
    sessions: { store: memoryStore() },
    permissions
  })
  guestRoutes(app)
  app.get('/me', { onRequest: app.requireUser() }, request => request.auth.user)
  return app
}

interface Tokens { access_token: string, refresh_token: string }
const application = { 'x-zumo-application': applicationKey }
const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` })

async function post (app: FastifyInstance, url: string, headers = {}, payload = {}): Promise<LightMyRequestResponse> {
  return await app.inject({ method: 'POST', url, headers, payload })
}

const begin = async (app: FastifyInstance): Promise<Tokens> => (await post(app, '/guests', application)).json<Tokens>()
const logIn = async (app: FastifyInstance, headers = {}): Promise<LightMyRequestResponse> =>
  await post(app, '/login/own', headers, { access_token: 'good' })
const refresh = async (app: FastifyInstance, token: string): Promise<LightMyRequestResponse> =>
  await post(app, '/token', {}, { grant_type: 'refresh_token', refresh_token: token })

t.test('a guest becomes a user and stays the same one', async t => {
  const app = await start(t)
  const guest = await begin(app)
  const before = app.tokenExchange.verify(guest.access_token)
  t.match(before, { provider: 'guest', permissions: ['list:write'], claims: { guest: true } })

  const { access_token: token } = (await logIn(app, bearer(guest.access_token))).json<Tokens>()
  const after = app.tokenExchange.verify(token)
  t.match(after, { id: before.id, provider: 'own', permissions: ['list:write', 'list:share'], claims: {} })
  t.equal(app.tokenExchange.verify((await logIn(app)).json().access_token).id, before.id, 'and after that by the login')
  t.equal(app.tokenExchange.verify((await logIn(app, bearer(guest.access_token))).json().access_token).id, before.id)

  t.equal((await post(app, '/logout', bearer(token), { scope: 'others' })).statusCode, 204)
  t.equal((await app.inject({ url: '/me', headers: bearer(guest.access_token) })).statusCode, 401)
})

t.test('a guest is refreshed as any user; what made one ends once a login has taken over', async t => {
  const app = await start(t)
  const guest = await begin(app)
  const refreshed = await refresh(app, guest.refresh_token)
  const { id } = app.tokenExchange.verify(guest.access_token)
  const { access_token: token, refresh_token: copied } = refreshed.json<Tokens>()
  t.match(app.tokenExchange.verify(token), { id, claims: { guest: true } })
  await logIn(app, bearer(token))
  t.equal(codeIn((await refresh(app, copied)).body), 'AUTH_ERR_ACCESS_DENIED', 'also for whoever has kept a copy')
})

t.test('a login that has an account leaves the guest as it was', async t => {
  const app = await start(t)
  const { id: own } = app.tokenExchange.verify((await logIn(app)).json().access_token)
  const guest = await begin(app)
  const refused = await logIn(app, bearer(guest.access_token))
  t.match([refused.statusCode, codeIn(refused.body)], [409, 'AUTH_ERR_LINK_REQUIRED'])
  t.equal((await refresh(app, guest.refresh_token)).statusCode, 200)
  t.equal(app.tokenExchange.verify((await logIn(app)).json().access_token).id, own)
})

t.test('only an app makes guests, and of nobody who is somebody', async t => {
  const app = await start(t)
  t.equal((await post(app, '/guests')).statusCode, 401)
  const { access_token: token } = await begin(app)
  t.equal((await post(app, '/guests', { ...application, ...bearer(token) })).statusCode, 409)
})
