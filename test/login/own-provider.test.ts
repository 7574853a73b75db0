import { once } from 'node:events'
import { inspect } from 'node:util'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { errors } from '../../src/errors.js'
import type { AuthorizationGrant, Identity } from '../../src/identity.js'
import { loginServer } from '../routes/login-server.js'
import { ownProvider } from '../server.js'

const unavailable = {
  statusCode: 503,
  code: 'AUTH_ERR_PROVIDER_UNAVAILABLE',
  error: 'Service Unavailable',
  message: 'The identity provider cannot be reached at the moment'
}
const rejected = {
  statusCode: 401,
  code: 'AUTH_ERR_GRANT_REJECTED',
  error: 'Unauthorized',
  message: 'The authorization grant was rejected'
}
const nothing: unknown = undefined

/** A provider that answers something of which the compiler knows nothing. */
function answering (make: () => unknown) {
  return loginServer({ providers: { own: ownProvider(make) } })
}

t.test('an error is told by its code, whatever class it has', async t => {
  class Mine extends Error {
    code: string
    constructor (code: string) {
      super('upstream said s3cr3t')
      this.code = code
    }
  }
  const rows: Array<[string, unknown, object]> = [
    ['our class: no', new errors.GrantRejectedError('aud'), rejected],
    ['our class: outage', new errors.ProviderUnavailableError('ECONNRESET'), unavailable],
    ['another class: no', new Mine('AUTH_ERR_GRANT_REJECTED'), rejected],
    ['another class: outage', new Mine('AUTH_ERR_PROVIDER_UNAVAILABLE'), unavailable],
    ['no class: no', { code: 'AUTH_ERR_GRANT_REJECTED' }, rejected],
    ['no class, frozen: no', Object.freeze({ code: 'AUTH_ERR_GRANT_REJECTED', message: 'x', reason: 'y' }), rejected],
    [
      'with a status and headers of its own',
      Object.assign(new Mine('AUTH_ERR_GRANT_REJECTED'), { statusCode: 200, headers: { 'x-s3cr3t': 's3cr3t' } }),
      rejected
    ],
    ['another code of ours', new errors.AccessDeniedError(), unavailable],
    ['a code that claims a token', new errors.TokenExpiredError(), unavailable],
    ['an unknown code', new Mine('ECONNREFUSED'), unavailable],
    ['a status without a code', Object.assign(new Error('s3cr3t'), { statusCode: 401 }), unavailable],
    ['a number for a code', Object.assign(new Error('s3cr3t'), { code: 401 }), unavailable],
    ['a plain error', new Error('s3cr3t'), unavailable],
    ['a mistake in its code', new TypeError('s3cr3t is not a function'), unavailable]
  ]
  for (const [name, thrown, body] of rows) {
    for (const verify of [() => { throw thrown }, async () => { throw thrown }]) {
      const { app, login } = await answering(verify)
      const answer = await login({ access_token: 'good' })
      t.same(answer.json(), body, name)
      t.notMatch(JSON.stringify(answer.headers), 's3cr3t', name)
      t.equal(answer.headers['retry-after'], body === unavailable ? '5' : undefined, name)
      await app.close()
    }
  }
})

