import { mock } from 'node:test'
import t from 'tap'
import { createClient, memoryStorage } from '../../src/client/index.js'
import { loggedIn } from './logged-in.js'
import { clientServer, withoutExpiry, type Fault } from './server.js'

const second = 1000
const lifetime = 3600 * second

t.beforeEach(() => { mock.timers.enable({ apis: ['Date'], now: Date.now() }) })
t.afterEach(() => { mock.timers.reset() })

t.test('a token is renewed a little before it expires, once for all requests', async t => {
  const { server, client, told } = await loggedIn(t)
  mock.timers.tick(lifetime - 61 * second)
  await client.fetch('/me')
  t.equal(server.count('/token'), 0)
  mock.timers.tick(2 * second)
  const before = server.headersOf('/me').authorization
  const answers = await Promise.all(Array.from({ length: 10 }, () => client.fetch('/me')))
  t.strictSame(answers.map(({ status }) => status), new Array(10).fill(200))
  t.equal(server.count('/token'), 1)
  t.not(server.headersOf('/me').authorization, before)
  t.strictSame(told, ['facebook:1'], 'who is the same is not told')
})

t.test('and after the server has said that it has expired; the request is repeated once', async t => {
  const { server, client } = await loggedIn(t, { fetch: withoutExpiry })
  const body = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"a":1}' }
  for (const input of ['/todos', new Request(`${server.url}/todos`, body)]) {
    mock.timers.tick(lifetime + 6 * second)
    const answer = await client.fetch(input, typeof input === 'string' ? body : undefined)
    t.strictSame([answer.status, await answer.json()], [200, { a: 1 }])
    t.strictSame(server.calls.splice(0).slice(-3), ['POST /todos 401', 'POST /token 200', 'POST /todos 200'])
  }
  mock.timers.tick(lifetime + 6 * second)
  const answers = await Promise.all([client.fetch('/me'), client.fetch('/me'), client.fetch('/me')])
  t.strictSame(answers.map(({ status }) => status), [200, 200, 200])
  t.equal(server.count('/token'), 1, 'with one refresh for all')
  const code = 'AUTH_ERR_TOKEN_EXPIRED'
  server.break('/me', { status: 401, body: JSON.stringify({ code }) })
  server.calls.splice(0)
  t.equal((await client.fetch('/me')).status, 401)
  t.strictSame(server.calls, ['GET /me 401', 'POST /token 200', 'GET /me 401'], 'not again and again')
})

t.test('what cannot be sent twice is not, and its next one goes through', async t => {
  const { server, client } = await loggedIn(t, { fetch: withoutExpiry })
  mock.timers.tick(lifetime + 6 * second)
  const send = () => client.fetch('/todos', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: new Blob(['[1]']).stream(),
    ...{ duplex: 'half' }
  })
  t.match(await (await send()).json(), { code: 'AUTH_ERR_TOKEN_EXPIRED' })
  t.strictSame(await (await send()).json(), [1])
  t.equal(server.count('/token'), 1)
})

t.test('other refusals are the application\'s', async t => {
  const { server, client } = await loggedIn(t)
  for (const code of ['AUTH_ERR_TOKEN_INVALID', 'AUTH_ERR_LOGIN_REQUIRED', 'AUTH_ERR_CREDENTIAL_MISSING']) {
    server.break('/me', { status: 401, body: JSON.stringify({ code }) })
    const answer = await client.fetch('/me')
    t.strictSame([answer.status, await answer.json()], [401, { code }], 'with its body')
  }
  server.break('/me', { status: 403, body: '{"code":"AUTH_ERR_TOKEN_EXPIRED"}' })
  t.equal((await client.fetch('/me')).status, 403)
  t.equal(server.count('/token'), 0)
})

t.test('refresh asks for what the user may do now', async t => {
  let permissions = ['todo:read']
  const server = await clientServer(t, { permissions: () => ({ permissions }) })
  const { client } = await loggedIn(t, {}, server)
  const told: unknown[] = []
  client.onChange(user => told.push(user?.permissions))
  permissions = ['todo:read', 'todo:write']
  const [one, other] = await Promise.all([client.refresh(), client.refresh()])
  t.strictSame([one.permissions, other.permissions], [permissions, permissions])
  t.equal(server.count('/token'), 1)
  t.strictSame(told, [permissions])
  await t.rejects(createClient({ url: server.url }).refresh(), { code: 'CLIENT_ERR_LOGGED_OUT', status: 0 })
})

