import { mock } from 'node:test'
import { decodeProtectedHeader, decodeJwt, jwtVerify } from 'jose'
import t from 'tap'
import type { IdentityProvider } from '../../src/index.js'
import { ask, issuer, reservedClaims, startApp, startUsersApp } from '../server.js'
import { algorithms, encode, forge, goodClaims, publicOnly, testKey } from './forge.js'

const provider: IdentityProvider = {
  accepts: ['access_token'],
  verify: async ({ token }) => ({ subject: token, clientId: 'app-1', email: 'ada@example.com' })
}

async function login (app: Awaited<ReturnType<typeof startApp>>): Promise<string> {
  const answer = await app.inject({ method: 'POST', url: '/login/own', payload: { access_token: '42' } })
  return answer.json<{ access_token: string }>().access_token
}

for (const algorithm of algorithms) {
  t.test(`${algorithm}: a token of this server`, async t => {
    const key = await testKey(algorithm)
    const app = await startUsersApp(t, { keys: [key.option], providers: { own: provider } })
    const token = await login(app)

    await t.test('has the header of RFC 9068, 2.1, byte for byte', async t => {
      t.equal(token.split('.')[0], encode(`{"alg":"${algorithm}","typ":"at+jwt","kid":"${key.kid}"}`))
      t.strictSame(decodeProtectedHeader(token), { alg: algorithm, typ: 'at+jwt', kid: key.kid })
    })

    await t.test('has the claims of section 6 and no other', async t => {
      const { iat = 0, exp, jti, auth_time: loggedInAt, ...others } = decodeJwt(token)
      t.strictSame(others, {
        iss: issuer,
        aud: issuer,
        sub: 'own:42',
        client_id: 'app-1',
        idp: 'own',
        level: 'authenticated',
        permissions: []
      })
      t.equal(exp, iat + 3600)
      t.type(loggedInAt, 'number')
      t.type(jti, 'string')
    })

    await t.test('is verified by jose, and by a service with the public key alone', async t => {
      if (key.publicKey !== null) {
        await jwtVerify(token, key.publicKey, { issuer, audience: issuer, typ: 'at+jwt', algorithms: [algorithm] })
      }
      const service = await startUsersApp(t, { keys: [publicOnly(key)] })
      t.equal((await ask(service, { authorization: `Bearer ${token}` })).status, 200)
    })

    await t.test('may be signed by another tool with the same key', async () => {
      t.equal((await ask(app, { authorization: `Bearer ${forge(key)}` })).status, 200)
    })
  })
}

t.test('a service with public keys only has no login routes and issues nothing', async t => {
  const key = await testKey('EdDSA')
  const app = await startUsersApp(t, { keys: [publicOnly(key)] })
  t.equal((await app.inject({ method: 'POST', url: '/login/own', payload: {} })).statusCode, 404)
  t.throws(() => app.tokenExchange.issue({ userId: '1' }), { code: 'AUTH_ERR_OPTION_INVALID' })
  t.throws(() => { app.tokenExchange.verify('x') }, { code: 'AUTH_ERR_TOKEN_INVALID' })
})

t.test('keys rotate by their order in the list', async t => {
  const [old, young] = [await testKey('ES256'), await testKey('EdDSA')]
  const before = await startUsersApp(t, { keys: [old.option] })
  const announced = await startUsersApp(t, { keys: [old.option, publicOnly(young)] })
  const rotated = await startUsersApp(t, { keys: [publicOnly(old), young.option] })
  const retired = await startUsersApp(t, { keys: [young.option] })
  const [oldToken, youngToken] = [announced, rotated].map(
    app => app.tokenExchange.issue({ userId: 'ada' }).access_token
  )
  t.equal(decodeProtectedHeader(oldToken ?? '').kid, old.kid)
  t.equal(decodeProtectedHeader(youngToken ?? '').kid, young.kid, 'the first that can sign, signs')
  const rows = [
    { app: before, statuses: [200, 401] },
    { app: announced, statuses: [200, 200] },
    { app: rotated, statuses: [200, 200] },
    { app: retired, statuses: [401, 200] }
  ]
  for (const { app, statuses } of rows) {
    for (const [index, token] of [oldToken, youngToken].entries()) {
      t.equal((await ask(app, { authorization: `Bearer ${token}` })).status, statuses[index])
    }
  }
})

