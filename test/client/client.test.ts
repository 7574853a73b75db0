import t from 'tap'
import { createClient, memoryStorage, webStorage, type ClientStorage } from '../../src/client/index.js'
import { clientServer, stranger } from './server.js'

const server = await clientServer(t)
const { url, idp } = server
const grant = (id = '1') => ({ access_token: idp.facebook.accessToken({ id }) })

t.test('a login', async t => {
  const client = createClient({ url })
  const told: unknown[] = []
  const end = client.onChange(user => told.push(user))
  t.equal(client.user, null)
  const user = await client.login('facebook', grant())
  t.strictSame(user, { userId: 'facebook:1', provider: 'facebook', level: 'authenticated', permissions: [] })
  t.strictSame(client.user, user)
  t.strictSame(told, [user])
  t.equal(server.headersOf('/login/facebook').authorization, undefined)
  end()
  await client.logout()
  t.equal(client.user, null)
  t.strictSame(told, [user], 'who has ended it hears no more')
})

t.test('what a listener throws is no affair of the login', async t => {
  const client = createClient({ url })
  const thrown = new Promise(resolve => {
    process.setUncaughtExceptionCaptureCallback(resolve)
    t.teardown(() => process.setUncaughtExceptionCaptureCallback(null))
  })
  client.onChange(() => { throw new Error('of the listener') })
  t.equal((await client.login('facebook', grant())).userId, 'facebook:1')
  t.match(await thrown, { message: 'of the listener' })
})

t.test('the token goes to the own origin', async t => {
  const client = createClient({ url: `${url}//` })
  await client.login('facebook', grant())
  const inputs = ['/me', 'me', `${url}/me`, `${url}/me?a=b#c`, new URL(`${url}/me`), new Request(`${url}/me`)]
  for (const input of inputs) t.equal((await client.fetch(input)).status, 200, String(input))
  const { fetch } = client
  const answer = await fetch('/todos', { method: 'post', headers: { 'Content-Type': 'application/json' }, body: '[1]' })
  t.strictSame([answer.status, await answer.json()], [200, [1]], 'apart from the client, with its own headers')
  const headers = { 'content-type': 'application/json' }
  const posted = new Request(`${url}/todos`, { method: 'POST', headers, body: '{}' })
  t.equal((await fetch(posted)).status, 200)
  t.equal((await fetch(new Request(`${url}/me`), { headers: { 'x-own': '1' } })).status, 200)
  t.equal(server.headersOf('/me')['x-own'], '1')
})

t.test('and to no other', async t => {
  const other = await stranger(t)
  const port = new URL(url).port
  const client = createClient({ url })
  await client.login('facebook', grant())
  const foreign = [other, `${other}/me`, new URL(other), new Request(other), other.replace('127.0.0.1', 'localhost')]
  for (const input of foreign) {
    t.equal((await (await client.fetch(input)).json()).authorization, undefined, String(input))
  }
  const seen: unknown[] = []
  const sees = createClient({
    url,
    fetch: async (input, init) => {
      if (String(input).includes('/login/')) return await fetch(input, init)
      seen.push(new Headers(init?.headers).get('authorization'))
      return new Response()
    }
  })
  await sees.login('facebook', grant())
  const tricks = [
    `http://127.0.0.1:${port}@evil.example/me`,
    `http://127.0.0.1.evil.example:${port}/me`,
    `http://127.0.0.1:1${port.slice(1)}/me`,
    'http://127.0.0.1/me',
    `https://127.0.0.1:${port}/me`,
    '//evil.example/me',
    '\\\\evil.example/me',
    '/\\evil.example/me',
    `ws://127.0.0.1:${port}/me`
  ]
  for (const trick of tricks) await sees.fetch(trick)
  t.strictSame(seen, tricks.map(() => null))
})

t.test('a header of the application stays as it is, and nobody has no token', async t => {
  const client = createClient({ url })
  t.strictSame(await (await client.fetch('/open')).json(), { user: null })
  t.equal((await client.fetch('/me')).status, 401)
  await client.login('facebook', grant())
  await client.fetch('/open', { headers: { Authorization: 'Basic eA==' } })
  t.equal(server.headersOf('/open').authorization, 'Basic eA==')
})

