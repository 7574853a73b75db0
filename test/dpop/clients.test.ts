import { generateKeyPair, generateProof, type KeyPair } from 'dpop'
import * as oauth from 'oauth4webapi'
import t from 'tap'
import { memoryStore } from '../../src/sessions/stores/index.js'
import type { DpopMode, DpopOptions } from '../../src/index.js'
import { ownProvider, startApp, type Closing } from '../server.js'
import { freePort } from '../sessions/servers.js'

// Two libraries as they are, over HTTP: what they send as proofs is theirs, and what they make of the answers too.

const insecure = { [oauth.allowInsecureRequests]: true }
const client: oauth.Client = { client_id: 'app' }
const exchangeType = 'urn:ietf:params:oauth:grant-type:token-exchange'

async function start (t: Closing, dpop: DpopMode | DpopOptions): Promise<string> {
  const port = await freePort()
  const issuer = `http://127.0.0.1:${port}`
  const app = await startApp(t, {
    issuer, dpop, providers: { own: ownProvider() }, sessions: { store: memoryStore() }
  })
  app.get('/me', { onRequest: app.requireUser() }, request => request.auth.user)
  app.post('/things/:id', { onRequest: app.requireUser() }, () => ({ made: true }))
  await app.listen({ port, host: '127.0.0.1' })
  return issuer
}

async function discover (issuer: string): Promise<oauth.AuthorizationServer> {
  const url = new URL(issuer)
  const answer = await oauth.discoveryRequest(url, { algorithm: 'oauth2', ...insecure })
  return await oauth.processDiscoveryResponse(url, answer)
}

/** Once more, where the server asks for a nonce: as the library's documentation says. */
async function again<T> (request: () => Promise<T>): Promise<T> {
  try {
    return await request()
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) throw error
    return await request()
  }
}

type Row = [name: string, dpop: DpopMode | DpopOptions, algorithm: 'ES256' | 'Ed25519', type: 'dpop' | 'bearer']

const rows: readonly Row[] = [
  ['all', 'all', 'ES256', 'dpop'],
  ['all, Ed25519', 'all', 'Ed25519', 'dpop'],
  ['all, with nonces', { mode: 'all', nonce: 'always' }, 'ES256', 'dpop'],
  ['all, with nonces at /token', { mode: 'all', nonce: 'token', required: true }, 'ES256', 'dpop'],
  ['refresh', 'refresh', 'ES256', 'bearer'],
  ['refresh, with nonces', { mode: 'refresh', nonce: 'token' }, 'ES256', 'bearer']
]

for (const [name, dpop, algorithm, type] of rows) {
  t.test(`oauth4webapi logs in, calls and refreshes: ${name}`, async t => {
    const issuer = await start(t, dpop)
    const server = await discover(issuer)
    t.ok(server.dpop_signing_alg_values_supported?.includes(algorithm))
    const options = { DPoP: oauth.DPoP(client, await oauth.generateKeyPair(algorithm)), ...insecure }
    const parameters = {
      subject_issuer: 'own', subject_token: 'good', subject_token_type: 'urn:ietf:params:oauth:token-type:access_token'
    }
    const tokens = await again(async () => await oauth.processGenericTokenEndpointResponse(
      server,
      client,
      await oauth.genericTokenEndpointRequest(server, client, oauth.None(), exchangeType, parameters, options)
    ))
    t.equal(tokens.token_type, type)

    const call = async (token: string, path: string, method: string): Promise<Response> => type === 'dpop'
      ? await again(async () =>
        await oauth.protectedResourceRequest(token, method, new URL(path, issuer), undefined, null, options))
      : await fetch(new URL(path, issuer), { method, headers: { authorization: `Bearer ${token}` } })
    t.match(await (await call(tokens.access_token, '/me?fields=all', 'GET')).json(), { id: 'own:10158' })
    t.strictSame(await (await call(tokens.access_token, '/things/a%20b', 'POST')).json(), { made: true })

    const refresh = async (by: object) => await again(async () => await oauth.processRefreshTokenResponse(
      server,
      client,
      await oauth.refreshTokenGrantRequest(server, client, oauth.None(), tokens.refresh_token ?? '', by)
    ))
    const thief = { DPoP: oauth.DPoP(client, await oauth.generateKeyPair('ES256')), ...insecure }
    for (const by of [thief, insecure]) {
      const refused = await refresh(by).catch((error: unknown) => error)
      t.match(refused, { error: 'invalid_grant', status: 400 })
    }
    const next = await refresh(options)
    t.equal(next.token_type, type)
    t.equal((await call(next.access_token, '/me', 'GET')).status, 200)
  })
}

t.test('proofs by the package dpop: once, for one request, with one token', async t => {
  const issuer = await start(t, 'all')
  const key = await generateKeyPair('ES256')
  const post = async (path: string, by: KeyPair, body: object): Promise<Record<string, unknown>> => {
    const dpop = await generateProof(by, `${issuer}${path}`, 'POST')
    const headers = { dpop, 'content-type': 'application/json' }
    const answer = await fetch(`${issuer}${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
    return Object(await answer.json())
  }
  const login = await post('/login/own', key, { access_token: 'good' })
  t.equal(login.token_type, 'DPoP')
  const access = String(login.access_token)
  const call = async (proof: string): Promise<number> =>
    (await fetch(`${issuer}/me`, { headers: { authorization: `DPoP ${access}`, dpop: proof } })).status
  const proof = await generateProof(key, `${issuer}/me`, 'GET', undefined, access)
  t.equal(await call(proof), 200)
  t.equal(await call(proof), 401, 'once')
  t.equal(await call(await generateProof(key, `${issuer}/you`, 'GET', undefined, access)), 401)
  t.equal(await call(await generateProof(key, `${issuer}/me`, 'GET', undefined, 'another')), 401)
  const other = await generateKeyPair('ES256')
  t.equal(await call(await generateProof(other, `${issuer}/me`, 'GET', undefined, access)), 401)
  t.equal(await call(await generateProof(key, `${issuer}/me`, 'GET', undefined, access)), 200)
})
