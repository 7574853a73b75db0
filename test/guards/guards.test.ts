import Fastify, { type FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import t from 'tap'
import { errors, tokenExchange, type Auth } from '../../src/index.js'
import { applicationKey, ask, guardsOnly, masterKey, startApp } from '../server.js'

const application = { 'x-zumo-application': applicationKey }
const master = { 'x-zumo-master': masterKey }
const bearer = (app: FastifyInstance, userId = 'ada', permissions: string[] = []): Record<string, string> => ({
  authorization: `Bearer ${app.tokenExchange.issue({ userId, permissions, claims: { list: [{ a: 1 }] } }).access_token}`
})

t.test('invalid arguments throw where the route is declared', async t => {
  const app = await startApp(t)
  const rows: Array<[string, unknown[]]> = [
    ['requireLevel', []],
    ['requireLevel', ['user']],
    ['requireLevel', ['Authenticated']],
    ['requireLevel', ['']],
    ['requireLevel', [null]],
    ['requireLevel', [['admin']]],
    ['requireLevel', ['__proto__']],
    ['requireLevel', ['toString']],
    ['requirePermission', []],
    ['requirePermission', ['']],
    ['requirePermission', [undefined]],
    ['requirePermission', ['a', 7]],
    ['requirePermission', [['a']]],
    ['requireAnyPermission', []],
    ['requireAnyPermission', ['a', '']],
    ['requireAnyPermission', [null]]
  ]
  for (const [name, args] of rows) {
    t.throws(
      () => Reflect.apply(Reflect.get(app, name), app, args),
      { code: 'AUTH_ERR_OPTION_INVALID' },
      `${name}(${JSON.stringify(args)})`
    )
  }
})

t.test('a guard that is asked for before the plugin is there throws, rather than leaving the route open', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.register(tokenExchange, guardsOnly)
  t.throws(() => app.get('/', { onRequest: app.requireLevel('admin') }, () => 'open'))
})

t.test('guards work alone, in arrays, with addHook and without their instance', async t => {
  const app = await startApp(t)
  const { requireLevel, requireUser, requirePermission } = app
  app.get('/alone', { onRequest: requireUser() }, () => 'ok')
  app.get('/array', { onRequest: [requireLevel('application'), requireUser(), requirePermission('a')] }, () => 'ok')
  app.get('/after-an-async-hook', { onRequest: [async () => {}, requireUser()] }, () => 'ok')
  app.register(async scope => {
    scope.addHook('onRequest', scope.requireLevel('application'))
    scope.get('/hook', () => 'ok')
    scope.get('/hook-and-own', { onRequest: scope.requireUser() }, () => 'ok')
    scope.register(async inner => { inner.get('/inner', () => 'ok') })
  })
  app.get('/open', () => 'ok')
  await app.ready()
  const user = bearer(app, 'ada', ['a'])
  const rows: Array<[string, Record<string, string>, number]> = [
    ['/alone', {}, 401],
    ['/alone', user, 200],
    ['/alone', master, 401],
    ['/array', {}, 401],
    ['/array', application, 401],
    ['/array', user, 401],
    ['/array', { ...user, ...application }, 200],
    ['/array', { ...bearer(app), ...application }, 403],
    ['/array', master, 401],
    ['/array', { ...master, ...bearer(app) }, 200],
    ['/after-an-async-hook', {}, 401],
    ['/after-an-async-hook', user, 200],
    ['/hook', {}, 401],
    ['/hook', user, 401],
    ['/hook', application, 200],
    ['/inner', {}, 401],
    ['/inner', application, 200],
    ['/hook-and-own', application, 401],
    ['/hook-and-own', user, 401],
    ['/hook-and-own', { ...application, ...user }, 200],
    ['/open', {}, 200],
    ['/%61lone', {}, 401],
    ['/%61lone', user, 200]
  ]
  for (const [url, headers, status] of rows) {
    t.equal((await ask(app, headers, url)).status, status, `${url} ${Object.keys(headers)}`)
    t.equal((await ask(app, headers, url, 'HEAD')).status, status, `HEAD ${url} ${Object.keys(headers)}`)
  }
})

t.test('the handler of a refused request never runs, nor is its body read', async t => {
  const app = await startApp(t)
  const ran: string[] = []
  app.addHook('preParsing', async request => { ran.push(`${request.method} body`) })
  app.all(
    '/',
    {
      onRequest: app.requireUser(),
      preHandler: async () => {
        ran.push('preHandler')
      }
    },
    () => {
      ran.push('handler')
    }
  )
  for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE'] as const) {
    for (const headers of [
      {},
      { authorization: 'Bearer x' },
      { ...master },
      { origin: 'https://evil.example', 'access-control-request-method': 'GET' }
    ]) {
      const payload = method === 'POST' ? { payload: { a: 1 } } : {}
      t.equal(
        (await app.inject({ method, url: '/', headers, ...payload })).statusCode,
        401,
        `${method} ${Object.keys(headers)}`
      )
    }
  }
  t.strictSame(ran, [])
})

