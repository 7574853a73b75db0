import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { addTodo, afterRedirect, logIn, openClient, secureStorage } from '../../example/recipes/client.js'
import { memoryStorage } from '../../src/client/index.js'
import { browse } from '../client/browse.js'
import { clientServer } from '../client/server.js'

const page = readFileSync(join(import.meta.dirname, '../../docs/client.md'), 'utf8')

t.test('an app logs in, calls, and says what is wrong', async t => {
  let isMember = true
  const server = await clientServer(t, { permissions: () => isMember ? {} : null })
  const { idp, url } = server
  const shown: (string | null)[] = []
  const client = openClient(url, memoryStorage(), userId => shown.push(userId))
  t.equal(await addTodo(client, 'milk'), false)
  t.equal(await logIn(client, await idp.google.idToken()), null)
  t.equal(await addTodo(client, 'milk'), true)
  await client.logout()
  t.strictSame(shown, ['google:110169484474386276334', null])
  t.equal(await logIn(client, 'nonsense'), 'Google does not confirm this login.')
  isMember = false
  t.equal(await logIn(client, await idp.google.idToken()), 'You have no account here.')
  server.break('/login/google', { status: 503, headers: { 'retry-after': '7' } })
  t.equal(await logIn(client, await idp.google.idToken()), 'Please try again in 7 seconds.')
})

t.test('a page takes the answer out of its address', async t => {
  const redirectUri = 'http://127.0.0.1:5173/callback'
  const { url } = await clientServer(t, { clients: { web: { redirectUris: ['http://127.0.0.1/callback'] } } })
  const client = openClient(url, memoryStorage(), () => {})
  t.equal(await afterRedirect(client, `${redirectUri}?tab=2`), `${redirectUri}?tab=2`)
  const back = await browse(await client.loginWithRedirect({ provider: 'corp', redirectUri }), redirectUri)
  t.equal(await afterRedirect(client, back), redirectUri)
  t.equal(client.user?.userId, 'corp:user-1')
})

t.test('SecureStore keeps a login, by names that it takes', async t => {
  const { url, idp } = await clientServer(t)
  const texts = new Map<string, string>()
  // As expo-secure-store checks names.
  const checked = (name: string): string => {
    if (!/^[\w.-]+$/.test(name)) throw new Error(`invalid key: ${name}`)
    return name
  }
  const store = {
    getItemAsync: async (name: string) => texts.get(checked(name)) ?? null,
    setItemAsync: async (name: string, text: string) => { texts.set(checked(name), text) },
    deleteItemAsync: async (name: string) => { texts.delete(checked(name)) }
  }
  const open = () => openClient(url, secureStorage(store), () => {})
  t.equal(await logIn(open(), await idp.google.idToken()), null)
  const client = open()
  await client.ready
  t.type(client.user?.userId, 'string')
  await client.logout()
  t.equal(texts.size, 0)
})

// No compiler for them here; what they post, at least, is what the server takes.
t.test('what the other platforms post is a login', async t => {
  const { url, idp } = await clientServer(t)
  const snippets = [...page.matchAll(/^~~~(\w+)\n([^]*?)^~~~$/gm)]
  t.strictSame(snippets.map(([, language]) => language), ['swift', 'kotlin', 'dart', 'js'])
  for (const [, language = '', text = ''] of snippets) {
    t.match(text, /https:\/\/api\.example\.com\/login\/google|client\.login\('google'/, language)
    const [member = ''] = /\bid_token\b/.exec(text) ?? []
    const body = JSON.stringify({ [member]: await idp.google.idToken() })
    const headers = { 'content-type': 'application/json' }
    t.equal((await fetch(`${url}/login/google`, { method: 'POST', headers, body })).status, 200, language)
  }
})
