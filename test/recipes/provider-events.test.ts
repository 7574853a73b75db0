import { generateKeyPairSync, verify } from 'node:crypto'
import t from 'tap'
import {
  accounts, deletionRoute, deletions, onProviderEvent, options, registerAtGoogle
} from '../../example/recipes/provider-events.js'
import { apple, facebook, google } from '../../src/providers/index.js'
import { startIdentityServer, type EventPost } from '../../src/testing/index.js'
import { fakeServer, json } from '../http/fake-server.js'
import { startApp, type Closing } from '../server.js'

const idp = await startIdentityServer()
t.teardown(() => idp.close())
t.beforeEach(() => { accounts.clear(); deletions.clear() })

async function start (t: Closing) {
  const app = await startApp(t, {
    ...options,
    providers: {
      apple: apple({ ...idp.apple.options, events: {} }),
      google: google({ ...idp.google.options, events: {} }),
      facebook: facebook({
        ...idp.facebook.options, events: { deletionUrl: code => `https://api.example.com/deletions/${code}` }
      })
    }
  })
  deletionRoute(app)
  app.get('/me', { onRequest: app.requireUser() }, request => request.auth.user)
  return {
    app,
    post: (path: string, { headers, body }: EventPost) =>
      app.inject({ method: 'POST', url: `/events/${path}`, headers: { ...headers }, payload: body }),
    login: (provider: string, payload: object) => app.inject({ method: 'POST', url: `/login/${provider}`, payload })
  }
}

t.test('the recipe registers as it stands', async t => {
  const app = await startApp(t, options)
  await app.ready()
})

t.test('an account that is deleted at Apple is deleted here, and its user logged out', async t => {
  const { app, post, login } = await start(t)
  accounts.set('apple:001', { id: '1', isDisabled: false })
  const answer = await login('apple', { id_token: await idp.apple.idToken({ sub: '001' }) })
  const headers = { authorization: `Bearer ${answer.json().access_token}` }
  t.equal((await app.inject({ url: '/me', headers })).statusCode, 200)
  t.equal((await post('apple', await idp.apple.notify('account-delete', '001'))).statusCode, 200)
  t.equal((await app.inject({ url: '/me', headers })).statusCode, 401)
  t.equal(accounts.size, 0)
})

t.test('an account that Google has disabled is let in when it is enabled again', async t => {
  const { post, login } = await start(t)
  accounts.set('google:7', { id: '7', isDisabled: false })
  const status = async () => (await login('google', { id_token: await idp.google.idToken({ sub: '7' }) })).statusCode
  await post('google', await idp.google.notify('account-disabled', '7'))
  t.equal(await status(), 403)
  await post('google', await idp.google.notify('account-enabled', '7'))
  t.equal(await status(), 200)
})

t.test('a user sees how far the deletion of its data is', async t => {
  const { app, post } = await start(t)
  accounts.set('facebook:8', { id: '8', isDisabled: false })
  const { url } = (await post('facebook/deletion', idp.facebook.requestDeletion('8'))).json<{ url: string }>()
  t.equal(accounts.size, 0)
  t.equal((await app.inject(new URL(url).pathname)).body, 'Your data has been deleted.')
  t.equal((await app.inject('/deletions/another')).body, 'Nothing is known of this code.')
})

t.test('what is told twice does no harm', async t => {
  accounts.set('apple:001', { id: '1', isDisabled: false })
  const event = {
    kind: 'account-deleted', provider: 'apple', subject: '001', providerSession: null, at: 1, id: 'a'
  } as const
  await onProviderEvent(event)
  await onProviderEvent(event)
  t.same([accounts.size, deletions.get('a')], [0, 'done'])
})

t.test('Google is told where to post, by a service account', async t => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const api = await fakeServer(t, json({}))
  const account = {
    client_email: 'risc@example.iam.gserviceaccount.com',
    private_key_id: 'key-1',
    private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  }
  await registerAtGoogle(account, 'https://api.example.com/events/google', api.url)
  const [{ url, headers, body } = { url: null, headers: {}, body: '' }] = api.requests
  t.equal(url?.pathname, '/stream:update')
  t.match(JSON.parse(body), { delivery: { url: 'https://api.example.com/events/google' }, events_requested: Array })
  const [header = '', claims = '', signature = ''] = headers.authorization?.replace('Bearer ', '').split('.') ?? []
  t.ok(verify('sha256', Buffer.from(`${header}.${claims}`), publicKey, Buffer.from(signature, 'base64url')))
  t.match(JSON.parse(Buffer.from(claims, 'base64url').toString()), { iss: account.client_email, aud: /RiscManagement/ })
  api.answer = json({ error: 'no' }, 403)
  await t.rejects(registerAtGoogle(account, 'https://api.example.com/events/google', api.url), /403/)
})
