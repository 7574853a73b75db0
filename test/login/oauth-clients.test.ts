import * as oauth from 'oauth4webapi'
import * as openid from 'openid-client'
import t from 'tap'
import { google } from '../../src/providers/google.js'
import { startIdentityServer } from '../../src/testing/index.js'
import { startApp, type Options } from '../server.js'
import { postgres, redis } from '../sessions/private-stores.js'
import { freePort } from '../sessions/servers.js'

const idp = await startIdentityServer()
t.teardown(() => idp.close())

const redirectUri = 'http://127.0.0.1:51004/callback'
const clients = { cli: { redirectUris: ['http://127.0.0.1/callback'] } }
const providers = { google: google({ ...idp.google.options, redirect: { clientSecret: idp.google.clientSecret } }) }

/** A server that listens: its public address is known before. */
async function start (t: Parameters<typeof startApp>[0], options: Options = {}, port?: number): Promise<string> {
  const own = await freePort()
  const issuer = `http://127.0.0.1:${port ?? own}`
  const app = await startApp(t, { issuer, clients, providers, sessions: {}, ...options })
  app.get('/me', { onRequest: app.requireUser() }, request => request.auth.user)
  await app.listen({ port: own, host: '127.0.0.1' })
  return `http://127.0.0.1:${own}`
}

/** What a browser does: it goes where it is sent, with its cookies, until it is sent to the client. */
async function browse (start: URL): Promise<URL> {
  const cookies = new Map<string, string>()
  for (let url = start; ;) {
    if (url.href.startsWith(redirectUri)) return url
    const cookie = [...cookies].map(pair => pair.join('=')).join('; ')
    const answer = await fetch(url, { redirect: 'manual', headers: { cookie } })
    for (const line of answer.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
      cookies.set(name, value)
    }
    const location = answer.headers.get('location')
    if (location === null) throw new Error(`${url.pathname}: ${answer.status} ${await answer.text()}`)
    url = new URL(location, url)
  }
}

const insecure = { [oauth.allowInsecureRequests]: true }
const client: oauth.Client = { client_id: 'cli' }

/** Keys of a client: the one that its code is bound to, and the one that it redeems it with. */
interface Keys { bound?: oauth.DPoPHandle, proven?: oauth.DPoPHandle }

/** The whole of RFC 6749, 4.1 as oauth4webapi does it; tokens come from `tokenServer`, where that is another. */
async function logIn (
  issuer: string,
  tokenServer = issuer,
  { bound, proven }: Keys = {}
): Promise<oauth.TokenEndpointResponse> {
  const server = await discover(issuer)
  const verifier = oauth.generateRandomCodeVerifier()
  const url = new URL(server.authorization_endpoint ?? '')
  const state = oauth.generateRandomState()
  const challenge = await oauth.calculatePKCECodeChallenge(verifier)
  for (const [name, value] of Object.entries({
    client_id: 'cli',
    redirect_uri: redirectUri,
    response_type: 'code',
    code_challenge: challenge,
    code_challenge_method: 'S256',
    state,
    ...(bound !== undefined && { dpop_jkt: await bound.calculateThumbprint() })
  })) url.searchParams.set(name, value)
  const parameters = oauth.validateAuthResponse(server, client, await browse(url), state)
  const answer = await oauth.authorizationCodeGrantRequest(
    { ...server, token_endpoint: `${tokenServer}/token` },
    client,
    oauth.None(),
    parameters,
    redirectUri,
    verifier,
    { ...insecure, ...(proven !== undefined && { DPoP: proven }) }
  )
  return await oauth.processAuthorizationCodeResponse(server, client, answer)
}

async function discover (issuer: string): Promise<oauth.AuthorizationServer> {
  const url = new URL(issuer)
  const answer = await oauth.discoveryRequest(url, { algorithm: 'oauth2', ...insecure })
  return await oauth.processDiscoveryResponse(url, answer)
}

async function me (server: string, token: string): Promise<{ status: number, body: unknown }> {
  const answer = await fetch(`${server}/me`, { headers: { authorization: `Bearer ${token}` } })
  return { status: answer.status, body: await answer.json() }
}