t.test('request.auth is frozen to its depth, and throws where no guard ran', async t => {
  const app = await startApp(t)
  const seen: Auth[] = []
  app.get('/', { onRequest: app.requireLevel('everyone') }, request => { seen.push(request.auth); return 'ok' })
  app.get('/open', request => request.auth)
  app.get(
    '/before',
    {
      onRequest: [
        async request => {
          t.throws(() => request.auth, { code: 'AUTH_ERR_NOT_GUARDED' })
        },
        app.requireUser()
      ]
    },
    () => 'ok'
  )
  app.setNotFoundHandler((request, reply) => {
    t.throws(() => request.auth, { code: 'AUTH_ERR_NOT_GUARDED' })
    return reply.code(404).send('none')
  })
  const user = bearer(app)
  for (const headers of [{}, user, user, { ...user, ...application }, master]) await ask(app, headers)
  for (const auth of seen) {
    t.ok(
      [auth, auth.user, auth.user?.permissions, auth.user?.claims, auth.user?.claims.list].every(
        part => part == null || Object.isFrozen(part)
      )
    )
    t.throws(() => Object.assign(auth, { level: 'admin' }), TypeError)
  }
  t.strictSame(Object.keys(seen[1]?.user ?? {}), [
    'id',
    'provider',
    'subject',
    'level',
    'permissions',
    'claims',
    'tokenId',
    'sessionId',
    'authenticatedAt',
    'acr',
    'amr',
    'issuedAt',
    'expiresAt'
  ])
  t.match(await ask(app, user, '/open'), { status: 500, code: 'AUTH_ERR_NOT_GUARDED' })
  t.match(await ask(app, user, '/before'), { status: 200 })
  t.match(await ask(app, user, '/nowhere'), { status: 404 })
})

t.test('an error handler of the application keeps the challenge, and can tell by code', async t => {
  const app = await startApp(t)
  const codes: unknown[] = []
  app.setErrorHandler((error: { code: string, statusCode: number }, _request, reply) => {
    codes.push(error.code)
    return reply.code(error.statusCode).send({ sorry: true })
  })
  app.get('/', { onRequest: app.requireUser() }, () => 'ok')
  app.get(
    '/own',
    {
      onRequest: app.requireLevel('admin'),
      errorHandler: (_error, _request, reply) => { reply.code(401).send('own') }
    },
    () => 'ok'
  )
  t.equal((await ask(app)).challenge, 'Bearer')
  t.equal((await ask(app, { authorization: 'Bearer x' })).challenge, 'Bearer error="invalid_token"')
  t.equal((await ask(app, bearer(app), '/own')).challenge, 'Bearer error="insufficient_scope"')
  t.strictSame(codes, [errors.CredentialMissingError.code, errors.TokenInvalidError.code])
})

t.test('an error handler and a hook after the answer can ask who was refused', async t => {
  const app = await startApp(t)
  const seen: unknown[] = []
  app.setErrorHandler((error: { statusCode: number }, request, reply) => {
    seen.push(request.auth.user?.id ?? request.auth.application)
    return reply.code(error.statusCode).send()
  })
  app.addHook('onResponse', async request => { seen.push(request.auth.level) })
  app.get('/', { onRequest: app.requireLevel('admin') }, () => 'ok')
  t.equal((await ask(app, bearer(app))).status, 403)
  t.equal((await ask(app, application)).status, 401)
  t.strictSame(seen, ['ada', 'authenticated', 'ios', 'application'])
})

t.test('the bodies of refusals are Fastify\'s, and name nothing', async t => {
  const app = await startApp(t)
  app.get('/', { onRequest: app.requireUser() }, () => 'ok')
  t.strictSame((await app.inject('/')).json(), {
    statusCode: 401,
    code: 'AUTH_ERR_CREDENTIAL_MISSING',
    error: 'Unauthorized',
    message: 'A credential that this route asks for is missing'
  })
  t.strictSame((await app.inject({ url: '/', headers: { authorization: 'Bearer secret-text' } })).json(), {
    statusCode: 401,
    code: 'AUTH_ERR_TOKEN_INVALID',
    error: 'Unauthorized',
    message: 'The access token is invalid'
  })
})