t.test('a refused login says why, and changes nothing', async t => {
  const client = createClient({ url })
  await client.login('facebook', grant())
  const rows = [
    ['facebook', { access_token: 'nonsense' }, { code: 'AUTH_ERR_GRANT_REJECTED', status: 401 }],
    ['facebook', {}, { code: 'AUTH_ERR_REQUEST_INVALID', status: 400 }],
    ['no/body', grant(), { code: 'AUTH_ERR_PROVIDER_UNKNOWN', status: 404, retryAfter: null }]
  ] as const
  for (const [name, grant, error] of rows) {
    await t.rejects(client.login(name, grant), { name: 'ClientError', ...error })
  }
  idp.facebook.outage()
  const outage = { code: 'AUTH_ERR_PROVIDER_UNAVAILABLE', status: 503, retryAfter: Number }
  await t.rejects(client.login('facebook', grant()), outage)
  idp.facebook.outage(false)
  const lost = { code: 'CLIENT_ERR_NETWORK', status: 0, retryAfter: null, cause: Error }
  server.break('/login/facebook', 'cut')
  await t.rejects(client.login('facebook', grant()), lost)
  for (const body of ['<html>', '{}', '[]', 'null', '{"access_token":"x"}']) {
    server.break('/login/facebook', { status: 200, body })
    await t.rejects(client.login('facebook', grant()), { code: 'CLIENT_ERR_ANSWER_INVALID', status: 200 }, body)
  }
  server.break('/login/facebook', null)
  t.equal(client.user?.userId, 'facebook:1')
})

t.test('what is posted follows no redirect', async t => {
  const other = await stranger(t)
  const client = createClient({ url })
  await client.login('facebook', grant())
  server.break('/token', { status: 307, headers: { location: other } })
  await t.rejects(client.refresh(), { code: 'CLIENT_ERR_NETWORK' })
  server.break('/token', null)
  t.equal(client.user?.userId, 'facebook:1')
})

t.test('storages', async t => {
  const asynchronous = (): ClientStorage => {
    const storage = memoryStorage()
    return {
      get: async name => storage.get(name),
      set: async (name, text) => { await Promise.resolve(); storage.set(name, text) },
      remove: async name => { storage.remove(name) }
    }
  }
  const items = new Map<string, string>()
  const web = webStorage({
    getItem: name => items.get(name) ?? null,
    setItem: (name, text) => items.set(name, text),
    removeItem: name => items.delete(name)
  })
  for (const [name, storage] of Object.entries({ memory: memoryStorage(), promises: asynchronous(), web })) {
    const first = createClient({ url, storage })
    await first.login('facebook', grant())
    const client = createClient({ url, storage })
    const told: unknown[] = []
    client.onChange(user => told.push(user?.userId))
    t.equal(client.user, null, `${name}: nobody before ready`)
    await client.ready
    t.equal(client.user?.userId, 'facebook:1', `${name}: it is there after a restart`)
    t.strictSame(told, ['facebook:1'], name)
    t.equal((await createClient({ url, storage }).fetch('/me')).status, 200, `${name}: fetch waits for it`)
    await createClient({ url: 'https://other.example.com', storage }).ready
    await client.logout()
    t.equal((await createClient({ url, storage }).fetch('/me')).status, 401, `${name}: and is not after a logout`)
  }
  t.equal(items.size, 0)
})

t.test('names of what is stored suit every storage, and each server has its own', async t => {
  const names = new Set<string>()
  const get = (name: string) => { names.add(name); return null }
  const storage: ClientStorage = { get, set () {}, remove () {} }
  const base = 'https://api.example.com'
  for (const url of [`${base}/v1`, base]) await createClient({ url, storage }).ready
  t.equal(names.size, 2)
  for (const name of names) t.match(name, /^[\w.-]+$/)
})

t.test('what others have stored there is no login', async t => {
  for (const text of ['', 'null', '{', '{}', '1', '"x"']) {
    const client = createClient({ url, storage: { ...memoryStorage(), get: () => text } })
    await client.ready
    t.equal(client.user, null)
    t.equal((await client.fetch('/open')).status, 200)
  }
})

t.test('a storage that fails is said, and asked again', async t => {
  let fails = true
  const storage = memoryStorage()
  await createClient({ url, storage }).login('facebook', grant())
  const get = (name: string) => {
    if (fails) throw new Error('locked')
    return storage.get(name)
  }
  const client = createClient({ url, storage: { ...storage, get } })
  await t.rejects(client.ready, { message: 'locked' })
  await t.rejects(client.fetch('/me'), { message: 'locked' })
  fails = false
  t.equal((await client.fetch('/me')).status, 200)
})

t.test('a wrong address is refused', async t => {
  const addresses = ['https://a.example/?q', 'https://a.example/#f', 'https://u:p@a.example']
  for (const url of ['', 'a.example', 'ftp://a.example', ...addresses]) {
    t.throws(() => createClient({ url }), { code: 'CLIENT_ERR_OPTION_INVALID', status: 0 }, url)
  }
  t.throws(() => createClient({ url: 'api.example.com' }))
})
