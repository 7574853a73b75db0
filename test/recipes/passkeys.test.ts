import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import { mock } from 'node:test'
import t from 'tap'
import { passkeyRoutes, passkeys } from '../../example/recipes/passkeys.js'
import { memoryStore } from '../../src/sessions/stores/index.js'
import { codeIn, ownProvider, startApp, type Closing } from '../server.js'
import { createAuthenticator } from './authenticator.js'

const [rpID, origin] = ['example.com', 'https://www.example.com']

interface Passkeys {
  readonly app: FastifyInstance
  readonly headers: Record<string, string>
  post (url: string, payload?: object, headers?: Record<string, string>): Promise<LightMyRequestResponse>
  challenge (url: string, headers?: Record<string, string>): Promise<string>
}

/** An application with passkeys, and somebody who has just logged in at a provider. */
async function passkeyServer (t: Closing): Promise<Passkeys> {
  const app = await startApp(t, {
    providers: { own: ownProvider() },
    sessions: { store: memoryStore() },
    permissions: ({ provider, subject }) => {
      if (provider !== 'passkey') return {}
      return [...passkeys.values()].some(({ userId }) => userId === subject) ? { userId: subject } : null
    }
  })
  passkeyRoutes(app, { rpID, origins: [origin] })
  const post: Passkeys['post'] = async (url, payload = {}, headers = {}) =>
    await app.inject({ method: 'POST', url, payload, headers })
  const { access_token: token } = (await post('/login/own', { access_token: 'good' })).json<{ access_token: string }>()
  return {
    app,
    post,
    headers: { authorization: `Bearer ${token}` },
    challenge: async (url, headers) => (await post(url, {}, headers)).json<{ challenge: string }>().challenge
  }
}

t.afterEach(() => passkeys.clear())

t.test('who adds a passkey logs in with it, and is the same user, refreshed as any other', async t => {
  const { app, headers, post, challenge } = await passkeyServer(t)
  const key = createAuthenticator(rpID, origin)
  const added = await post('/passkeys', key.create(await challenge('/passkeys/options', headers)), headers)
  t.equal(added.statusCode, 204, added.body)

  const answer = await post('/passkeys/login', key.get(await challenge('/passkeys/login/options')))
  t.equal(answer.statusCode, 200, answer.body)
  t.equal(answer.headers['cache-control'], 'no-store')
  const { access_token: access, refresh_token: refresh } = answer.json<Record<string, string>>()
  t.match(app.tokenExchange.verify(access ?? ''), { id: 'own:10158', provider: 'passkey', amr: ['pop', 'user'] })
  const payload = { grant_type: 'refresh_token', refresh_token: refresh }
  const refreshed = await post('/token', payload)
  t.match(app.tokenExchange.verify(refreshed.json().access_token), { id: 'own:10158', provider: 'passkey' })

  passkeys.clear()
  const next = await post('/token', { ...payload, refresh_token: refreshed.json().refresh_token })
  t.equal(codeIn(next.body), 'AUTH_ERR_ACCESS_DENIED', 'its sessions end with the last key')
})

t.test('a key is added in a recent login only', async t => {
  mock.timers.enable({ apis: ['Date'], now: Date.now() })
  t.teardown(() => mock.timers.reset())
  const { headers, post } = await passkeyServer(t)
  mock.timers.tick(301_000)
  t.equal(codeIn((await post('/passkeys/options', {}, headers)).body), 'AUTH_ERR_LOGIN_REQUIRED')
  t.equal(codeIn((await post('/passkeys', {})).body), 'AUTH_ERR_CREDENTIAL_MISSING')
})

t.test('a challenge is good once, for whom it was made, and for five minutes', async t => {
  const { headers, post, challenge } = await passkeyServer(t)
  const key = createAuthenticator(rpID, origin)
  const forNobody = await challenge('/passkeys/login/options')
  t.equal((await post('/passkeys', key.create(forNobody), headers)).statusCode, 400, 'of a login')
  await post('/passkeys', key.create(await challenge('/passkeys/options', headers)), headers)

  const login = async (challenge: string, as = {}): Promise<number> =>
    (await post('/passkeys/login', key.get(challenge, as))).statusCode
  const once = await challenge('/passkeys/login/options')
  t.equal(await login(once), 200)
  t.equal(await login(once), 401, 'used before')
  t.equal(await login(await challenge('/passkeys/options', headers)), 401, 'of a registration')
  t.equal(await login('bm9uZSBvZiBvdXJz'), 401, 'of nobody')
  t.equal(await login(await challenge('/passkeys/login/options'), { origin: 'https://evil.example' }), 401)
  t.equal(await login(await challenge('/passkeys/login/options'), { isUserVerified: false }), 401)
  const stranger = createAuthenticator(rpID, origin).get(await challenge('/passkeys/login/options'))
  t.equal((await post('/passkeys/login', stranger)).statusCode, 401, 'of an unknown key')

  mock.timers.enable({ apis: ['Date'], now: Date.now() })
  t.teardown(() => mock.timers.reset())
  const old = await challenge('/passkeys/login/options')
  mock.timers.tick(300_000)
  t.equal(await login(old), 401, 'too old')
})
