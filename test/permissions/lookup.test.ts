import t from 'tap'
import type { PermissionLookup, LookupContext } from '../../src/permissions/lookup.js'
import type { Identity } from '../../src/identity.js'
import type { Permissions } from '../../src/permissions/permissions.js'
import { decodeClaims, loginServer } from '../routes/login-server.js'
import { ownProvider, reservedClaims } from '../server.js'

const nothing: unknown = undefined
const failed = {
  statusCode: 503,
  code: 'AUTH_ERR_LOOKUP_FAILED',
  error: 'Service Unavailable',
  message: 'The permissions of this user cannot be determined at the moment'
}

/** A lookup of which the compiler does not know what it answers. */
function answering (make: () => unknown): PermissionLookup {
  return () => make() as Permissions
}

t.test('the answer decides: level, permissions, user id and claims stand in the token and in the answer', async t => {
  const permissions: PermissionLookup = () => ({
    level: 'admin',
    permissions: ['todo:read', 'todo:write'],
    userId: 'u-7',
    claims: { tenant: 'acme', nested: { deep: [1, null] } }
  })
  const { app, login } = await loginServer({ permissions })
  const { user, access_token: token } = (await login({ access_token: 'good' })).json()
  t.same(user, { userId: 'u-7', provider: 'own', level: 'admin', permissions: ['todo:read', 'todo:write'] })
  t.match(app.tokenExchange.verify(token), {
    id: 'u-7',
    provider: 'own',
    subject: '10158',
    level: 'admin',
    permissions: ['todo:read', 'todo:write']
  })
  t.same(app.tokenExchange.verify(token).claims, { tenant: 'acme', nested: { deep: [1, null] } })
  t.match(decodeClaims(token), { sub: 'u-7', idp: 'own', idp_sub: '10158', level: 'admin', tenant: 'acme' })
  await app.close()
})

t.test('what it leaves out has a default', async t => {
  const rows: Array<[string, () => unknown]> = [
    ['an empty object', () => ({})],
    ['a promise of one', async () => ({})],
    ['a foreign thenable', () => ({ then: (resolve: (value: object) => void) => resolve({}) })],
    ['undefined members', () => ({ level: undefined, permissions: undefined, userId: undefined, claims: undefined })],
    ['an object without prototype', () => Object.create(null)],
    ['a class of the application', () => new class { id = 7; get level () { return 'authenticated' } }()]
  ]
  for (const [name, make] of rows) {
    const { app, login } = await loginServer({ permissions: answering(make) })
    const answer = await login({ access_token: 'good' })
    t.equal(answer.statusCode, 200, name)
    t.same(answer.json().user, { userId: 'own:10158', provider: 'own', level: 'authenticated', permissions: [] }, name)
    t.notOk('idp_sub' in decodeClaims(answer.json().access_token), `${name}: sub says it already`)
    await app.close()
  }
})

t.test('null denies access: 403', async t => {
  for (const permissions of [() => null, async () => null]) {
    const { app, login, log } = await loginServer({ permissions })
    const answer = await login({ access_token: 'good' })
    t.equal(answer.statusCode, 403)
    t.equal(answer.headers['cache-control'], 'no-store')
    t.same(answer.json(), {
      statusCode: 403,
      code: 'AUTH_ERR_ACCESS_DENIED',
      error: 'Forbidden',
      message: 'This user has no access'
    })
    t.notMatch(log(), '"level":50', 'a refusal is no error of the server')
    await app.close()
  }
})