t.test('what is no error, and what cannot be read, is an outage: never a 500', async t => {
  const explode = { get (): never { throw new Error('s3cr3t') } }
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  const rows: Array<[string, unknown]> = [
    ...[nothing, null, 'text', 7, 1n, Symbol('x'), [], () => {}].map(
      value => [`${typeof value} ${String(value)}`, value] as [string, unknown]
    ),
    ...['message', 'stack', 'cause', 'code', 'reason', 'extra'].map(
      name =>
        [
          `an error whose ${name} throws`,
          Object.defineProperty(new Error('x'), name, { enumerable: true, ...explode })
        ] as [string, unknown]
    ),
    ['an object whose message throws', Object.defineProperty({}, 'message', explode)],
    [
      'an object whose toJSON throws',
      {
        toJSON () {
          throw new Error('s3cr3t')
        }
      }
    ],
    ['a frozen error', Object.freeze(new Error('x'))],
    [
      'a proxy',
      new Proxy({}, { get: explode.get, has: explode.get, getPrototypeOf: explode.get, ownKeys: explode.get })
    ],
    ['a revoked proxy', proxy],
    [
      'a circle',
      (() => {
        const error: Error = new Error('x')
        error.cause = error
        return error
      })()
    ]
  ]
  for (const [name, thrown] of rows) {
    const { app, login } = await answering(async () => { throw thrown })
    t.same((await login({ access_token: 'good' })).json(), unavailable, name)
    await app.close()
  }
  for (const [name, code] of [
    ['a reason that throws', 'AUTH_ERR_GRANT_REJECTED'],
    ['a message that throws', 'AUTH_ERR_GRANT_REJECTED']
  ] as const) {
    const thrown = Object.defineProperty(Object.assign(new Error('x'), { code }), name.split(' ')[1] ?? '', explode)
    const { app, login } = await answering(async () => {
      throw thrown
    })
    t.same((await login({ access_token: 'good' })).json(), rejected, `${name}, beside a code that says no`)
    await app.close()
  }
})

t.test('a junk answer is an outage', async t => {
  const explode = { enumerable: true, get (): never { throw new Error('s3cr3t') } }
  const circle: Record<string, unknown> = {}
  circle.self = circle
  const rows: Array<[string, unknown]> = [
    ...[
      nothing,
      null,
      true,
      'ada',
      7,
      7n,
      [],
      [{ subject: '1' }],
      new Map([['subject', '1']]),
      () => ({ subject: '1' }),
      {}
    ].map(value => [`${typeof value} ${String(value)}`, value] as [string, unknown]),
    ...[
      nothing, null, '', 7, 10158123456789012345n, ['1'], {}, 'x'.repeat(256), '\0', 'a\0b', '\ud800', 'a\udc00b'
    ].map(
      subject => [`subject ${inspect(subject)}`, { subject }] as [string, unknown]
    ),
    ...['clientId', 'email', 'name', 'picture', 'locale'].flatMap(name =>
      [1, true, [], {}].map(
        value => [`${name} ${JSON.stringify(value)}`, { subject: '1', [name]: value }] as [string, unknown]
      )
    ),
    ...['true', 'yes', 1, {}].map(
      emailVerified =>
        [`emailVerified ${JSON.stringify(emailVerified)}`, { subject: '1', emailVerified }] as [string, unknown]
    ),
    ...['x', 1, []].map(claims => [`claims ${JSON.stringify(claims)}`, { subject: '1', claims }] as [string, unknown]),
    ['claims in a circle', { subject: '1', claims: circle }],
    ['a subject that throws', Object.defineProperty({}, 'subject', explode)],
    ['a claim that throws', { subject: '1', claims: Object.defineProperty({}, 'a', explode) }],
    ['providerTokens that throw', Object.defineProperty({ subject: '1' }, 'providerTokens', explode)],
    ['a then that throws', Object.defineProperty({ subject: '1' }, 'then', explode)]
  ]
  for (const [name, answer] of rows) {
    const { app, login } = await answering(() => answer)
    t.same((await login({ access_token: 'good' })).json(), unavailable, name)
    await app.close()
  }
})