t.test('outages log nobody out', async t => {
  const { server, client, told } = await loggedIn(t)
  mock.timers.tick(lifetime + 10 * second)
  const rows: [Fault, { code?: string, status: number, retryAfter?: number }][] = [
    ['cut', { code: 'CLIENT_ERR_NETWORK', status: 0 }],
    ['lose the answer', { code: 'CLIENT_ERR_NETWORK', status: 0 }],
    [{ status: 503, headers: { 'retry-after': '7' } },
      { code: 'CLIENT_ERR_ANSWER_INVALID', status: 503, retryAfter: 7 }],
    [{ status: 503, body: '{"error":"temporarily_unavailable","code":"AUTH_ERR_STORE_UNAVAILABLE"}' },
      { code: 'AUTH_ERR_STORE_UNAVAILABLE', status: 503 }],
    [{ status: 429, body: '{"error":"temporarily_unavailable"}' }, { code: 'temporarily_unavailable', status: 429 }],
    [{ status: 500, body: '{' }, { status: 500 }],
    [{ status: 403, body: '<html>a firewall' }, { status: 403 }],
    [{ status: 400, body: '' }, { status: 400 }],
    [{ status: 404, body: '{}' }, { status: 404 }],
    [{ status: 200, body: '<html>a captive portal' }, { code: 'CLIENT_ERR_ANSWER_INVALID', status: 200 }]
  ]
  for (const [fault, error] of rows) {
    server.break('/token', fault)
    await t.rejects(client.fetch('/me'), { name: 'ClientError', ...error }, JSON.stringify(fault))
    await t.rejects(client.refresh(), { name: 'ClientError', ...error })
  }
  server.break('/token', null)
  t.equal((await client.fetch('/me')).status, 200, 'after them it goes on')
  t.strictSame(told, ['facebook:1'])
})

t.test('a token that is good still goes on in an outage', async t => {
  const { server, client } = await loggedIn(t)
  mock.timers.tick(lifetime - 30 * second)
  server.break('/token', 'cut')
  t.equal((await client.fetch('/me')).status, 200)
  t.strictSame(server.calls.slice(-2), ['POST /token cut', 'GET /me 200'])
})

t.test('an answer that was lost is asked for again, a day later too', async t => {
  const { server, client } = await loggedIn(t)
  server.break('/token', 'lose the answer')
  await t.rejects(client.refresh(), { code: 'CLIENT_ERR_NETWORK' })
  server.break('/token', null)
  mock.timers.tick(86_400 * second)
  t.equal((await client.fetch('/me')).status, 200)
  mock.timers.tick(86_400 * second)
  t.equal((await client.fetch('/me')).status, 200)
})

t.test('an answer that never comes is given up', async t => {
  const server = await clientServer(t)
  mock.timers.reset()
  mock.timers.enable({ apis: ['setTimeout'] })
  const silent = createClient({
    url: server.url,
    fetch: (_input, init) => new Promise((_resolve, reject) => {
      init?.signal?.addEventListener('abort', () => reject(init.signal?.reason))
      queueMicrotask(() => mock.timers.tick(30 * second))
    })
  })
  await t.rejects(silent.login('facebook', {}), { code: 'CLIENT_ERR_NETWORK' })
})

t.test('new tokens are stored before they are used', async t => {
  const storage = memoryStorage()
  let isFull = false
  const set = (name: string, text: string) => {
    if (isFull) throw new Error('full')
    return storage.set(name, text)
  }
  const { server, client } = await loggedIn(t, { storage: { ...storage, set } })
  isFull = true
  mock.timers.tick(lifetime + 10 * second)
  await t.rejects(client.fetch('/me'), { message: 'full' })
  t.equal(server.count('/me'), 0)
  isFull = false
  t.equal((await client.fetch('/me')).status, 200, 'the one before gives the same successor')
  mock.timers.tick(lifetime + 10 * second)
  t.equal((await createClient({ url: server.url, storage }).fetch('/me')).status, 200)
})

t.test('invalid_grant logs out, and is told once', async t => {
  const storage = memoryStorage()
  const { server, client, told } = await loggedIn(t, { storage })
  await server.app.tokenExchange.revokeUser('facebook:1')
  mock.timers.tick(lifetime + 10 * second)
  const requests = [client.fetch('/me'), client.fetch('/me'), client.refresh()]
  const error = { code: 'AUTH_ERR_SESSION_REVOKED', status: 400, name: 'ClientError' }
  for (const request of await Promise.allSettled(requests)) t.match(request, { status: 'rejected', reason: error })
  t.equal(client.user, null)
  t.strictSame(told, ['facebook:1', null])
  t.equal(server.count('/token'), 1)
  t.equal(server.count('/me'), 0, 'what was meant for a user is sent for nobody else')
  const again = createClient({ url: server.url, storage })
  await again.ready
  t.equal(again.user, null)
  t.equal((await client.fetch('/open')).status, 200)
})

t.test('so does the lookup that answers null', async t => {
  let isMember = true
  const server = await clientServer(t, { permissions: () => isMember ? {} : null })
  const { client, told } = await loggedIn(t, {}, server)
  isMember = false
  await t.rejects(client.refresh(), { code: 'AUTH_ERR_ACCESS_DENIED', status: 400 })
  t.strictSame(told, ['facebook:1', null])
})

t.test('without sessions a login ends with its access token', async t => {
  const server = await clientServer(t, {}, false)
  const { client, told } = await loggedIn(t, {}, server)
  await t.rejects(client.refresh(), { code: 'CLIENT_ERR_LOGGED_OUT' })
  t.equal((await client.fetch('/me')).status, 200)
  mock.timers.tick(lifetime + 10 * second)
  const answer = await client.fetch('/me')
  t.strictSame([answer.status, (await answer.json()).code], [401, 'AUTH_ERR_TOKEN_EXPIRED'])
  t.equal(client.user, null)
  t.strictSame(told, ['facebook:1', null])
  t.equal(server.count('/token'), 0)
})