t.test('junk is 503, whatever it is', async t => {
  const cycle: Record<string, unknown> = {}
  cycle.self = cycle
  const throwing = (name: string): object =>
    Object.defineProperty({}, name, {
      enumerable: true,
      get () {
        throw new Error('s3cr3t')
      }
    })
  const deep = JSON.parse('['.repeat(100_000) + ']'.repeat(100_000))
  const rows: Array<[string, () => unknown]> = [
    ...[undefined, false, true, 0, 1, '', 'admin', 1n, Symbol('admin'), [], [{}], () => ({}), NaN].map(
      value => [`${typeof value} ${String(value)}`, () => value] as [string, () => unknown]
    ),
    ['an Error, returned', () => new Error('no such user')],
    ['a Map', () => new Map([['level', 'admin']])],
    ['a Set', () => new Set(['admin'])],
    ['a Date', () => new Date()],
    ['a Buffer', () => Buffer.from('admin')],
    ['a result set of a data base', () => ({ rows: [], rowCount: 0 })],
    ['a misspelt member alone', () => ({ lvl: 'admin' })],
    ...['everyone', 'application', 'Admin', 'admin ', '', null, 1, ['admin'], { toString: () => 'admin' }].map(
      level => [`level ${JSON.stringify(level)}`, () => ({ level })] as [string, () => unknown]
    ),
    ...[
      'todo',
      null,
      {},
      new Set(['todo']),
      [1],
      [null],
      [''],
      [['todo']],
      [{ toString: () => 'todo' }],
      Array(2),
      { length: 1, 0: 'todo' }
    ].map(
      permissions =>
        [`permissions ${String(JSON.stringify(permissions))}`, () => ({ permissions })] as [string, () => unknown]
    ),
    ...['', 7, {}, ['u'], true].map(
      userId => [`userId ${JSON.stringify(userId)}`, () => ({ userId })] as [string, () => unknown]
    ),
    ...[null, 'x', 1, [], () => ({})].map(
      claims => [`claims ${String(claims)}`, () => ({ claims })] as [string, () => unknown]
    ),
    ['a BigInt claim', () => ({ claims: { id: 1n } })],
    ['a circle', () => ({ claims: cycle })],
    ['a claim that throws', () => ({ claims: throwing('tenant') })],
    ['a deep claim', () => ({ claims: { deep } })],
    ['toJSON answers a text', () => ({ claims: { toJSON: () => 'text' } })],
    ['toJSON answers nothing', () => ({ claims: { toJSON () {} } })],
    [
      'toJSON throws',
      () => ({
        claims: {
          toJSON () {
            throw new Error('s3cr3t')
          }
        }
      })
    ],
    ['toJSON brings a reserved claim', () => ({ claims: { tenant: 1, toJSON: () => ({ sub: 'root' }) } })],
    ['a level that throws', () => throwing('level')],
    ['a then that throws', () => throwing('then')],
    [
      'a revoked proxy',
      () => {
        const { proxy, revoke } = Proxy.revocable({}, {})
        revoke()
        return proxy
      }
    ],
    ['10,000 permissions', () => ({ permissions: Array.from({ length: 10_000 }, (_value, index) => `todo:${index}`) })],
    ['a claim of 100 kB', () => ({ claims: { text: 'x'.repeat(100_000) } })],
    ['a user id of 100 kB', () => ({ userId: 'x'.repeat(100_000) })],
    ['a promise of junk', async () => 'admin']
  ]
  for (const [name, make] of rows) {
    const { app, login } = await loginServer({ permissions: answering(make) })
    const answer = await login({ access_token: 'good' })
    t.same(answer.json(), failed, name)
    t.match(answer.headers, { 'cache-control': 'no-store', 'retry-after': /^\d+$/ }, name)
    await app.close()
  }
})

t.test('the names of the token itself are refused as claims', async t => {
  for (const claims of [
    ...reservedClaims.map(name => ({ tenant: 'acme', [name]: 'x' })),
    JSON.parse('{"__proto__":{"level":"admin"}}')
  ]) {
    const { app, login } = await loginServer({ permissions: () => ({ claims }) })
    t.same((await login({ access_token: 'good' })).json(), failed, Object.keys(claims).join())
    await app.close()
  }
})

t.test('what it throws is logged whole and never answered', async t => {
  const secret = 'postgres://root:hunter2@db.internal/users'
  const rows: Array<[string, PermissionLookup]> = [
    [
      'throws',
      () => {
        throw new Error(secret)
      }
    ],
    [
      'rejects',
      async () => {
        throw new Error('query failed', { cause: new Error(secret) })
      }
    ],
    [
      'rejects with one of our codes',
      async () => {
        throw Object.assign(new Error(secret), { code: 'AUTH_ERR_GRANT_REJECTED', statusCode: 401 })
      }
    ],
    [
      'rejects with a status',
      async () => {
        throw Object.assign(new Error(secret), { statusCode: 404, headers: { 'x-secret': secret } })
      }
    ],
    [
      'rejects with a text',
      async () => {
        throw secret
      }
    ],
    [
      'rejects with nothing',
      async () => {
        throw nothing
      }
    ]
  ]
  for (const [name, permissions] of rows) {
    const { app, login, log } = await loginServer({ permissions })
    const answer = await login({ access_token: 'good' })
    t.same(answer.json(), failed, name)
    t.equal(answer.statusCode, 503, name)
    t.equal(answer.headers['retry-after'], '5', name)
    t.notMatch(JSON.stringify(answer.headers), 'hunter2', name)
    if (name !== 'rejects with nothing') t.match(log(), 'hunter2', `${name}: its developers need it`)
    await app.close()
  }
})

