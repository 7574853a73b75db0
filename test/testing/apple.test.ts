import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { createRemoteJWKSet, importPKCS8, jwtVerify, SignJWT } from 'jose'
import t from 'tap'
import { startIdentityServer } from '../../src/testing/index.js'
import { member } from './member.js'

const idp = await startIdentityServer()
t.teardown(() => idp.close())
const { clientIds: [clientId = '', webClientId = ''], teamId, keyId, privateKey, endpoints } = idp.apple.options
const month = 2_629_500

interface Secret { iss?: string, sub?: string, aud?: string, kid?: string, exp?: number, key?: KeyObject }

async function clientSecret (differs: Secret = {}): Promise<string> {
  const now = idp.clock.now()
  return await new SignJWT({
    iss: teamId,
    sub: clientId,
    aud: 'https://appleid.apple.com',
    iat: now,
    exp: now + 300,
    ...differs,
    kid: undefined,
    key: undefined
  })
    .setProtectedHeader({ alg: 'ES256', kid: differs.kid ?? keyId })
    .sign(differs.key ?? (await importPKCS8(privateKey, 'ES256')))
}

async function post (url: string, form: Record<string, string>): Promise<{ status: number, body: unknown }> {
  const answer = await fetch(url, {
    method: 'POST',
    body: new URLSearchParams({ client_id: clientId, client_secret: await clientSecret(), ...form })
  })
  const text = await answer.text()
  return { status: answer.status, body: text === '' ? null : JSON.parse(text) }
}

const exchange = (code: string, form: Record<string, string> = {}) =>
  post(endpoints.token, { grant_type: 'authorization_code', code, ...form })

t.test('ID tokens verify against the key set', async t => {
  const keys = createRemoteJWKSet(new URL(endpoints.jwks))
  const { payload } = await jwtVerify(
    await idp.apple.idToken({ email_verified: 'true', is_private_email: 'false' }),
    keys,
    { algorithms: ['RS256'], issuer: 'https://appleid.apple.com', audience: clientId }
  )
  t.match(payload, { email_verified: 'true', is_private_email: 'false', nonce_supported: true })
})

t.test('a code brings an ID token with the claims of its login', async t => {
  const { status, body } = await exchange(idp.apple.authorizationCode({ sub: '001.a.1', nonce: 'raw' }))
  t.equal(status, 200)
  t.match(body, { access_token: String, refresh_token: String, token_type: 'Bearer', expires_in: 3600 })
  const { payload } = await jwtVerify(String(member(body, 'id_token')), createRemoteJWKSet(new URL(endpoints.jwks)))
  t.match(payload, { sub: '001.a.1', nonce: 'raw', aud: clientId })
})

t.test('a code is good once, for its client, its redirect_uri, its verifier, and five minutes', async t => {
  const verifier = 'v'.repeat(43)
  const redirectUri = 'https://app.example.com/callback'
  const rows: Array<[string, Parameters<typeof idp.apple.authorizationCode>[1], Record<string, string>, RegExp]> = [
    ['unasked redirect_uri', {}, { redirect_uri: redirectUri }, /redirect_uri mismatch/],
    ['no redirect_uri', { redirectUri }, {}, /redirect_uri mismatch/],
    ['another redirect_uri', { redirectUri }, { redirect_uri: `${redirectUri}/` }, /redirect_uri mismatch/],
    ['no verifier', { codeVerifier: verifier }, {}, /verifier/],
    ['another verifier', { codeVerifier: verifier }, { code_verifier: 'w'.repeat(43) }, /verifier/],
    ['verifier without challenge', {}, { code_verifier: verifier }, /verifier/],
    ['another client', { clientId: webClientId }, {}, /client_id mismatch/],
    ['expired', { expiresIn: 0 }, {}, /has expired/]
  ]
  for (const [name, options, form, why] of rows) {
    t.match(
      await exchange(idp.apple.authorizationCode({}, options), form),
      { status: 400, body: { error: 'invalid_grant', error_description: why } },
      name
    )
  }
  t.match(await exchange('junk'), { status: 400, body: { error: 'invalid_grant' } })

  const code = idp.apple.authorizationCode({}, { redirectUri, codeVerifier: verifier })
  t.equal((await exchange(code, { redirect_uri: redirectUri, code_verifier: verifier })).status, 200)
  t.match(await exchange(code, { redirect_uri: redirectUri, code_verifier: verifier }), {
    status: 400,
    body: { error: 'invalid_grant', error_description: /already been used/ }
  })
  const late = idp.apple.authorizationCode()
  idp.clock.offset(301)
  t.teardown(() => idp.clock.offset(0))
  t.match(await exchange(late), { status: 400, body: { error_description: /has expired/ } })
})

t.test('the client secret is an ES256 JWT of the team, for this client, for six months at most', async t => {
  const { privateKey: stranger } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const now = idp.clock.now()
  const rows: Array<[string, Secret]> = [
    ['another team', { iss: 'OTHER00000' }],
    ['another client', { sub: webClientId }],
    ['another audience', { aud: 'https://account.apple.com' }],
    ['another key id', { kid: 'OTHERKEY00' }],
    ['another key', { key: stranger }],
    ['expired', { exp: now - 1 }],
    ['seven months', { exp: now + 7 * month }]
  ]
  for (const [name, differs] of rows) {
    const answer = await exchange(idp.apple.authorizationCode(), { client_secret: await clientSecret(differs) })
    t.match(answer, { status: 400, body: { error: 'invalid_client' } }, name)
  }
  t.match(await exchange('x', { client_secret: 'junk' }), { status: 400, body: { error: 'invalid_client' } })
  t.match(
    await exchange('x', {
      client_id: 'com.example.other',
      client_secret: await clientSecret({ sub: 'com.example.other' })
    }),
    { status: 400, body: { error: 'invalid_client' } }
  )
  t.match(await post(endpoints.token, { grant_type: 'password' }), {
    status: 400,
    body: { error: 'unsupported_grant_type' }
  })
})

t.test('a refresh token is good until it is revoked', async t => {
  const { body } = await exchange(idp.apple.authorizationCode({ sub: '001.b.2' }))
  const refreshToken = String(member(body, 'refresh_token'))
  t.match(await post(endpoints.token, { grant_type: 'refresh_token', refresh_token: refreshToken }), {
    status: 200,
    body: { refresh_token: refreshToken, id_token: String }
  })
  t.match(await post(endpoints.revoke, { token: refreshToken, client_secret: 'junk' }), {
    status: 400,
    body: { error: 'invalid_client' }
  })
  t.equal(idp.apple.isRevoked(refreshToken), false)
  t.match(await post(endpoints.revoke, { token: refreshToken, token_type_hint: 'refresh_token' }), {
    status: 200,
    body: null
  })
  t.equal(idp.apple.isRevoked(refreshToken), true)
  t.match(await post(endpoints.token, { grant_type: 'refresh_token', refresh_token: refreshToken }), {
    status: 400,
    body: { error: 'invalid_grant' }
  })
  t.equal((await post(endpoints.revoke, { token: 'unknown' })).status, 200)
})
