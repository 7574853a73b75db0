import { inspect } from 'node:util'
import { exportPKCS8, generateKeyPair, jwtVerify } from 'jose'
import t from 'tap'
import { apple } from '../../src/providers/index.js'
import { fakeServer, json, raw, type FakeServer, type Handler } from '../http/fake-server.js'
import { sign } from '../http/issuer-keys.js'
import { client, idTokenCases, key, otherClient, times, verify } from './good-tokens.js'

const team = await generateKeyPair('ES256', { extractable: true })
const privateKey = await exportPKCS8(team.privateKey)

function provider ({ url }: FakeServer, nonce: 'required' | 'if-present' = 'if-present') {
  const endpoints = { jwks: `${url}/keys`, token: `${url}/token`, revoke: `${url}/revoke` }
  return apple({ clientIds: [client, otherClient], teamId: 'TEAM', keyId: 'KEY', privateKey, nonce, endpoints })
}

function token (row: Record<string, unknown> = {}): Promise<string> {
  return sign(key, { ...idTokenCases.apple?.claims(''), ...times(), ...row })
}

function answering (answer: Handler): Handler {
  return (request, response, body) =>
    (request.url === '/keys' ? json({ keys: [key.jwk] }) : answer)(request, response, body)
}

const code = {
  type: 'authorization_code',
  token: 'c0de',
  redirectUri: 'https://app.example/cb',
  codeVerifier: 'verifier'
} as const

t.test('ID tokens', async t => {
  const fake = await fakeServer(t, answering(json({})))
  const rows: Array<[row: Record<string, unknown>, expected: object]> = [
    [
      {},
      { emailVerified: true, email: 'u@privaterelay.appleid.com', claims: { is_private_email: 'true' }, name: null }
    ],
    [{ iss: 'https://account.apple.com' }, { clientId: client }],
    [{ email_verified: true }, { emailVerified: true }],
    [{ email_verified: 'false' }, { emailVerified: false }],
    [{ email_verified: false }, { emailVerified: false }],
    [
      { email: undefined, email_verified: undefined },
      { email: null, emailVerified: 'unknown' }
    ],
    [{ aud: otherClient }, { clientId: otherClient }],
    [{ iat: times().iat, exp: Math.floor(Date.now() / 1000) + 86_400 }, { clientId: client }]
  ]
  for (const [row, expected] of rows) {
    t.match(await verify(provider(fake), { token: await token(row) }), expected, JSON.stringify(row))
  }
})

t.test('a code is exchanged with a client secret of its own', async t => {
  const idToken = await token({ nonce: 'n' })
  const fake = await fakeServer(
    t,
    answering(
      json({ access_token: 'a', token_type: 'Bearer', expires_in: 3600, refresh_token: 'r3fresh', id_token: idToken })
    )
  )
  const identity = await verify(provider(fake, 'required'), { ...code, nonce: 'n' })
  t.match(identity, { subject: '000792.d71059.0638', clientId: client })
  t.strictSame(identity.providerTokens, { refreshToken: 'r3fresh' })
  t.notMatch(
    JSON.stringify(identity) + inspect(identity),
    /r3fresh|providerTokens/,
    'the refresh token is not enumerable'
  )
  t.notMatch({ ...identity }, { providerTokens: Object })

  const form = Object.fromEntries(new URLSearchParams(fake.requests[0]?.body))
  t.match(form, {
    grant_type: 'authorization_code',
    code: 'c0de',
    redirect_uri: code.redirectUri,
    code_verifier: 'verifier',
    client_id: client
  })
  const secret = await jwtVerify(String(form.client_secret), team.publicKey, {
    issuer: 'TEAM',
    subject: client,
    audience: 'https://appleid.apple.com',
    requiredClaims: ['exp', 'iat']
  })
  t.strictSame(secret.protectedHeader, { alg: 'ES256', kid: 'KEY' })
  await t.rejects(verify(provider(fake), { ...code, nonce: 'other' }), {
    code: 'AUTH_ERR_GRANT_REJECTED',
    reason: 'nonce'
  })
})