t.test('idp_sub holds the subject where sub is not idp:subject', async t => {
  const app = await startApp(t, {
    providers: { own: provider },
    permissions: () => ({
      userId: 'ada',
      permissions: ['todo:read'],
      level: 'admin',
      claims: { plan: 'gold', 1: [{ a: null }] }
    })
  })
  const token = await login(app)
  t.match(decodeJwt(token), { sub: 'ada', idp: 'own', idp_sub: '42' })
  t.match(app.tokenExchange.verify(token), {
    id: 'ada',
    provider: 'own',
    subject: '42',
    level: 'admin',
    permissions: ['todo:read'],
    claims: { plan: 'gold', 1: [{ a: null }] },
    sessionId: null
  })
})

t.test('a token that the application issues itself names no provider', async t => {
  const app = await startApp(t, { audience: 'todo-service' })
  const {
    access_token: token,
    user,
    expires_in: expiresIn
  } = app.tokenExchange.issue({ userId: 'facebook:10158', claims: { plan: 'gold' } })
  const { iat = 0, jti, ...claims } = decodeJwt(token)
  t.strictSame(claims, {
    iss: issuer,
    aud: 'todo-service',
    sub: 'facebook:10158',
    client_id: 'todo-service',
    exp: iat + 3600,
    level: 'authenticated',
    permissions: [],
    plan: 'gold'
  })
  t.strictSame(user, { userId: 'facebook:10158', provider: null, level: 'authenticated', permissions: [] })
  t.equal(expiresIn, 3600)
  t.strictSame(app.tokenExchange.verify(token), {
    id: 'facebook:10158',
    provider: null,
    subject: null,
    level: 'authenticated',
    permissions: [],
    claims: { plan: 'gold' },
    tokenId: jti,
    sessionId: null,
    authenticatedAt: null,
    acr: null,
    amr: [],
    issuedAt: iat,
    expiresAt: iat + 3600
  })
})

t.test('issue refuses', async t => {
  const app = await startApp(t)
  const circle: Record<string, unknown> = {}
  circle.again = circle
  const rows: Array<[string, unknown]> = [
    ['nothing', undefined],
    ['no userId', {}],
    ['an empty userId', { userId: '' }],
    ['a userId that is a number', { userId: 7 }],
    ['an unknown level', { userId: 'a', level: 'root' }],
    ['a level that only routes have', { userId: 'a', level: 'everyone' }],
    ['permissions that are a text', { userId: 'a', permissions: 'todo:read' }],
    ['a permission that is no text', { userId: 'a', permissions: [1] }],
    ['an empty permission', { userId: 'a', permissions: [''] }],
    ['a hole in the permissions', { userId: 'a', permissions: new Array(1) }],
    ['claims that are a list', { userId: 'a', claims: [] }],
    ['claims that are a circle', { userId: 'a', claims: circle }],
    ['claims that are no JSON', { userId: 'a', claims: { n: 1n } }],
    ['claims that become none', { userId: 'a', claims: { toJSON: () => undefined } }],
    ['claims that become reserved', { userId: 'a', claims: { toJSON: () => ({ level: 'admin' }) } }],
    ['__proto__', { userId: 'a', claims: JSON.parse('{"__proto__":{"level":"admin"}}') }],
    ['a token beyond 8 KiB', { userId: 'a', permissions: Array.from({ length: 10_000 }, (_, i) => `p${i}`) }],
    ...reservedClaims.map((name): [string, unknown] => [`the claim ${name}`, { userId: 'a', claims: { [name]: 'x' } }])
  ]
  for (const [name, grantee] of rows) {
    t.throws(
      () => Reflect.apply(app.tokenExchange.issue, undefined, [grantee]),
      { code: 'AUTH_ERR_OPTION_INVALID' },
      name
    )
  }
})