t.test('oauth4webapi logs in, refreshes and revokes, by the metadata alone', async t => {
  const issuer = await start(t)
  const tokens = await logIn(issuer)
  t.match(await me(issuer, tokens.access_token), { status: 200, body: { provider: 'google' } })
  const server = await discover(issuer)
  const refreshToken = tokens.refresh_token ?? ''
  const answer = await oauth.refreshTokenGrantRequest(server, client, oauth.None(), refreshToken, insecure)
  const refreshed = await oauth.processRefreshTokenResponse(server, client, answer)
  t.equal((await me(issuer, refreshed.access_token)).status, 200)
  await oauth.processRevocationResponse(
    await oauth.revocationRequest(server, client, oauth.None(), refreshed.refresh_token ?? '', insecure)
  )
  t.match(await me(issuer, refreshed.access_token), { status: 401, body: { code: 'AUTH_ERR_TOKEN_REVOKED' } })
  t.equal(server.authorization_response_iss_parameter_supported, true)
})

t.test('oauth4webapi binds its code to the key of its proofs: dpop_jkt', async t => {
  const issuer = await start(t, { dpop: 'all' })
  const [own, other] = [
    oauth.DPoP(client, await oauth.generateKeyPair('ES256')), oauth.DPoP(client, await oauth.generateKeyPair('ES256'))
  ]
  for (const keys of [{ bound: own, proven: own }, { proven: own }]) {
    t.equal((await logIn(issuer, issuer, keys)).token_type, 'dpop')
  }
  for (const keys of [{ bound: own, proven: other }, { bound: own }]) {
    await t.rejects(logIn(issuer, issuer, keys), { name: 'ResponseBodyError', error: 'invalid_grant' })
  }
})

t.test('RFC 9728: a client that knows only the API finds its authorization server', async t => {
  const issuer = await start(t)
  const refused = await fetch(`${issuer}/me`)
  const [, metadata = ''] = /resource_metadata="([^"]+)"/.exec(refused.headers.get('www-authenticate') ?? '') ?? []
  const resource = await oauth.processResourceDiscoveryResponse(
    new URL(issuer), await oauth.resourceDiscoveryRequest(new URL(issuer), insecure)
  )
  t.same(await (await fetch(metadata)).json(), resource)
  t.same(resource.authorization_servers, [issuer])
})

t.test('openid-client 6 logs in by the metadata alone', async t => {
  const issuer = await start(t)
  const config = await openid.discovery(new URL(issuer), 'cli', undefined, openid.None(), {
    algorithm: 'oauth2',
    execute: [openid.allowInsecureRequests]
  })
  const pkceCodeVerifier = openid.randomPKCECodeVerifier()
  const expectedState = openid.randomState()
  const url = openid.buildAuthorizationUrl(config, {
    redirect_uri: redirectUri,
    code_challenge: await openid.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: 'S256',
    state: expectedState,
    provider: 'google'
  })
  const tokens = await openid.authorizationCodeGrant(config, await browse(url), { pkceCodeVerifier, expectedState })
  const answer = await openid.fetchProtectedResource(config, tokens.access_token, new URL(`${issuer}/me`), 'GET')
  t.match(await answer.json(), { provider: 'google' })
  const refreshed = await openid.refreshTokenGrant(config, tokens.refresh_token ?? '')
  t.ok(refreshed.access_token)
})

t.test("the user's no reaches the client as access_denied", async t => {
  const issuer = await start(t)
  idp.google.page.refuse()
  t.teardown(() => idp.google.page.refuse(false))
  await t.rejects(logIn(issuer), { name: 'AuthorizationResponseError', error: 'access_denied' })
})

for (const { name, missing, start: startStore } of [redis, postgres]) {
  t.test(`a code is redeemed on the other server of one ${name}`, { skip: missing }, async t => {
    const server = await startStore()
    t.teardown(() => server.remove())
    const [one, other] = [server.connect(), server.connect()]
    t.teardown(async () => { await Promise.all([one.close(), other.close()]) })
    const first = await start(t, { sessions: { store: one.store } })
    const second = await start(t, { sessions: { store: other.store } }, Number(new URL(first).port))
    const tokens = await logIn(first, second)
    t.equal((await me(first, tokens.access_token)).status, 200)
    t.equal((await me(second, tokens.access_token)).status, 200)
  })
}