t.test('a code of the second client', async t => {
  const idToken = await token({ aud: otherClient })
  const fake = await fakeServer(
    t,
    answering((request, response, body) =>
      (body.includes(`client_id=${otherClient}`)
        ? json({ id_token: idToken })
        : json({ error: 'invalid_grant' }, 400))(request, response, body)
    )
  )
  const identity = await verify(provider(fake), code)
  t.match(identity, { clientId: otherClient })
  t.notOk('providerTokens' in identity)
})

const answers: Array<[string, Handler, string, RegExp]> = [
  ['invalid_grant', json({ error: 'invalid_grant' }, 400), 'AUTH_ERR_GRANT_REJECTED', /invalid_grant/],
  ['invalid_client', json({ error: 'invalid_client' }, 400), 'AUTH_ERR_PROVIDER_UNAVAILABLE', /invalid_client/],
  [
    'an error with foreign text',
    json({ error: 'Secret text!' }, 400),
    'AUTH_ERR_PROVIDER_UNAVAILABLE',
    /^token endpoint: status 400$/
  ],
  ['no ID token', json({ access_token: 'a' }), 'AUTH_ERR_PROVIDER_UNAVAILABLE', /no ID token/],
  ['a foreign ID token', json({ id_token: 'a.b.c' }), 'AUTH_ERR_GRANT_REJECTED', /form/],
  ['status 500', json({}, 500), 'AUTH_ERR_PROVIDER_UNAVAILABLE', /status 500/],
  ['a page', raw('<html>'), 'AUTH_ERR_PROVIDER_UNAVAILABLE', /JSON/]
]
for (const [name, answer, errorCode, reason] of answers) {
  t.test(`a code, answered with ${name}`, async t => {
    const fake = await fakeServer(t, answering(answer))
    await t.rejects(verify(provider(fake), code), { code: errorCode, reason })
  })
}

t.test('revoke', async t => {
  const fake = await fakeServer(t, raw(''))
  await provider(fake).revoke('r3fresh')
  const forms = fake.requests.map(({ body }) => Object.fromEntries(new URLSearchParams(body)))
  t.match(
    forms,
    [client, otherClient].map(id => ({
      client_id: id,
      client_secret: /^ey/,
      token: 'r3fresh',
      token_type_hint: 'refresh_token'
    }))
  )
  fake.answer = json({ error: 'invalid_client' }, 400)
  await t.rejects(provider(fake).revoke('r3fresh'), { code: 'AUTH_ERR_PROVIDER_UNAVAILABLE', reason: /invalid_client/ })
  fake.answer = json({ error: 'invalid_grant' }, 400)
  await t.rejects(provider(fake).revoke('r3fresh'), { code: 'AUTH_ERR_GRANT_REJECTED' })
  fake.answer = raw('', 503)
  await t.rejects(provider(fake).revoke('r3fresh'), { code: 'AUTH_ERR_PROVIDER_UNAVAILABLE' })
})

t.test('an account without a token cannot be revoked: that is no success', async t => {
  const fake = await fakeServer(t, raw(''))
  for (const token of ['', undefined, null, 5]) {
    await t.rejects(
      async () => {
        await Reflect.apply(provider(fake).revoke, undefined, [token])
      },
      { code: 'AUTH_ERR_OPTION_INVALID' }
    )
  }
  t.strictSame(fake.calls, [])
})

t.test('without the key there are no codes and no revocation', async t => {
  const plain = apple({ clientIds: [client] })
  await t.rejects(verify(plain, code), { code: 'AUTH_ERR_GRANT_REJECTED' })
  await t.rejects(plain.revoke('r'), { code: 'AUTH_ERR_OPTION_INVALID' })
})
