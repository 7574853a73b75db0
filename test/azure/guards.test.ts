import { connect } from 'node:http2'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { dialectServer } from './server.js'
import { applicationKey, masterKey } from '../server.js'

t.test('the table of levels; every refusal is 401 in the form that SDKs read', async t => {
  const { app, token } = await dialectServer()
  const bearer = 'Bearer'
  const invalid = 'Bearer error="invalid_token"'
  const scope = 'Bearer error="insufficient_scope"'
  const rows: Array<[string, Record<string, string>, Array<string | null>]> = [
    ['nothing', {}, [null, bearer, bearer, bearer]],
    ['an application key', { 'x-zumo-application': applicationKey }, [null, null, bearer, bearer]],
    ['a token', { 'x-zumo-auth': token() }, [null, bearer, null, scope]],
    ['a bearer token', { authorization: `Bearer ${token()}` }, [null, bearer, null, scope]],
    ["an administrator's token", { 'x-zumo-auth': token('admin') }, [null, bearer, null, null]],
    ['a master key', { 'x-zumo-master': masterKey }, [null, null, null, null]],
    [
      'garbage',
      { 'x-zumo-auth': 'garbage', 'x-zumo-application': applicationKey },
      [invalid, invalid, invalid, invalid]
    ],
    ['an empty token', { 'x-zumo-auth': '' }, [null, bearer, bearer, bearer]],
    ['a prefix inside', { 'x-zumo-auth': `Bearer ${token()}` }, [invalid, invalid, invalid, invalid]],
    ['blanks around', { 'x-zumo-auth': ` ${token()}\t` }, [null, bearer, null, scope]]
  ]
  for (const [name, headers, expected] of rows) {
    for (const [index, level] of ['everyone', 'application', 'authenticated', 'admin'].entries()) {
      const answer = await app.inject({ url: `/api/${level}`, headers })
      const challenge = expected[index] ?? null
      t.equal(answer.statusCode, challenge === null ? 200 : 401, `${name}, ${level}`)
      if (challenge === null) continue
      t.equal(answer.headers['www-authenticate'], challenge, `${name}, ${level}`)
      t.match(answer.json(), { code: 401, error: /^Error: .+\.$/ }, `${name}, ${level}`)
      t.match(answer.headers['content-type'], /^application\/json/, `${name}, ${level}`)
    }
  }
})

t.test('two tokens are 400, a missing permission 401', async t => {
  const { app, token } = await dialectServer({}, {})
  app.get('/permission', { onRequest: app.requirePermission('todo:read') }, () => ({}))
  const missing = await app.inject({ url: '/permission', headers: { 'x-zumo-auth': token() } })
  t.equal(missing.statusCode, 401)
  t.match(missing.json(), { code: 401, errorCode: 'AUTH_ERR_PERMISSION_MISSING' })
  const two = await app.inject({
    url: '/api/everyone',
    headers: { 'x-zumo-auth': token(), authorization: `Bearer ${token('admin')}` }
  })
  t.equal(two.statusCode, 400)
  t.match(two.json(), { code: 400, error: /^Error: / })
})

t.test('an application that renders errors itself receives the error', async t => {
  const handler = (
    error: Error & { code?: string, statusCode?: number },
    _request: unknown,
    reply: { code: (status: number) => { send: (body: unknown) => unknown } }
  ) => reply.code(error.statusCode ?? 500).send({ mine: error.code })
  const rows: Array<[string, (app: FastifyInstance) => unknown, boolean]> = [
    ['before the plugin', app => app.setErrorHandler(handler), true],
    ['after the plugin', app => app.setErrorHandler(handler), false]
  ]
  for (const [name, prepare, before] of rows) {
    const { app, token } = await dialectServer({}, before ? { prepare } : {})
    if (!before) prepare(app)
    const guarded = await app.inject({ url: '/api/admin', headers: { 'x-zumo-auth': token() } })
    t.equal(guarded.statusCode, 401, name)
    t.same(guarded.json(), { mine: 'AUTH_ERR_LEVEL_INSUFFICIENT' }, name)
    t.equal(guarded.headers['www-authenticate'], 'Bearer error="insufficient_scope"', name)
    const login = await app.inject({ method: 'POST', url: '/login/nobody', payload: { access_token: 'good' } })
    t.equal(login.statusCode, 401, name)
    t.same(login.json(), { mine: 'AUTH_ERR_PROVIDER_UNKNOWN' }, name)
  }
})

t.test('an error handler of one scope or of one route is asked there and nowhere else', async t => {
  const { app } = await dialectServer()
  await app.register(async scope => {
    scope.setErrorHandler((_error, _request, reply) => reply.code(418).send('scope'))
    scope.get('/scope', { onRequest: app.requireLevel('admin') }, () => ({}))
  })
  app.get(
    '/route',
    {
      onRequest: app.requireLevel('admin'),
      errorHandler: (_error, _request, reply) => { reply.code(418).send('route') }
    },
    () => ({})
  )
  t.equal((await app.inject('/scope')).body, 'scope')
  t.equal((await app.inject('/route')).body, 'route')
  t.match((await app.inject('/api/admin')).json(), { code: 401 })
})

t.test('an application that fails by itself answers in the form of Fastify', async t => {
  const { app } = await dialectServer()
  app.get('/broken', () => { throw new Error('broken') })
  t.match((await app.inject('/broken')).json(), { statusCode: 500, error: 'Internal Server Error' })
  t.match((await app.inject('/nowhere')).json(), { statusCode: 404, error: 'Not Found' })
})

t.test('a content type without a body reaches the handler', async t => {
  const { app } = await dialectServer()
  const headers = {
    'content-type': 'application/json',
    'x-http-method-override': 'PATCH',
    'x-zumo-version': 'x',
    'x-titanium-id': 'y'
  }
  for (const [method, more] of [['GET', {}], ['DELETE', {}], ['DELETE', { 'content-length': '0' }]] as const) {
    const answer = await app.inject({ method, url: '/api/everyone', headers: { ...headers, ...more } })
    t.equal(answer.statusCode, 200, method)
    t.same(answer.json(), { level: 'everyone', body: null }, method)
  }
  t.equal((await app.inject({ method: 'HEAD', url: '/api/everyone', headers })).statusCode, 200, 'the twin of GET')
  t.equal(
    (await app.inject({ method: 'POST', url: '/api/everyone', headers })).statusCode,
    400,
    'POST is as Fastify has it'
  )
  const withBody = await app.inject({ method: 'DELETE', url: '/api/everyone', headers, payload: '{"a":1}' })
  t.same(withBody.json().body, { a: 1 })
})

t.test('over HTTP/2, too, where a body may come without a length', async t => {
  const { app } = await dialectServer({}, { fastify: { http2: true } as object })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const address = app.server.address()
  const session = connect(`http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`)
  t.teardown(async () => { session.close(); await app.close() })
  for (const [body, expected] of [
    ['', { level: 'everyone', body: null }],
    ['{"a":1}', { level: 'everyone', body: { a: 1 } }]
  ] as const) {
    const stream = session.request(
      { ':method': 'DELETE', ':path': '/api/everyone', 'content-type': 'application/json' },
      { endStream: body === '' }
    )
    if (body !== '') stream.end(body)
    let text = ''
    for await (const chunk of stream.setEncoding('utf8')) text += String(chunk)
    t.same(JSON.parse(text), expected, body)
  }
})