t.test('the lookup sees an identity that is complete and frozen, to its depth', async t => {
  const kept = {
    subject: '10158123456789012345',
    claims: { groups: ['a'], address: { city: 'x' }, joined: new Date(0), ['__proto__' as string]: 1 },
    extra: 'dropped'
  }
  const seen: Identity[] = []
  const { app, login } = await loginServer({
    providers: { own: ownProvider(() => kept) },
    permissions (identity) { seen.push(identity); return { userId: 'u' } }
  })
  await login({ access_token: 'good' })
  await login({ access_token: 'good' })
  const [identity, again] = seen
  t.same(Object.keys(identity ?? {}).sort(), [
    'claims',
    'clientId',
    'email',
    'emailVerified',
    'locale',
    'name',
    'picture',
    'provider',
    'subject'
  ])
  t.match(identity, {
    provider: 'own',
    subject: '10158123456789012345',
    clientId: null,
    email: null,
    emailVerified: 'unknown',
    name: null,
    picture: null,
    locale: null
  })
  t.same(identity?.claims.groups, ['a'])
  for (const value of [identity, identity?.claims, identity?.claims.groups, identity?.claims.address]) {
    t.ok(Object.isFrozen(value))
  }
  t.not(identity?.claims, again?.claims, 'nothing is shared between requests')
  t.not(identity?.claims.groups, again?.claims.groups)
  t.notOk(Object.isFrozen(kept.claims.groups), "the provider's own objects are left alone")
  await app.close()
})

t.test('what a provider does not say: absent, undefined or null', async t => {
  const names = ['clientId', 'email', 'emailVerified', 'name', 'picture', 'locale', 'claims']
  for (const silence of [undefined, null]) {
    let seen: Identity | undefined
    const said = { subject: '1', ...Object.fromEntries(names.map(name => [name, silence])) }
    const { app, login } = await loginServer({
      providers: { own: ownProvider(() => said) },
      permissions (identity) {
        seen = identity
        return {}
      }
    })
    t.equal((await login({ access_token: 'good' })).statusCode, 200, String(silence))
    t.same(
      seen,
      {
        provider: 'own',
        subject: '1',
        clientId: null,
        email: null,
        emailVerified: 'unknown',
        name: null,
        picture: null,
        locale: null,
        claims: {}
      },
      String(silence)
    )
    await app.close()
  }
})

t.test('all that a provider may say arrives', async t => {
  const said = {
    subject: '1',
    clientId: 'c',
    email: 'ada@example.com',
    emailVerified: true,
    name: 'Ada',
    picture: 'https://example.com/a.png',
    locale: 'en_GB',
    claims: { a: 1 }
  }
  let seen: Identity | undefined
  const { app, login } = await loginServer({
    providers: { own: ownProvider(() => said) },
    permissions (identity) {
      seen = identity
      return {}
    }
  })
  const answer = await login({ access_token: 'good' })
  t.same({ ...seen }, { provider: 'own', ...said })
  t.notMatch(JSON.stringify(answer.json()), /ada@example|Ada|a\.png/)
  await app.close()
})

t.test('ids with more digits than a double holds stay exact in every place', async t => {
  const { app, login } = await answering(() => ({ subject: '90071992547409931234' }))
  const { user, access_token: token } = (await login({ access_token: 'good' })).json()
  t.equal(user.userId, 'own:90071992547409931234')
  t.equal(app.tokenExchange.verify(token).subject, '90071992547409931234')
  await app.close()
})

t.test('a subject with colons is told from its provider', async t => {
  const { app, login } = await answering(() => ({ subject: 'tenant:own:7' }))
  const { user, access_token: token } = (await login({ access_token: 'good' })).json()
  t.equal(user.userId, 'own:tenant:own:7')
  t.match(app.tokenExchange.verify(token), { provider: 'own', subject: 'tenant:own:7' })
  await app.close()
})