t.test('what cannot even be read is 503, too', async t => {
  const explode = { get (): never { throw new Error('s3cr3t') } }
  const rows: Array<[string, unknown]> = [
    ...['message', 'stack', 'cause', 'code', 'extra'].map(
      name =>
        [
          `an error whose ${name} throws`,
          Object.defineProperty(new Error('x'), name, { enumerable: true, ...explode })
        ] as [string, unknown]
    ),
    ['an object whose message throws', Object.defineProperty({}, 'message', explode)],
    ['such a cause', new Error('x', { cause: Object.defineProperty({}, 'message', explode) })],
    ['such a part', new AggregateError([Object.defineProperty(new Error('x'), 'stack', explode)])],
    [
      'a proxy',
      new Proxy({}, { get: explode.get, has: explode.get, getPrototypeOf: explode.get, ownKeys: explode.get })
    ],
    ['a frozen object', Object.freeze({ message: 'x' })]
  ]
  for (const [name, thrown] of rows) {
    const { app, login } = await loginServer({ permissions: async () => { throw thrown } })
    t.same((await login({ access_token: 'good' })).json(), failed, name)
    await app.close()
  }
})

t.test('a lookup that hangs is 503 at lookupTimeout, and its signal is aborted', async t => {
  let signal: AbortSignal | undefined
  const { app, login } = await loginServer({
    lookupTimeout: 1,
    permissions: (_identity, context) => {
      signal = context.signal
      return new Promise(() => {})
    }
  })
  t.same((await login({ access_token: 'good' })).json(), failed)
  t.equal(signal?.aborted, true)
  await app.close()
})

t.test('it is told why, for which request, until when, and what a code exchange brought', async t => {
  const seen: Array<{ identity: Identity, context: LookupContext }> = []
  const providerTokens = Object.freeze({ refreshToken: 'r-s3cr3t', accessToken: 'a-s3cr3t' })
  const own = ownProvider(() => Object.defineProperty({ subject: '1' }, 'providerTokens', { value: providerTokens }))
  const { app, login, log } = await loginServer({
    providers: { own },
    permissions (identity, context) {
      seen.push({ identity, context })
      context.request.log.info(
        { context: { ...context, request: undefined }, identity },
        'an application that logs too much'
      )
      return { permissions: [] }
    }
  })
  const answer = await login({ authorization_code: 'c', device: 'phone-1' }, { headers: { 'x-mine': 'yes' } })
  t.equal(answer.statusCode, 200)
  const [call] = seen
  t.equal(seen.length, 1)
  t.equal(call?.context.reason, 'login')
  t.equal(call?.context.request.headers['x-mine'], 'yes')
  t.match(call?.context.request.body, { device: 'phone-1' }, 'the body is an object, as everywhere in Fastify')
  t.equal(call?.context.signal.aborted, false)
  t.same(call?.context.providerTokens, { refreshToken: 'r-s3cr3t' })
  t.notOk(Object.keys(call?.context ?? {}).includes('providerTokens'), 'not enumerable')
  t.notMatch(answer.payload + log(), 's3cr3t')
  await app.close()
})

t.test('without a code exchange there are no provider tokens', async t => {
  const seen: unknown[] = []
  const { app, login } = await loginServer({
    permissions: (_identity, { providerTokens }) => {
      seen.push(providerTokens)
      return {}
    }
  })
  await login({ access_token: 'good' })
  t.same(seen, [null])
  await app.close()
})

t.test('what the application does to its objects later reaches no token', async t => {
  const shared = { level: 'authenticated' as const, permissions: ['todo:read'], claims: { tenant: { id: 'acme' } } }
  const { app, login } = await loginServer({ permissions: () => shared })
  const { access_token: token, user } = (await login({ access_token: 'good' })).json()
  shared.permissions.push('todo:delete')
  shared.claims.tenant.id = 'evil'
  t.same(user.permissions, ['todo:read'])
  t.match(app.tokenExchange.verify(token), { permissions: ['todo:read'], claims: { tenant: { id: 'acme' } } })
  await app.close()
})

t.test('the body never says who the user is, or what it may do', async t => {
  const { app, login } = await loginServer()
  const body = {
    access_token: 'good',
    user_id: 'own:1',
    userId: 'own:1',
    email: 'root@example.com',
    sub: '1',
    subject: '1',
    provider: 'x',
    level: 'admin',
    permissions: ['*'],
    claims: { a: 1 },
    user: { userId: 'own:1' }
  }
  t.same((await login(body)).json().user, {
    userId: 'own:10158',
    provider: 'own',
    level: 'authenticated',
    permissions: []
  })
  await app.close()
})
