import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { accounts, identities, permissions } from '../../example/recipes/linking.js'
import { apple, facebook, google } from '../../src/providers/index.js'
import { memoryStore } from '../../src/sessions/stores/index.js'
import { startIdentityServer } from '../../src/testing/index.js'
import { startApp, type Closing } from '../server.js'

const idp = await startIdentityServer()
t.teardown(() => idp.close())
t.beforeEach(() => { accounts.clear(); identities.clear() })

const start = async (t: Closing): Promise<FastifyInstance> => await startApp(t, {
  providers: {
    google: google(idp.google.options),
    apple: apple(idp.apple.options),
    facebook: facebook(idp.facebook.options)
  },
  sessions: { store: memoryStore() },
  permissions
})

interface Outcome { status: number, userId?: string, code?: string, token: string, refresh: string }

async function logIn (app: FastifyInstance, provider: string, payload: object, token?: string): Promise<Outcome> {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
  const answer = await app.inject({ method: 'POST', url: `/login/${provider}`, payload, headers })
  const { user, code, access_token: access, refresh_token: refresh } = answer.json()
  return { status: answer.statusCode, userId: user?.userId, code, token: access, refresh }
}

const gmail = { email: 'ada@gmail.com', email_verified: true }
const withGoogle = async (claims: object) => ({ id_token: await idp.google.idToken({ ...claims }) })
const withApple = async (claims: object) => ({ id_token: await idp.apple.idToken({ ...claims }) })

t.test('one person, Google first and Apple later, by an address that both are an authority for', async t => {
  const app = await start(t)
  const first = await logIn(app, 'google', await withGoogle(gmail))
  const second = await logIn(app, 'apple', await withApple(gmail))
  t.equal(first.status, 200)
  t.equal(second.userId, first.userId)
  t.equal(accounts.size, 1)
  t.equal((await logIn(app, 'apple', await withApple({ email: 'new@icloud.com' }))).userId, first.userId, 'by subject')
})

t.test('an address that nobody vouches for opens nothing: the account has to be shown first', async t => {
  const app = await start(t)
  const first = await logIn(app, 'google', await withGoogle(gmail))
  const payload = { access_token: idp.facebook.accessToken({ email: gmail.email }) }
  const refused = await logIn(app, 'facebook', payload)
  t.match(refused, { status: 409, code: 'AUTH_ERR_LINK_REQUIRED' })
  t.equal((await logIn(app, 'facebook', payload, first.token)).userId, first.userId, 'linked')
  t.equal((await logIn(app, 'facebook', payload)).userId, first.userId, 'and known from then on')
})

t.test('nobody waits for somebody at an address that is not theirs', async t => {
  const app = await start(t)
  const planted = await logIn(app, 'facebook', { access_token: idp.facebook.accessToken({ email: gmail.email }) })
  const owner = await logIn(app, 'google', await withGoogle(gmail))
  t.equal(owner.status, 200)
  t.not(owner.userId, planted.userId)
})

t.test('an identity of one account is not taken over by another, whose session stays', async t => {
  const app = await start(t)
  const mine = await logIn(app, 'google', await withGoogle(gmail))
  const theirs = await logIn(app, 'apple', await withApple({ email: 'eve@example.com' }))
  const taken = await logIn(app, 'apple', await withApple({ email: 'eve@example.com' }), mine.token)
  t.match(taken, { status: 403, code: 'AUTH_ERR_ACCESS_DENIED' })
  t.equal(app.tokenExchange.verify(mine.token).id, mine.userId)
  t.equal((await logIn(app, 'apple', await withApple({}))).userId, theirs.userId)
})

t.test('what was unlinked ends at its next refresh', async t => {
  const app = await start(t)
  const { refresh } = await logIn(app, 'google', await withGoogle(gmail))
  const renew = async (token: string) =>
    await app.inject({ method: 'POST', url: '/token', payload: { grant_type: 'refresh_token', refresh_token: token } })
  const renewed = await renew(refresh)
  t.equal(renewed.statusCode, 200)
  identities.clear()
  t.equal((await renew(renewed.json().refresh_token)).json().code, 'AUTH_ERR_ACCESS_DENIED')
})