t.test('whatever claims are issued, the token is accepted with the same', async t => {
  const app = await startApp(t)
  let deep: unknown = 1
  for (let i = 0; i < 2000; i++) deep = [deep]
  const rows: Array<Record<string, unknown>> = [
    { 2: 'b', 1: 'a', z: 0 },
    { text: '\u2028 \u0000 "\\ ü 😀' },
    { lone: '\ud800' },
    { number: 1e21, small: 5e-324, minus: -0 },
    { deep },
    { constructor: 1, toString: 'x' },
    { inner: JSON.parse('{"__proto__":{"a":1}}') },
    { date: new Date(0), nothing: undefined, nan: NaN }
  ]
  for (const claims of rows) {
    const { access_token: token } = app.tokenExchange.issue({ userId: 'ü😀', permissions: ['ü'], claims })
    t.strictSame(
      JSON.stringify(app.tokenExchange.verify(token).claims),
      JSON.stringify(JSON.parse(JSON.stringify(claims)))
    )
  }
})

t.test('objects that the application changes later change no token', async t => {
  const app = await startApp(t)
  const grantee = { userId: 'a', permissions: ['todo:read'], claims: { list: ['a'] } }
  const { access_token: token, user } = app.tokenExchange.issue(grantee)
  grantee.permissions.push('todo:delete')
  grantee.claims.list.push('b')
  t.strictSame(user.permissions, ['todo:read'])
  t.match(app.tokenExchange.verify(token), { permissions: ['todo:read'], claims: { list: ['a'] } })
})

t.test('it expires, and is refused from exp on, a little later for clocks that differ', async t => {
  mock.timers.enable({ apis: ['Date'], now: 1_800_000_000_000 })
  t.teardown(() => mock.timers.reset())
  const key = await testKey('HS256')
  const rows = [
    { clockTolerance: 0, lastGood: 599_999 },
    { clockTolerance: 5, lastGood: 604_999 },
    { clockTolerance: 300, lastGood: 899_999 }
  ]
  for (const { clockTolerance, lastGood } of rows) {
    mock.timers.setTime(1_800_000_000_000)
    const warm = await startUsersApp(t, { keys: [key.option], clockTolerance, accessTokenLifetime: 600 })
    const cold = await startUsersApp(t, { keys: [key.option], clockTolerance })
    const authorization = `Bearer ${warm.tokenExchange.issue({ userId: 'ada' }).access_token}`
    t.equal((await ask(warm, { authorization })).status, 200)
    mock.timers.tick(lastGood)
    t.equal((await ask(warm, { authorization })).status, 200, `tolerance ${clockTolerance}`)
    mock.timers.tick(1)
    for (const app of [warm, cold, warm]) {
      t.match(await ask(app, { authorization }), {
        status: 401,
        code: 'AUTH_ERR_TOKEN_EXPIRED',
        challenge: 'Bearer error="invalid_token"'
      })
    }
    t.throws(() => { warm.tokenExchange.verify(authorization.slice(7)) }, { code: 'AUTH_ERR_TOKEN_EXPIRED' })
  }
})

t.test('times at their bounds', async t => {
  mock.timers.enable({ apis: ['Date'], now: 1_800_000_000_000 })
  t.teardown(() => mock.timers.reset())
  const now = 1_800_000_000
  const key = await testKey('HS256')
  const app = await startUsersApp(t, { keys: [key.option] })
  const rows: Array<[string, Record<string, unknown>, number]> = [
    ['exp a day ahead', { exp: now + 86_400 }, 200],
    ['exp a second more', { exp: now + 86_401 }, 401],
    ['a day from the clock of another server, within the tolerance', { iat: now + 5, exp: now + 86_405 }, 200],
    ['iat ahead, within the tolerance', { iat: now + 5 }, 200],
    ['iat ahead, beyond it', { iat: now + 6 }, 401],
    ['nbf ahead, within the tolerance', { nbf: now + 5 }, 200],
    ['nbf ahead, beyond it', { nbf: now + 6 }, 401]
  ]
  for (const [name, difference, status] of rows) {
    t.equal(
      (await ask(app, { authorization: `Bearer ${forge(key, { ...goodClaims(), ...difference })}` })).status,
      status,
      name
    )
  }
})
