import t from 'tap'
import { oidc } from '../../src/providers/index.js'
import { fakeServer, json } from '../http/fake-server.js'
import { issuerKey, sign } from '../http/issuer-keys.js'
import { client, times, verify } from './good-tokens.js'

const keys = await Promise.all(
  ['RS256', 'PS256', 'ES256', 'EdDSA', 'ES384'].map(algorithm => issuerKey(`key-${algorithm}`, algorithm))
)

t.test('OpenID Connect by discovery', async t => {
  const fake = await fakeServer(t, (request, response, body) =>
    json(
      request.url === '/jwks'
        ? { keys: keys.map(({ jwk }) => jwk) }
        : { issuer: fake.url, jwks_uri: `${fake.url}/jwks` }
    )(request, response, body)
  )
  const claims = () => ({ iss: fake.url, aud: client, sub: 'user-1', ...times() })

  const byDefault = oidc({ issuer: fake.url, clientIds: [client] })
  for (const key of keys) {
    const attempt = verify(byDefault, { token: await sign(key, claims()) })
    if (key.algorithm === 'ES384') await t.rejects(attempt, { code: 'AUTH_ERR_GRANT_REJECTED', reason: 'alg' })
    else t.match(await attempt, { subject: 'user-1', clientId: client, emailVerified: 'unknown' }, key.algorithm)
  }
  t.strictSame(fake.calls, ['GET /.well-known/openid-configuration', 'GET /jwks'])

  const pinned = oidc({ issuer: fake.url, clientIds: [client], algorithms: ['ES384'] })
  for (const key of keys) {
    const attempt = verify(pinned, { token: await sign(key, claims()) })
    if (key.algorithm === 'ES384') await t.resolves(attempt)
    else await t.rejects(attempt, { code: 'AUTH_ERR_GRANT_REJECTED', reason: 'alg' })
  }
})

t.test('a subject of its own', async t => {
  const [key] = keys
  if (key === undefined) return t.fail()
  const fake = await fakeServer(t, json({ keys: [key.jwk] }))
  const rows: Array<[subject: (claims: Readonly<Record<string, unknown>>) => unknown, expected: string | null]> = [
    [claims => `${String(claims.tenant)}:${String(claims.sub)}`, 'acme:user-1'],
    [claims => claims.missing, null],
    [() => '', null],
    [() => 7, null],
    [() => 'x'.repeat(256), null],
    [() => { throw new Error('no such claim') }, null]
  ]
  for (const [subject, expected] of rows) {
    const provider = Reflect.apply(oidc, undefined, [
      { issuer: 'https://idp.example', clientIds: [client], subject, endpoints: { jwks: fake.url } }
    ])
    const attempt = verify(provider, {
      token: await sign(key, { iss: 'https://idp.example', aud: client, sub: 'user-1', tenant: 'acme', ...times() })
    })
    if (expected === null) await t.rejects(attempt, { code: 'AUTH_ERR_GRANT_REJECTED', reason: 'subject' })
    else t.match(await attempt, { subject: expected })
  }
})

t.test('a document of another issuer opens nothing', async t => {
  const [key] = keys
  if (key === undefined) return t.fail()
  const fake = await fakeServer(t, (request, response, body) =>
    json(
      request.url === '/jwks' ? { keys: [key.jwk] } : { issuer: 'https://other.example', jwks_uri: `${fake.url}/jwks` }
    )(request, response, body)
  )
  const token = await sign(key, { iss: fake.url, aud: client, sub: 'user-1', ...times() })
  await t.rejects(verify(oidc({ issuer: fake.url, clientIds: [client] }), { token }), {
    code: 'AUTH_ERR_PROVIDER_UNAVAILABLE'
  })
  t.strictSame(fake.calls, ['GET /.well-known/openid-configuration'])
})
