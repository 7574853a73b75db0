import { join } from 'node:path'
import { createContext, runInContext } from 'node:vm'
import { mock } from 'node:test'
import { build } from 'esbuild'
import t from 'tap'
import { createClient, memoryStorage } from '../../src/client/index.js'
import { browse } from './browse.js'
import { define, keyDatabase } from './globals.js'
import { loggedIn, logIn, openClient } from './logged-in.js'
import { appUri, clientServer } from './server.js'

const expired = 3606_000

t.test('against the server, in every mode and with nonces', async t => {
  for (const mode of ['refresh', 'all'] as const) {
    for (const nonce of [undefined, 'token', 'always'] as const) {
      t.test(`${mode}, nonce: ${nonce}`, async t => {
        mock.timers.enable({ apis: ['Date'], now: Date.now() })
        t.teardown(() => mock.timers.reset())
        const server = await clientServer(t, { dpop: { mode, required: true, ...(nonce && { nonce }) } })
        const without = openClient({ url: server.url })
        await t.rejects(logIn(server, without.client), { code: 'AUTH_ERR_DPOP_INVALID', status: 400 })
        const { client, told } = await loggedIn(t, { dpop: true }, server)
        t.equal((await client.fetch('/me')).status, 200)
        const scheme = mode === 'all' ? /^DPoP / : /^Bearer /
        t.match(server.headersOf('/me'), { authorization: scheme })
        const posted = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '[1]' }
        for (let round = 0; round < 3; round++) {
          mock.timers.tick(expired)
          const requests = [client.fetch('/me?a=b'), client.fetch('/todos', posted), client.fetch('/me')]
          const answers = await Promise.all(requests)
          t.strictSame(answers.map(({ status }) => status), [200, 200, 200])
        }
        await client.logout({ scope: 'others' })
        t.equal((await client.refresh()).userId, 'facebook:1')
        await client.logout({ scope: 'all' })
        await logIn(server, client)
        await client.logout()
        t.strictSame(told, ['facebook:1', null, 'facebook:1', null])
      })
    }
  }
})

t.test('a login by redirect is bound as well', async t => {
  const server = await clientServer(t, { dpop: { mode: 'all', required: true } })
  const client = createClient({ url: server.url, dpop: true, clientId: 'app' })
  const address = await client.loginWithRedirect({ provider: 'corp', redirectUri: appUri })
  t.match(await client.completeRedirect(await browse(address)), { userId: 'corp:user-1' })
  t.equal((await client.fetch('/me')).status, 200)
  t.match(server.headersOf('/me'), { authorization: /^DPoP / })
})

t.test('who has stolen the storage has no login, and the owner goes on', async t => {
  define(t, { indexedDB: keyDatabase() })
  const server = await clientServer(t, { dpop: 'refresh' })
  const storage = memoryStorage()
  await loggedIn(t, { dpop: true, storage }, server)
  const stolen = memoryStorage()
  const get = (name: string) => {
    const text = storage.get(name)
    stolen.set(name, String(text))
    return text
  }
  await openClient({ url: server.url, storage: { ...storage, get } }).client.ready
  const owner = openClient({ url: server.url, dpop: true, storage })
  for (const thief of [{}, { dpop: true }]) {
    define(t, { indexedDB: keyDatabase() })
    const { client, told } = openClient({ url: server.url, storage: { ...stolen, remove () {} }, ...thief })
    await t.rejects(client.refresh(), { name: 'ClientError', status: 400 })
    t.strictSame(told, ['facebook:1', null])
  }
  t.equal((await owner.client.fetch('/me')).status, 200)
})

t.test('a clock that is an hour ahead', async t => {
  const server = await clientServer(t, { dpop: { mode: 'all', nonce: 'always' } })
  const { outputFiles: [script] } = await build({
    entryPoints: [join(import.meta.dirname, '../../src/client/index.ts')],
    bundle: true,
    format: 'iife',
    globalName: 'exchange',
    write: false
  })
  const globals = {
    fetch, Headers, Request, AbortController, setTimeout, clearTimeout, queueMicrotask, URL, crypto, btoa, TextEncoder
  }
  const context = createContext({ ...globals, url: server.url, token: server.idp.facebook.accessToken({ id: '1' }) })
  const seen: unknown = await runInContext(`${script?.text}; (async () => {
    const { now } = Date
    Date.now = () => now() + 3600e3
    const client = exchange.createClient({ url, dpop: true })
    await client.login('facebook', { access_token: token })
    await client.refresh()
    return (await client.fetch('/me')).status
  })()`, context)
  t.equal(seen, 200)
  t.strictSame(server.calls, [
    'POST /login/facebook 400', 'POST /login/facebook 200', 'POST /token 200', 'GET /me 200'
  ])
})
