import { createHash } from 'node:crypto'
import {
  createLocalJWKSet,
  createRemoteJWKSet,
  decodeJwt,
  decodeProtectedHeader,
  jwtVerify,
  type JSONWebKeySet
} from 'jose'
import t from 'tap'
import { startIdentityServer } from '../../src/testing/index.js'

const idp = await startIdentityServer()
t.teardown(() => idp.close())
const { issuer, clientIds } = idp.oidc.options

async function keySet (url: string): Promise<JSONWebKeySet> {
  return JSON.parse(await (await fetch(url)).text())
}

t.test('discovery names the issuer exactly and the key set (OpenID Connect Discovery 1.0, 4.3)', async t => {
  const document = await (await fetch(`${issuer}/.well-known/openid-configuration`)).json()
  t.match(document, {
    issuer,
    jwks_uri: `${issuer}/jwks`,
    id_token_signing_alg_values_supported: ['RS256', 'PS256', 'ES256', 'EdDSA']
  })
})

t.test('ID tokens of every algorithm verify against the published keys', async t => {
  const keys = createRemoteJWKSet(new URL(`${issuer}/jwks`))
  for (const algorithm of ['RS256', 'PS256', 'ES256', 'EdDSA']) {
    const token = await idp.oidc.idToken({ sub: 'u1', email: 'ada@example.com' }, { alg: algorithm })
    const { payload, protectedHeader } = await jwtVerify(token, keys, {
      algorithms: [algorithm],
      issuer,
      audience: clientIds[0] ?? ''
    })
    t.match(payload, { sub: 'u1', email: 'ada@example.com' })
    t.match(protectedHeader, { alg: algorithm, kid: String, typ: 'JWT' })
  }
})

t.test('Google: its issuer, its audiences, its key set', async t => {
  const keys = createRemoteJWKSet(new URL(idp.google.options.endpoints.jwks))
  const { payload } = await jwtVerify(await idp.google.idToken({ hd: 'example.com' }), keys, {
    algorithms: ['RS256'],
    issuer: 'https://accounts.google.com',
    audience: idp.google.options.clientIds
  })
  t.match(payload, { hd: 'example.com', email_verified: true, sub: String })
  t.equal(idp.google.options.clientIds.length, 3)
  await t.rejects(jwtVerify(await idp.oidc.idToken(), keys), { code: 'ERR_JWKS_NO_MATCHING_KEY' })
})

t.test('claims and header are what the test says', async t => {
  const past = idp.clock.now() - 60
  const hashed = createHash('sha256').update('raw').digest('hex')
  const rows: Array<[Record<string, unknown>, Record<string, unknown>]> = [
    [{ aud: ['a', 'b'], azp: 'a' }, {}],
    [{ iss: 'https://attacker.example' }, {}],
    [{ exp: past, iat: past - 60 }, { typ: 'at+jwt' }],
    [{ iat: past + 3600, nbf: past + 3600 }, { kid: '../../etc/passwd' }],
    [{ nonce: 'raw' }, { crit: ['b64'], b64: false }],
    [{ nonce: hashed }, { alg: 'RS512' }]
  ]
  for (const [claims, header] of rows) {
    const token = await idp.oidc.idToken(claims, header)
    t.match(decodeJwt(token), claims)
    t.match(decodeProtectedHeader(token), header)
  }
  const bare = await idp.oidc.idToken({ sub: undefined, exp: undefined }, { kid: undefined })
  t.notOk('sub' in decodeJwt(bare) || 'exp' in decodeJwt(bare) || 'kid' in decodeProtectedHeader(bare))
  t.equal((await idp.oidc.idToken({}, { alg: 'none' })).split('.')[2], '')
})

t.test('the HS256 token is signed with the public key as its secret (RFC 8725, 2.1)', async t => {
  const { createHmac, createPublicKey } = await import('node:crypto')
  const token = await idp.google.idToken({}, { alg: 'HS256' })
  const [jwk = {}] = (await keySet(idp.google.options.endpoints.jwks)).keys
  const secret = createPublicKey({ key: jwk, format: 'jwk' }).export({ type: 'spki', format: 'pem' })
  t.equal(
    createHmac('sha256', secret)
      .update(token.slice(0, token.lastIndexOf('.')))
      .digest('base64url'),
    token.split('.')[2]
  )
})

t.test('the key set holds public keys only, with an ETag that changes when they do (RFC 9110, 13.1.2)', async t => {
  const url = `${issuer}/jwks`
  const first = await fetch(url)
  const etag = first.headers.get('etag') ?? ''
  const { keys } = await keySet(url)
  t.equal(keys.length, 4)
  t.equal(new Set(keys.map(key => key.kid)).size, 4)
  t.ok(keys.every(key => key.use === 'sig' && !('d' in key)))
  t.match(first.headers.get('cache-control'), 'max-age')
  const same = await fetch(url, { headers: { 'if-none-match': etag } })
  t.equal(same.status, 304)
  t.equal(await same.text(), '')
  await idp.oidc.rotate()
  t.equal((await fetch(url, { headers: { 'if-none-match': etag } })).status, 200)
})

t.test('rotation withdraws the old keys, or keeps them', async t => {
  const url = `${issuer}/jwks`
  const before = await idp.oidc.idToken()
  const google = await idp.google.idToken()
  await idp.oidc.rotate({ keepPublishing: true })
  const between = await idp.oidc.idToken()
  const kept = createLocalJWKSet(await keySet(url))
  await jwtVerify(before, kept)
  await jwtVerify(between, kept)
  await jwtVerify(google, createLocalJWKSet(await keySet(idp.google.options.endpoints.jwks)))

  await idp.rotate()
  const fresh = createLocalJWKSet(await keySet(url))
  for (const old of [before, between]) await t.rejects(jwtVerify(old, fresh), { code: 'ERR_JWKS_NO_MATCHING_KEY' })
  await jwtVerify(await idp.oidc.idToken(), fresh)
  await t.rejects(jwtVerify(google, createLocalJWKSet(await keySet(idp.google.options.endpoints.jwks))), {
    code: 'ERR_JWKS_NO_MATCHING_KEY'
  })
})
