import { generateKeyPairSync } from 'node:crypto'
import { createLocalJWKSet, jwtVerify } from 'jose'
import t from 'tap'
import { memoryStore } from '../../src/sessions/stores/index.js'
import { issuer, ownProvider, startApp } from '../server.js'
import { sessionServer } from './session-server.js'

const pair = generateKeyPairSync('ed25519', {
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' }
})
const asymmetric = [{ algorithm: 'EdDSA' as const, privateKey: pair.privateKey }]
const publicOnly = [{ algorithm: 'EdDSA' as const, publicKey: pair.publicKey }]

t.test('another service, in any language, can verify our tokens', async t => {
  const server = await sessionServer(t, { keys: asymmetric, prefix: '/auth' })
  const answer = await server.app.inject('/.well-known/jwks.json')
  t.equal(answer.statusCode, 200)
  t.equal(answer.headers['cache-control'], 'public, max-age=300')
  t.notOk(answer.body.includes('"d"'))
  const token = server.app.tokenExchange.issue({ userId: 'u' }).access_token
  const { payload } = await jwtVerify(token, createLocalJWKSet(answer.json()), {
    issuer,
    audience: issuer,
    typ: 'at+jwt'
  })
  t.equal(payload.sub, 'u')
})

t.test('RFC 8414', async t => {
  const server = await sessionServer(t, { keys: asymmetric, prefix: '/auth' })
  const answer = await server.app.inject('/.well-known/oauth-authorization-server')
  t.equal(answer.headers['cache-control'], 'public, max-age=300')
  t.strictSame(answer.json(), {
    issuer,
    token_endpoint: `${issuer}/auth/token`,
    token_endpoint_auth_methods_supported: ['none'],
    response_types_supported: [],
    grant_types_supported: ['refresh_token', 'urn:ietf:params:oauth:grant-type:token-exchange'],
    jwks_uri: `${issuer}/.well-known/jwks.json`,
    revocation_endpoint: `${issuer}/auth/revoke`,
    revocation_endpoint_auth_methods_supported: ['none']
  })
})

t.test('RFC 8414, 3.1: the path of the issuer comes last', async t => {
  const { app } = await sessionServer(t, { keys: asymmetric, issuer: `${issuer}/tenant` })
  t.equal((await app.inject('/.well-known/oauth-authorization-server')).statusCode, 404)
  t.equal((await app.inject('/.well-known/oauth-authorization-server/tenant')).json().issuer, `${issuer}/tenant`)
})

t.test('a secret has no key set', async t => {
  const { app } = await sessionServer(t)
  t.equal((await app.inject('/.well-known/jwks.json')).statusCode, 404)
  t.equal((await app.inject('/.well-known/oauth-authorization-server')).json().jwks_uri, undefined)
})

t.test('a service with public keys only verifies, has no login, and refuses what was revoked elsewhere', async t => {
  const store = memoryStore()
  const server = await sessionServer(t, { keys: asymmetric, sessions: { store } })
  const service = await startApp(t, { keys: publicOnly, sessions: { store } })
  service.get('/', { onRequest: service.requireUser() }, async () => 'ok')
  const { access } = await server.login()
  const call = async () =>
    (await service.inject({ url: '/', headers: { authorization: `Bearer ${access}` } })).statusCode
  t.equal(await call(), 200)
  await server.post('/logout', access)
  t.equal(await call(), 401)
  for (const url of ['/login/own', '/token', '/nonce']) {
    t.equal((await service.inject({ method: 'POST', url })).statusCode, 404)
  }
})

t.test('defaultLevel leaves them open', async t => {
  const { app } = await sessionServer(t, { keys: asymmetric, defaultLevel: 'admin', providers: { own: ownProvider() } })
  t.equal((await app.inject('/.well-known/jwks.json')).statusCode, 200)
})
