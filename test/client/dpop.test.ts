import { createHash } from 'node:crypto'
import { mock } from 'node:test'
import { calculateJwkThumbprint, decodeProtectedHeader, EmbeddedJWK, jwtVerify, type JWTPayload } from 'jose'
import t from 'tap'
import { createClient, memoryStorage, type Client, type ClientOptions } from '../../src/client/index.js'
import { define, keyDatabase } from './globals.js'

const url = 'https://api.example.com'
const user = { userId: 'own:1', provider: 'own', level: 'authenticated', permissions: [] }

/** What a request proved, after its proof has been verified. */
interface Proven { claims: JWTPayload, key: string, authorization: string | null }

/** A server that answers what it is told, one answer for each request, and then logins. */
function scripted (type = 'DPoP') {
  const answers: Response[] = []
  const requests: { href: string, headers: Headers }[] = []
  let count = 0
  const fetch: ClientOptions['fetch'] = async (input, init) => {
    requests.push({ href: String(input), headers: new Headers(init?.headers) })
    return answers.shift() ?? Response.json({
      access_token: `access-${++count}`, token_type: type, expires_in: 3600, refresh_token: `refresh-${count}`, user
    })
  }
  return {
    fetch,
    requests,
    answer (status: number, headers: Record<string, string> = {}, body: object = {}) {
      answers.push(Response.json(body, { status, headers }))
    },
    async proofs (): Promise<Proven[]> {
      return await Promise.all(requests.splice(0).map(async ({ headers }) => await prove(headers)))
    }
  }
}

async function prove (headers: Headers): Promise<Proven> {
  const proof = headers.get('dpop') ?? ''
  const { payload: claims } = await jwtVerify(proof, EmbeddedJWK, { typ: 'dpop+jwt', algorithms: ['ES256'] })
  const { jwk, ...rest } = decodeProtectedHeader(proof)
  t.strictSame(rest, { typ: 'dpop+jwt', alg: 'ES256' })
  t.strictSame(Object.keys(jwk ?? {}), ['kty', 'crv', 'x', 'y'], 'the public key, and no other')
  return { claims, key: await calculateJwkThumbprint(jwk ?? {}), authorization: headers.get('authorization') }
}

async function loggedIn (server: ReturnType<typeof scripted>, options: Partial<ClientOptions> = {}): Promise<Client> {
  const client = createClient({ url, dpop: true, fetch: server.fetch, ...options })
  await client.login('own', { access_token: 'good' })
  return client
}

const ath = (token: string): string => createHash('sha256').update(token).digest('base64url')

t.test('proofs at login, at the token endpoint and with requests, by one key', async t => {
  const server = scripted()
  const client = await loggedIn(server)
  await client.refresh()
  await client.fetch('/todos/a%20b?x=1#y', { method: 'patch' })
  await client.fetch(new Request(`${url}/todos`, { method: 'DELETE' }))
  const proofs = await server.proofs()
  const seen = proofs.map(({ claims: { htm, htu, ath }, authorization }) => ({ htm, htu, ath, authorization }))
  const authorization = 'DPoP access-2'
  t.strictSame(seen, [
    { htm: 'POST', htu: `${url}/login/own`, ath: undefined, authorization: null },
    { htm: 'POST', htu: `${url}/token`, ath: undefined, authorization: null },
    { htm: 'PATCH', htu: `${url}/todos/a%20b`, ath: ath('access-2'), authorization },
    { htm: 'DELETE', htu: `${url}/todos`, ath: ath('access-2'), authorization }
  ])
  t.equal(new Set(proofs.map(({ key }) => key)).size, 1)
  t.equal(new Set(proofs.map(({ claims }) => claims.jti)).size, 4, 'each is made for one request')
  for (const { claims: { iat = 0, nonce } } of proofs) {
    t.ok(Math.abs(iat - Date.now() / 1000) < 5)
    t.equal(nonce, undefined)
  }
})

t.test('bearer tokens go without: only the refresh token is bound', async t => {
  const server = scripted('Bearer')
  const client = await loggedIn(server)
  await client.fetch('/todos')
  const [login, call] = server.requests
  t.equal(typeof login?.headers.get('dpop'), 'string')
  t.strictSame([call?.headers.get('authorization'), call?.headers.get('dpop')], ['Bearer access-1', null])
})

