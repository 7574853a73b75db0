import { generateKeyPairSync } from 'node:crypto'
import { mock } from 'node:test'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import type { TokenExchangeOptions } from '../../src/plugin-options.js'
import { buildServer, issuer, ownProvider, reservedClaims } from '../server.js'
import { decodeClaims, loginServer } from './login-server.js'

const pair = generateKeyPairSync('ed25519')
const privateKey = pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
const publicKey = pair.publicKey.export({ type: 'spki', format: 'pem' }).toString()

async function server (options: Partial<TokenExchangeOptions> = {}): Promise<FastifyInstance> {
  const app = await buildServer(options)
  app.get('/me', { onRequest: app.requireUser() }, request => request.auth.user)
  app.get('/admin', { onRequest: app.requireLevel('admin') }, () => 'admin')
  return app
}

/** Calls with arguments that the compiler would not allow. */
function issueAnything (app: FastifyInstance, grantee: unknown): unknown {
  return Reflect.apply(app.tokenExchange.issue, app.tokenExchange, [grantee])
}

t.test('issue makes a token for a login that the application did itself', async t => {
  const app = await server()
  const answer = app.tokenExchange.issue({
    userId: 'u-1',
    level: 'admin',
    permissions: ['todo:read'],
    claims: { tenant: 'acme' }
  })
  t.same(answer, {
    access_token: answer.access_token,
    token_type: 'Bearer',
    expires_in: 3600,
    user: { userId: 'u-1', provider: null, level: 'admin', permissions: ['todo:read'] },
    authenticationToken: answer.access_token
  })
  const claims = decodeClaims(answer.access_token)
  t.match(claims, { sub: 'u-1', client_id: issuer, tenant: 'acme' })
  for (const name of ['idp', 'idp_sub', 'sid']) t.notOk(name in claims, `no ${name}`)
  const user = (await app.inject({ url: '/me', headers: { authorization: `Bearer ${answer.access_token}` } })).json()
  t.match(user, {
    id: 'u-1',
    provider: null,
    subject: null,
    sessionId: null,
    level: 'admin',
    permissions: ['todo:read'],
    claims: { tenant: 'acme' }
  })
  await app.close()
})

t.test('level and permissions have the defaults of a lookup', async t => {
  const app = await server()
  t.same(app.tokenExchange.issue({ userId: 'u-1' }).user, {
    userId: 'u-1',
    provider: null,
    level: 'authenticated',
    permissions: []
  })
  t.match(
    app.tokenExchange.verify(app.tokenExchange.issue({ userId: 'own:7' }).access_token),
    { id: 'own:7', provider: null, subject: null },
    "an id that looks like a provider's names none"
  )
  await app.close()
})

t.test('issue throws for what no token may say', async t => {
  const app = await server()
  const rows: unknown[] = [
    undefined,
    null,
    'u-1',
    [],
    {},
    { userId: '' },
    { userId: null },
    { userId: 7 },
    { userId: ['u'] },
    { userId: 'u', level: 'everyone' },
    { userId: 'u', level: 'Admin' },
    { userId: 'u', level: null },
    { userId: 'u', permissions: 'todo' },
    { userId: 'u', permissions: [''] },
    { userId: 'u', permissions: [7] },
    ...reservedClaims.map(name => ({ userId: 'u', claims: { [name]: 'x' } })),
    { userId: 'u', claims: { id: 1n } },
    { userId: 'u', claims: [] },
    { userId: 'u', claims: { toJSON: () => ({ sub: 'root' }) } },
    { userId: 'u', permissions: Array.from({ length: 10_000 }, (_value, index) => `todo:${index}`) }
  ]
  for (const grantee of rows) t.throws(() => issueAnything(app, grantee), { code: 'AUTH_ERR_OPTION_INVALID' })
  await app.close()
})