t.test('defaultLevel guards every route that has no guard of its own', async t => {
  const app = Fastify({ exposeHeadRoutes: true })
  t.teardown(() => app.close())
  app.get('/before', () => 'ok')
  app.register(async scope => { scope.get('/scope-before', () => 'ok') }, { prefix: '/a' })
  app.register(fp(async scope => { scope.get('/fp-before', () => 'ok') }))
  const provider = { accepts: ['access_token'] as const, verify: async () => ({ subject: '1' }) }
  await app.register(
    fp(async scope => {
      await scope.register(tokenExchange, {
        ...guardsOnly,
        defaultLevel: 'authenticated',
        providers: { own: provider }
      })
    })
  )
  app.get('/after', () => 'ok')
  app.post('/body', () => 'ok')
  app.get('/everyone', { onRequest: app.requireLevel('everyone') }, () => 'ok')
  app.get('/application', { onRequest: [async () => {}, app.requireLevel('application')] }, () => 'ok')
  app.register(async scope => {
    scope.get('/scope-after', () => 'ok')
    scope.register(
      async inner => {
        inner.get('/inner', () => 'ok')
        inner.addHook('onRequest', async () => {})
      },
      { prefix: '/b' }
    )
    scope.setNotFoundHandler((_request, reply) => reply.code(404).send('none here'))
  }, { prefix: '/c' })
  app.register(
    async scope => {
      scope.addHook('onRequest', scope.requireLevel('everyone'))
      scope.get('/open', () => 'ok')
    },
    { prefix: '/d' }
  )
  app.all('/all', () => 'ok')
  app.get('/wild/*', () => 'ok')
  await app.ready()
  for (const url of [
    '/before',
    '/a/scope-before',
    '/fp-before',
    '/after',
    '/c/scope-after',
    '/c/b/inner',
    '/all',
    '/wild/x',
    '/b%65fore'
  ]) {
    t.strictSame(
      await ask(app, {}, url),
      { status: 401, code: 'AUTH_ERR_CREDENTIAL_MISSING', challenge: 'Bearer' },
      url
    )
    t.equal((await ask(app, {}, url, 'HEAD')).status, 401, `HEAD ${url}`)
    t.equal((await ask(app, bearer(app), url)).status, 200, url)
  }
  const rows: Array<[string, Record<string, string>, number]> = [
    ['/everyone', {}, 200],
    ['/everyone', { authorization: 'Bearer x' }, 401],
    ['/application', {}, 401],
    ['/application', application, 200],
    ['/application', bearer(app), 401],
    ['/d/open', {}, 200],
    ['/nowhere', {}, 404],
    ['/c/nowhere', {}, 404],
    ['/nowhere', { authorization: 'Bearer x' }, 404],
    ['/all/nowhere', {}, 404]
  ]
  for (const [url, headers, status] of rows) {
    t.equal((await ask(app, headers, url)).status, status, `${url} ${Object.keys(headers)}`)
  }
  t.equal(
    (await app.inject({ method: 'POST', url: '/body', payload: '{', headers: { 'content-type': 'application/json' } }))
      .statusCode,
    401,
    'before the body is parsed'
  )
  t.equal(
    (await app.inject({ method: 'POST', url: '/login/own', payload: { access_token: 'x' } })).statusCode,
    200,
    'the own routes aside'
  )
})

t.test('defaultLevel counts for the handler: request.auth is there', async t => {
  const app = await startApp(t, { defaultLevel: 'everyone' })
  app.get('/', request => request.auth)
  t.match((await app.inject({ url: '/', headers: application })).json(), { level: 'application', application: 'ios' })
})

t.test('no token and no key is in any line of the log', async t => {
  const lines: string[] = []
  const app = await startApp(
    t,
    { defaultLevel: 'authenticated' },
    {
      logger: {
        level: 'trace',
        stream: {
          write: (line: string) => {
            lines.push(line)
          }
        }
      }
    }
  )
  app.get('/', () => 'ok')
  app.get('/admin', { onRequest: app.requireLevel('admin') }, () => 'ok')
  const token = bearer(app).authorization?.slice(7) ?? ''
  const [header = '', payload = '', signature = ''] = token.split('.')
  const badPayload = Buffer.from('{"email":"ada@example.com" oops').toString('base64url')
  const attempts = [
    token,
    `${token}x`,
    `${header}.${payload}.${signature.toUpperCase()}`,
    `${header}.${badPayload}.${signature}`,
    `${header}.AAAA.${signature}`,
    'null'
  ]
  for (const attempt of attempts) {
    for (const headers of [
      { authorization: `Bearer ${attempt}` },
      { 'x-zumo-auth': attempt },
      { authorization: `Bearer  ${attempt}` },
      { authorization: `Bearer ${attempt}`, 'x-zumo-auth': 'other' }
    ]) {
      for (const url of ['/', '/admin']) {
        await ask(app, { ...headers, ...application, 'x-zumo-master': `${masterKey}x` }, url)
      }
    }
  }
  t.ok(lines.length > attempts.length, 'there is a log')
  const log = lines.join('')
  for (const secret of [
    payload,
    signature,
    badPayload,
    'ada@example.com',
    applicationKey,
    masterKey,
    String(guardsOnly.keys)
  ]) { t.notOk(log.includes(secret)) }
})