t.test('other origins and clients without the option get none', async t => {
  const server = scripted()
  const client = await loggedIn(server)
  await client.fetch('https://other.example/')
  t.equal(server.requests.at(-1)?.headers.get('dpop'), null)
  const without = createClient({ url, fetch: server.fetch })
  await without.login('own', {})
  t.equal(server.requests.at(-1)?.headers.get('dpop'), null)
})

t.test('a nonce that the server asks for is in the next proof, and the request is repeated once', async t => {
  const body = { error: 'use_dpop_nonce', code: 'AUTH_ERR_DPOP_INVALID' }
  const challenge = 'DPoP error="use_dpop_nonce", algs="ES256"'
  const rows = [
    ['login', (client: Client) => client.login('own', {}), 400, {}, { code: body.code }],
    ['token', (client: Client) => client.refresh(), 400, {}, body],
    ['a request', (client: Client) => client.fetch('/todos'), 401, { 'www-authenticate': challenge }, {}]
  ] as const
  for (const [name, call, status, headers, answer] of rows) {
    const server = scripted()
    const client = await loggedIn(server)
    server.requests.splice(0)
    server.answer(status, { ...headers, 'dpop-nonce': 'one' }, answer)
    await call(client)
    const proofs = await server.proofs()
    t.strictSame(proofs.map(({ claims }) => claims.nonce), [undefined, 'one'], name)
    t.not(proofs[0]?.claims.jti, proofs[1]?.claims.jti)

    server.answer(200, { 'dpop-nonce': 'two' }, {})
    await client.fetch('/todos')
    for (let times = 0; times < 2; times++) server.answer(status, { ...headers, 'dpop-nonce': 'two' }, answer)
    await call(client).catch(() => {})
    t.strictSame((await server.proofs()).map(({ claims }) => claims.nonce), ['one', 'two'], `${name}: once for a nonce`)
  }
})

t.test('other refusals are not repeated, whatever nonce comes along', async t => {
  const server = scripted()
  const client = await loggedIn(server)
  const rows = [[401, {}], [403, {}], [400, { code: 'OWN' }], [500, { error: 'use_dpop_nonce' }]] as const
  for (const [status, body] of rows) {
    server.requests.splice(0)
    server.answer(status, { 'dpop-nonce': `nonce-${status}` }, body)
    t.equal((await client.fetch('/todos', { method: 'POST' })).status, status)
    t.equal(server.requests.length, 1)
  }
})

t.test('a clock that is wrong learns the time from the server', async t => {
  mock.timers.enable({ apis: ['Date'], now: 1_800_000_000_000 })
  t.teardown(() => mock.timers.reset())
  const server = scripted()
  const date = new Date(1_800_000_000_000 - 3_600_000).toUTCString()
  server.answer(400, { date }, { code: 'AUTH_ERR_DPOP_INVALID' })
  await loggedIn(server)
  const proofs = (await server.proofs()).map(({ claims }) => claims.iat)
  t.strictSame(proofs, [1_800_000_000, 1_800_000_000 - 3600])
  for (let times = 0; times < 2; times++) server.answer(400, { date }, { code: 'AUTH_ERR_DPOP_INVALID' })
  const strange = createClient({ url, dpop: true, fetch: server.fetch })
  await t.rejects(strange.login('own', {}), { code: 'AUTH_ERR_DPOP_INVALID', status: 400 })
  t.equal(server.requests.length, 2, 'once')
})

t.test('the key is kept in IndexedDB, for all tabs, and nobody can read it', async t => {
  const database = keyDatabase()
  define(t, { indexedDB: database })
  const [server, storage] = [scripted(), memoryStorage()]
  for (let tabs = 0; tabs < 2; tabs++) await loggedIn(server, { storage })
  const restarted = createClient({ url, dpop: true, fetch: server.fetch, storage })
  await restarted.refresh()
  t.equal(new Set((await server.proofs()).map(({ key }) => key)).size, 1)
  const [pair] = database.kept.values()
  t.match(pair, { privateKey: { extractable: false, usages: ['sign'], algorithm: { namedCurve: 'P-256' } } })
  await t.rejects(crypto.subtle.exportKey('jwk', Reflect.get(Object(pair), 'privateKey')))
  database.fails = true
  const failing = createClient({ url, dpop: true, fetch: server.fetch, storage })
  await t.rejects(failing.refresh(), { message: 'lost connection' }, 'another key would lose the login')
  t.equal(server.requests.length, 0)
  database.fails = false
  t.match(await failing.refresh(), user)
})
