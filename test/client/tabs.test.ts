import { mock } from 'node:test'
import t from 'tap'
import { memoryStorage, type ClientStorage } from '../../src/client/index.js'
import { define } from './globals.js'
import { logIn, openClient, type LoggedIn } from './logged-in.js'
import { clientServer, withoutExpiry, type ClientServer } from './server.js'

const expired = 3606_000

t.beforeEach(() => { mock.timers.enable({ apis: ['Date'], now: Date.now() }) })
t.afterEach(() => { mock.timers.reset() })

/** Web Locks: the exclusive ones, by their name. */
function webLocks () {
  const held = new Map<string, Promise<unknown>>()
  return {
    async request<Result> (name: string, work: () => Promise<Result>): Promise<Result> {
      const turn = (held.get(name) ?? Promise.resolve()).then(work)
      held.set(name, turn.catch(() => {}))
      return await turn
    }
  }
}

type Tab = Pick<LoggedIn, 'client' | 'told'>

/** Two clients on one storage, in which a user is logged in. */
async function twoTabs (server: ClientServer): Promise<[Tab, Tab]> {
  const storage = memoryStorage()
  const options = { url: server.url, storage, fetch: withoutExpiry }
  const one = openClient(options)
  await logIn(server, one.client)
  const other = openClient(options)
  await other.client.ready
  return [one, other]
}

t.test('with Web Locks two tabs refresh once', async t => {
  define(t, { navigator: { locks: webLocks() } })
  const server = await clientServer(t)
  const tabs = await twoTabs(server)
  mock.timers.tick(expired)
  const answers = await Promise.all(tabs.flatMap(({ client }) => [client.fetch('/me'), client.fetch('/me')]))
  t.strictSame(answers.map(({ status }) => status), [200, 200, 200, 200])
  t.equal(server.count('/token'), 1)
  await Promise.all(tabs.map(({ client }) => client.refresh()))
  t.equal(server.count('/token'), 2, 'who waited takes what the other has got')
})

t.test('without, each gets the same successor, and nobody is logged out', async t => {
  const server = await clientServer(t)
  const tabs = await twoTabs(server)
  for (let round = 0; round < 3; round++) {
    mock.timers.tick(expired)
    const answers = await Promise.all(tabs.map(({ client }) => client.fetch('/me')))
    t.strictSame(answers.map(({ status }) => status), [200, 200])
  }
  t.strictSame(tabs.map(({ told }) => told), [['facebook:1'], ['facebook:1']])
})

t.test('a tab that slept goes on with what another has stored', async t => {
  const server = await clientServer(t)
  const [awake, asleep] = await twoTabs(server)
  for (let day = 0; day < 3; day++) {
    mock.timers.tick(86_400_000)
    t.equal((await awake.client.fetch('/me')).status, 200)
  }
  server.calls.splice(0)
  t.equal((await asleep.client.fetch('/me')).status, 200)
  t.strictSame(server.calls, ['GET /me 401', 'GET /me 200'])
})

t.test('and renews it where that has expired too', async t => {
  const server = await clientServer(t)
  const storage = memoryStorage()
  const awake = openClient({ url: server.url, storage })
  await logIn(server, awake.client)
  const asleep = openClient({ url: server.url, storage })
  await asleep.client.ready
  await awake.client.refresh()
  mock.timers.tick(expired)
  server.calls.splice(0)
  t.equal((await asleep.client.fetch('/me')).status, 200)
  t.strictSame(server.calls, ['POST /token 200', 'GET /me 200'])
})

t.test('a refusal of what another tab has replaced meanwhile logs nobody out', async t => {
  const server = await clientServer(t)
  const storage = memoryStorage()
  const one = openClient({ url: server.url, storage })
  await logIn(server, one.client)
  // Without Web Locks: while this tab is told that its token is none, the other stores a login.
  const slow = openClient({
    url: server.url,
    storage,
    fetch: async (input, init) => {
      if (!String(input).endsWith('/token')) return await fetch(input, init)
      await one.client.refresh()
      return Response.json({ error: 'invalid_grant', code: 'AUTH_ERR_REFRESH_REUSED' }, { status: 400 })
    }
  })
  t.equal((await slow.client.refresh()).userId, 'facebook:1')
  t.strictSame(slow.told, ['facebook:1'])
  t.equal((await slow.client.fetch('/me')).status, 200)
})

t.test('who was logged out in another tab is told at the next refresh', async t => {
  const server = await clientServer(t)
  const [one, other] = await twoTabs(server)
  await one.client.logout()
  await t.rejects(other.client.refresh(), { code: 'CLIENT_ERR_LOGGED_OUT' })
  t.strictSame(other.told, ['facebook:1', null])
  t.equal(server.count('/token'), 0)
})

t.test('who logs out in two tabs is logged out once', async t => {
  const server = await clientServer(t)
  const tabs = await twoTabs(server)
  for (const { client } of tabs) await client.logout()
  t.strictSame(tabs.map(({ told }) => told), [['facebook:1', null], ['facebook:1', null]])
  t.equal(server.count('/revoke'), 1)
})

t.test('what was meant for one user is not repeated for another', async t => {
  const server = await clientServer(t)
  const [one, other] = await twoTabs(server)
  mock.timers.tick(expired)
  await logIn(server, one.client, '2')
  server.calls.splice(0)
  await t.rejects(other.client.fetch('/me'), { code: 'CLIENT_ERR_USER_CHANGED' })
  t.strictSame(server.calls, ['GET /me 401'])
  t.strictSame(other.told, ['facebook:1', 'facebook:2'])
  t.equal((await other.client.fetch('/me')).status, 200)
})

t.test('the storage event of a browser is heard', async t => {
  const heard: ((event: { key: string | null }) => void)[] = []
  define(t, {
    addEventListener (type: string, listener: (event: { key: string | null }) => void) {
      if (type === 'storage') heard.push(listener)
    }
  })
  const names: string[] = []
  const storage = memoryStorage()
  const named: ClientStorage = { ...storage, set: (name, text) => { names.push(name); return storage.set(name, text) } }
  const server = await clientServer(t)
  const options = { url: server.url, storage: named }
  const [one, other] = [openClient(options), openClient(options)]
  await logIn(server, one.client)
  t.equal(other.client.user, null)
  for (const tell of heard) tell({ key: 'of somebody else' })
  const change = async () => await new Promise(resolve => { other.client.onChange(resolve) })
  const comes = change()
  for (const tell of heard) tell({ key: names[0] ?? '' })
  await comes
  t.equal((await other.client.fetch('/me')).status, 200)
  await one.client.logout()
  const goes = change()
  for (const tell of heard) tell({ key: null })
  t.equal(await goes, null)
  t.strictSame(other.told, ['facebook:1', null])
  openClient({ url: server.url })
  t.equal(heard.length, 2, 'memory is nobody else\'s')
})