t.test('verify is called on its object', async t => {
  class Directory {
    readonly accepts = ['access_token'] as const
    readonly #people = new Map([['good', '7']])
    async verify ({ token }: AuthorizationGrant) { return { subject: this.#people.get(token) ?? '' } }
  }
  const { app, login } = await loginServer({ providers: { own: new Directory() } })
  t.equal((await login({ access_token: 'good' })).json().user.userId, 'own:7')
  await app.close()
})

t.test('a provider may hand on the context as it is, as a copy, or with more in it', async t => {
  for (const handOn of [
    (context: object) => context,
    (context: object) => ({ ...context }),
    (context: object) => Object.create(context)
  ]) {
    const inner = ownProvider(async (_grant, { signal }) => ({
      subject: signal.aborted ? 'aborted' : '7',
      clientId: 'app'
    }))
    const { app, login } = await loginServer({
      providers: { own: ownProvider((grant, context) => inner.verify(grant, handOn(context))) }
    })
    t.equal((await login({ access_token: 'good' })).json().user.userId, 'own:7')
    await app.close()
  }
  const seen: string[][] = []
  const { app, login } = await loginServer({
    providers: {
      own: ownProvider((_grant, context) => {
        seen.push(Object.keys(context))
        return { subject: '7' }
      })
    }
  })
  await login({ access_token: 'good' })
  t.strictSame(seen, [['signal']])
  await app.close()
})

t.test('a verification that never settles ends at providerTimeout, its signal aborted', async t => {
  let signal: AbortSignal | undefined
  const { app, login, log } = await loginServer({
    providerTimeout: 1,
    providers: { own: ownProvider((_grant, context) => { signal = context.signal; return new Promise(() => {}) }) }
  })
  t.same((await login({ access_token: 'good' })).json(), unavailable)
  t.equal(signal?.aborted, true)
  t.match(log(), 'own: not done within 1 ms')
  await app.close()
})

t.test('a provider that heeds its signal is not a no either, and may reject as late as it likes', async t => {
  const late: Array<() => void> = []
  const own = ownProvider((_grant, { signal }) => new Promise((_resolve, reject) => {
    late.push(() => reject(new errors.GrantRejectedError('too late')))
    signal.addEventListener('abort', () => reject(signal.reason))
  }))
  const { app, login } = await loginServer({ providerTimeout: 1, providers: { own } })
  t.same((await login({ access_token: 'good' })).json(), unavailable)
  late.forEach(reject => reject())
  const silent = await loginServer({
    providerTimeout: 1,
    providers: {
      own: ownProvider(
        () =>
          new Promise((_resolve, reject) => {
            late.push(() => reject(new Error('later still')))
          })
      )
    }
  })
  t.same((await silent.login({ access_token: 'good' })).json(), unavailable)
  // An unhandled rejection would fail this test.
  late.forEach(reject => reject())
  await new Promise(setImmediate)
  await app.close()
  await silent.app.close()
})

t.test('no more verifications at once than `concurrency`, for each provider by itself', async t => {
  const waiting: Array<() => void> = []
  const slow = () =>
    ownProvider(
      () =>
        new Promise(resolve => {
          waiting.push(() => resolve({ subject: '1' }))
          arrivals.dispatchEvent(new Event('arrival'))
        })
    )
  const arrivals = new EventTarget()
  const arrival = () => once(arrivals, 'arrival')
  const { app, login } = await loginServer({ concurrency: 2, providers: { own: slow(), other: slow() } })
  const arrived = [arrival()]
  const first = login({ access_token: 'good' })
  await arrived[0]
  const next = arrival()
  const second = login({ access_token: 'good' }, { remoteAddress: '192.0.2.2' })
  await next

  for (let attempt = 0; attempt < 3; attempt++) {
    const refused = await login({ access_token: 'good' })
    t.same(refused.json(), {
      statusCode: 503,
      code: 'AUTH_ERR_OVERLOADED',
      error: 'Service Unavailable',
      message: 'Too many logins are in progress'
    })
    t.match(refused.headers, { 'retry-after': '5', 'cache-control': 'no-store' })
  }
  t.equal(waiting.length, 2, 'the refused ones never reached the provider')
  t.equal((await login({ junk: 'x' })).statusCode, 400, 'a malformed request is told so even now')

  const elsewhere = arrival()
  const third = login({ access_token: 'good' }, { url: '/login/other' })
  await elsewhere
  waiting.splice(0).forEach(answer => answer())
  for (const answer of await Promise.all([first, second, third])) t.equal(answer.statusCode, 200)

  const again = arrival()
  const fourth = login({ access_token: 'good' })
  await again
  waiting.splice(0).forEach(answer => answer())
  t.equal((await fourth).statusCode, 200, 'room again')
  await app.close()
})

t.test('one client address takes at most three quarters of the places', async t => {
  for (const [concurrency, share] of [[1, 1], [2, 1], [3, 2], [8, 6]] as const) {
    let waiting: Array<() => void> = []
    const own = ownProvider(() => new Promise(resolve => { waiting.push(() => resolve({ subject: '1' })) }))
    const { app, login } = await loginServer({ concurrency, providers: { own } })
    const statuses: number[] = []
    const ask = (remoteAddress: string) =>
      login({ access_token: 'good' }, { remoteAddress }).then(({ statusCode }) => { statuses.push(statusCode) })
    const flood = Array.from({ length: 20 }, () => ask('192.0.2.66'))
    await Promise.race([Promise.all(flood.slice(0, 20 - share)), Promise.all(flood.slice(share))])
    t.same(new Set(statuses), new Set([503]), 'the rest is refused at once')
    t.equal(waiting.length, share, `${share} of ${concurrency}`)
    const others = Array.from({ length: concurrency - share }, (_, i) => ask(`192.0.2.${i}`))
    while (waiting.length < concurrency) await new Promise(setImmediate)
    waiting.forEach(answer => answer())
    await Promise.all([...flood, ...others])
    t.equal(statuses.filter(status => status === 200).length, concurrency, 'everybody else has the others')
    waiting = []
    const again = ask('192.0.2.66')
    while (waiting.length === 0) await new Promise(setImmediate)
    waiting.forEach(answer => answer())
    await again
    t.equal(statuses.at(-1), 200, 'room again')
    await app.close()
  }
})

t.test('a failed verification gives its room back', async t => {
  const outcomes: Array<() => unknown> = [
    () => {
      throw new Error('sync')
    },
    async () => {
      throw new Error('async')
    },
    () => 'junk',
    () => {
      throw new errors.GrantRejectedError()
    },
    () => new Promise(() => {}),
    () => ({ subject: '1' })
  ]
  const { app, login } = await loginServer({
    concurrency: 1,
    providerTimeout: 1,
    providers: { own: ownProvider(() => outcomes.shift()?.()) }
  })
  const statuses: number[] = []
  while (outcomes.length > 0) statuses.push((await login({ access_token: 'good' })).statusCode)
  t.same(statuses, [503, 503, 503, 401, 503, 200])
  await app.close()
})

t.test('what an own provider throws is logged whole; nothing of the grant is', async t => {
  const { app, login, log } = await answering(() => {
    throw new Error('upstream 502', { cause: new Error('bad gateway') })
  })
  const answer = await login({ access_token: 'gr4nt-t0ken', nonce: 'n0nce-value', code_verifier: 'v3rifier' })
  t.match(log(), 'upstream 502')
  t.match(log(), 'bad gateway')
  t.match(log(), '"provider":"own"')
  t.notMatch(answer.payload + log(), /gr4nt|n0nce-value|v3rifier/)
  await app.close()
})

t.test('the classes of another copy do as well', async t => {
  // Farther away than the entry points of the CommonJS build: not even `Error` is the same.
  const Foreign = runInNewContext(
    "(class extends Error { constructor (code) { super('foreign s3cr3t'); this.code = code; this.reason = 'aud' } })"
  )
  for (const [code, body] of [
    ['AUTH_ERR_GRANT_REJECTED', rejected],
    ['AUTH_ERR_PROVIDER_UNAVAILABLE', unavailable]
  ] as const) {
    const { app, login } = await answering(() => {
      throw new Foreign(code)
    })
    t.same((await login({ access_token: 'good' })).json(), body)
    await app.close()
  }
})
