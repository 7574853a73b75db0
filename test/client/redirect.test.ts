import t, { type Test } from 'tap'
import { createClient, memoryStorage, type Client } from '../../src/client/index.js'
import { browse } from './browse.js'
import { define } from './globals.js'
import { appUri, clientServer } from './server.js'

const server = await clientServer(t)
const { url, idp } = server

function open (storage = memoryStorage()): Client {
  return createClient({ url, clientId: 'app', storage })
}

const login = { provider: 'corp', redirectUri: appUri }

t.test('a login by redirect, with a restart of the app between', async t => {
  const storage = memoryStorage()
  const address = await open(storage).loginWithRedirect(login)
  const query = Object.fromEntries(new URL(address).searchParams)
  t.match(query, { response_type: 'code', client_id: 'app', redirect_uri: appUri, code_challenge_method: 'S256' })
  t.match(query, { code_challenge: /^[\w-]{43}$/, state: /^[\w-]{43}$/, provider: 'corp' })
  const client = open(storage)
  const user = await client.completeRedirect(await browse(address))
  t.match(user, { userId: 'corp:user-1', provider: 'corp' })
  t.equal((await client.fetch('/me')).status, 200)
  t.equal((await client.refresh()).userId, 'corp:user-1')
})

t.test('it goes where it is told', async t => {
  const gone: string[] = []
  const answered = await open().loginWithRedirect({ ...login, navigate: to => gone.push(to) })
  t.strictSame(gone, [answered])
  browser(t, gone)
  t.equal(await open().loginWithRedirect(login), gone[1])
})

/** The globals of a browser, as far as a login by redirect needs them. */
function browser (t: Test, gone: string[]): Map<string, string> {
  const items = new Map<string, string>()
  const globals = {
    document: {},
    location: { assign: (to: string) => gone.push(to) },
    sessionStorage: {
      getItem: (name: string) => items.get(name) ?? null,
      setItem: (name: string, text: string) => items.set(name, text),
      removeItem: (name: string) => items.delete(name)
    }
  }
  define(t, globals)
  return items
}

t.test('in a browser what is needed later is in sessionStorage, and goes', async t => {
  const items = browser(t, [])
  const back = await browse(await open().loginWithRedirect(login))
  t.equal(items.size, 1)
  await open().completeRedirect(back)
  t.equal(items.size, 0)
})

t.test('an answer to another login is refused, and this one can still end', async t => {
  const client = open()
  const back = await browse(await client.loginWithRedirect(login))
  const { searchParams } = new URL(back)
  const foreign = await browse(await open().loginWithRedirect(login))
  const change = (name: string, value: string | null): string => {
    const changed = new URLSearchParams(searchParams)
    if (value === null) changed.delete(name)
    else changed.set(name, value)
    return `${appUri}?${changed}`
  }
  const tokens = server.count('/token')
  const wrong = {
    'of another client': foreign,
    'of another state': change('state', 'x'.repeat(43)),
    'of no state': change('state', null),
    'of another issuer': change('iss', 'https://evil.example'),
    'of an issuer that begins alike': change('iss', `${url}.evil.example`),
    'of half an issuer': change('iss', 'http:/'),
    'of another on this origin': change('iss', `${url}/other`),
    'of no issuer': change('iss', null),
    'an error of another state': `${appUri}?error=access_denied&state=x&iss=${url}`,
    'of nothing': appUri,
    'of a broken escape': `${back}&x=%`
  }
  for (const [what, address] of Object.entries(wrong)) {
    await t.rejects(client.completeRedirect(address), { code: 'CLIENT_ERR_REDIRECT_INVALID', status: 0 }, what)
  }
  t.equal(server.count('/token'), tokens, 'no code was sent')
  t.match(await client.completeRedirect(`${back}#fragment`), { userId: 'corp:user-1' })
  await t.rejects(client.completeRedirect(back), { code: 'CLIENT_ERR_REDIRECT_INVALID' }, 'and it ends once')
})

t.test('the verifier is sent to the server only, and a foreign code is worth nothing', async t => {
  const client = open()
  const [back, foreign] = [
    await browse(await client.loginWithRedirect(login)),
    await browse(await open().loginWithRedirect(login))
  ]
  const injected = new URL(back)
  injected.searchParams.set('code', new URL(foreign).searchParams.get('code') ?? '')
  await t.rejects(client.completeRedirect(injected.href), { name: 'ClientError', status: 400 })
  t.equal(client.user, null)
})

t.test('a login that was refused', async t => {
  const client = open()
  idp.oidc.page.refuse()
  const back = await browse(await client.loginWithRedirect(login))
  idp.oidc.page.refuse(false)
  await t.rejects(client.completeRedirect(back), { name: 'ClientError', code: 'access_denied' })
  await t.rejects(client.completeRedirect(back), { code: 'CLIENT_ERR_REDIRECT_INVALID' })
})

t.test('in an outage the code is as good as before', async t => {
  const client = open()
  const back = await browse(await client.loginWithRedirect(login))
  for (const fault of ['cut', { status: 503 }] as const) {
    server.break('/token', fault)
    await t.rejects(client.completeRedirect(back), { name: 'ClientError' })
  }
  server.break('/token', null)
  t.match(await client.completeRedirect(back), { userId: 'corp:user-1' })
})

t.test('with a prefix of the application\'s the issuer is the address above', async t => {
  const { url, count } = await clientServer(t, { prefix: '/auth' })
  const client = createClient({ url: `${url}/auth`, clientId: 'app' })
  t.match(await client.completeRedirect(await browse(await client.loginWithRedirect(login))), { provider: 'corp' })
  t.equal((await client.fetch('/me')).status, 200)
  t.equal(count('/auth/token'), 1)
})

t.test('it needs the client\'s id', async t => {
  await t.rejects(createClient({ url }).loginWithRedirect(login), { code: 'CLIENT_ERR_OPTION_INVALID' })
})