t.test('verify answers the user, as a guard would see it', async t => {
  const { app, login } = await loginServer({
    permissions: () => ({ permissions: ['todo:read'], claims: { tenant: 'acme' } })
  })
  const token = (await login({ access_token: 'good' })).json().access_token
  const claims = decodeClaims(token)
  const user = app.tokenExchange.verify(token)
  t.same({ ...user }, {
    id: 'own:10158',
    provider: 'own',
    subject: '10158',
    level: 'authenticated',
    permissions: ['todo:read'],
    claims: { tenant: 'acme' },
    tokenId: claims.jti,
    sessionId: null,
    authenticatedAt: claims.auth_time,
    acr: null,
    amr: [],
    issuedAt: claims.iat,
    expiresAt: claims.exp
  })
  for (const value of [user, user.permissions, user.claims]) t.ok(Object.isFrozen(value))
  await app.close()
})

t.test('verify throws by code', async t => {
  const app = await server({ accessTokenLifetime: 60, clockTolerance: 5 })
  const elsewhere = await server({ keys: 'another secret, of more than 32 bytes' })
  const token = app.tokenExchange.issue({ userId: 'u-1' }).access_token
  const rows: unknown[] = [
    undefined,
    null,
    7,
    {},
    [token],
    '',
    'x',
    'a.b.c',
    ` ${token}`,
    `${token} `,
    `${token}.`,
    token.slice(0, -1),
    token.toUpperCase(),
    elsewhere.tokenExchange.issue({ userId: 'u-1' }).access_token
  ]
  for (const junk of rows) {
    t.throws(() => Reflect.apply(app.tokenExchange.verify, app.tokenExchange, [junk]), {
      code: 'AUTH_ERR_TOKEN_INVALID',
      statusCode: 401
    })
  }
  mock.timers.enable({ apis: ['Date'], now: Date.now() })
  t.equal(app.tokenExchange.verify(token).id, 'u-1')
  mock.timers.tick(65_001)
  t.throws(() => app.tokenExchange.verify(token), { code: 'AUTH_ERR_TOKEN_EXPIRED', statusCode: 401 })
  mock.timers.reset()
  await app.close()
  await elsewhere.close()
})

t.test('a second service with the public key only verifies and guards, and has no login', async t => {
  const login = await server({
    keys: [{ algorithm: 'EdDSA', privateKey }],
    providers: { own: ownProvider() },
    permissions: () => ({ level: 'admin' })
  })
  const second = await server({ keys: [{ algorithm: 'EdDSA', publicKey }] })
  const token = (await login.inject({ method: 'POST', url: '/login/own', payload: { access_token: 'good' } })).json()
    .access_token
  const headers = { authorization: `Bearer ${token}` }
  t.match((await second.inject({ url: '/me', headers })).json(), { id: 'own:10158', provider: 'own', level: 'admin' })
  t.equal((await second.inject({ url: '/admin', headers })).statusCode, 200)
  t.equal((await second.inject({ url: '/me' })).statusCode, 401)
  t.equal(second.tokenExchange.verify(token).id, 'own:10158')
  t.throws(() => second.tokenExchange.issue({ userId: 'u-1' }), { code: 'AUTH_ERR_OPTION_INVALID' })
  for (const url of ['/login/own', '/token', '/nonce']) {
    t.equal((await second.inject({ method: 'POST', url, payload: { access_token: 'good' } })).statusCode, 404, url)
  }
  await login.close()
  await second.close()
})

t.test('providers and no key that can sign: refused at start', async t => {
  await t.rejects(
    async () => {
      await server({ keys: [{ algorithm: 'EdDSA', publicKey }], providers: { own: ownProvider() } })
    },
    { code: 'AUTH_ERR_OPTION_INVALID' }
  )
})

t.test('without providers there is no login, and what the application issues is good', async t => {
  const app = await server()
  const { access_token: token } = app.tokenExchange.issue({ userId: 'u-1' })
  t.equal((await app.inject({ url: '/me', headers: { 'x-zumo-auth': token } })).statusCode, 200)
  t.equal((await app.inject({ method: 'POST', url: '/login/own', payload: { access_token: 'good' } })).statusCode, 404)
  await app.close()
})
