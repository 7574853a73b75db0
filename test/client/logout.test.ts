import { mock } from 'node:test'
import t from 'tap'
import { memoryStorage } from '../../src/client/index.js'
import { loggedIn, logIn, openClient } from './logged-in.js'
import { clientServer, withoutExpiry, type Fault } from './server.js'

const expired = 3606_000

t.beforeEach(() => { mock.timers.enable({ apis: ['Date'], now: Date.now() }) })
t.afterEach(() => { mock.timers.reset() })

t.test('this one', async t => {
  const storage = memoryStorage()
  const { server, client, told } = await loggedIn(t, { storage })
  const other = await loggedIn(t, {}, server)
  await client.fetch('/me')
  const { authorization = '' } = server.headersOf('/me')
  await client.logout()
  t.equal(client.user, null)
  t.strictSame(told, ['facebook:1', null])
  const old = await fetch(`${server.url}/me`, { headers: { authorization } })
  t.match(await old.json(), { code: 'AUTH_ERR_TOKEN_REVOKED' }, 'the server has ended the session')
  const { client: again } = openClient({ url: server.url, storage })
  await again.ready
  t.equal(again.user, null)
  t.equal((await other.client.fetch('/me')).status, 200, 'the others go on')
  await client.logout()
  t.strictSame(told, ['facebook:1', null], 'once more is no more')
})

t.test('the others, and all', async t => {
  const { server, client, told } = await loggedIn(t)
  const { client: other, told: toldOther } = await loggedIn(t, {}, server)
  await client.logout({ scope: 'others' })
  t.equal((await client.fetch('/me')).status, 200)
  t.match(await (await other.fetch('/me')).json(), { code: 'AUTH_ERR_TOKEN_REVOKED' })
  await t.rejects(other.refresh(), { code: 'AUTH_ERR_SESSION_REVOKED' })
  t.strictSame(toldOther, ['facebook:1', null])
  await logIn(server, other)
  await client.logout({ scope: 'all' })
  t.strictSame(told, ['facebook:1', null])
  await t.rejects(other.refresh(), { code: 'AUTH_ERR_SESSION_REVOKED' })
})

t.test('with an access token that has expired', async t => {
  for (const options of [{}, { fetch: withoutExpiry }]) {
    for (const scope of ['this', 'others', 'all'] as const) {
      const { server, client } = await loggedIn(t, options)
      const { client: other } = await loggedIn(t, {}, server)
      mock.timers.tick(expired)
      await client.logout({ scope })
      t.equal(client.user?.userId, scope === 'others' ? 'facebook:1' : undefined)
      const goesOn = await other.refresh().then(() => true, error => error.code)
      t.equal(goesOn, scope === 'this' ? true : 'AUTH_ERR_SESSION_REVOKED', scope)
    }
  }
})

t.test('that the server did not hear of is none', async t => {
  const { server, client, told } = await loggedIn(t)
  const faults: Fault[] = ['cut', 'lose the answer', { status: 503 }, { status: 429 }]
  for (const fault of faults) {
    for (const [path, scope] of [['/revoke', 'this'], ['/logout', 'all'], ['/logout', 'others']] as const) {
      server.break(path, fault)
      await t.rejects(client.logout({ scope }), { name: 'ClientError' }, `${scope} ${JSON.stringify(fault)}`)
      server.break(path, null)
      if (scope === 'all' && fault === 'lose the answer') await logIn(server, client)
    }
  }
  t.strictSame(told, ['facebook:1'])
  await client.logout()
  t.strictSame(told, ['facebook:1', null])
})

t.test('of a session that has ended already', async t => {
  const { server, client } = await loggedIn(t)
  await server.app.tokenExchange.revokeUser('facebook:1')
  await client.logout()
  t.equal(client.user, null)
  await logIn(server, client)
  await server.app.tokenExchange.revokeUser('facebook:1')
  await t.rejects(client.logout({ scope: 'all' }), { code: 'AUTH_ERR_TOKEN_REVOKED', status: 401 })
})

t.test('where the server has no sessions', async t => {
  const server = await clientServer(t, {}, false)
  for (const milliseconds of [0, expired]) {
    const { client, told } = await loggedIn(t, {}, server)
    mock.timers.tick(milliseconds)
    await client.logout()
    t.equal(client.user, null)
    t.strictSame(told, ['facebook:1', null])
  }
})

t.test('while a refresh is under way it comes after', async t => {
  const { server, client, told } = await loggedIn(t)
  await Promise.all([client.refresh(), client.logout()])
  t.strictSame(server.calls.slice(-2), ['POST /token 200', 'POST /revoke 200'])
  t.equal(client.user, null)
  t.strictSame(told, ['facebook:1', null])
})
