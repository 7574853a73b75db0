import fastifyCors from '@fastify/cors'
import Fastify from 'fastify'
import t from 'tap'
import { tokenExchange, type IdentityProvider } from '../src/index.js'
import { guardsOnly, startApp } from './server.js'

const origin = 'https://www.example.com'
const cors = { origins: [origin, 'capacitor://localhost', 'http://localhost:5173', 'https://[2001:db8::1]:8443'] }
const preflight = {
  origin,
  'access-control-request-method': 'PATCH',
  'access-control-request-headers': 'authorization'
}
const provider: IdentityProvider = { accepts: ['access_token'], verify: async () => ({ subject: '1' }) }
const listed = (value: unknown): string[] => String(value).split(', ').sort()

t.test('a preflight is answered for every route, guarded or not', async t => {
  const app = await startApp(t, { cors, defaultLevel: 'authenticated', providers: { own: provider } })
  app.get('/', { onRequest: app.requireLevel('admin') }, () => 'ok')
  app.all('/all', { onRequest: app.requireLevel('admin') }, () => 'ok')
  app.get('/default', () => 'ok')
  for (const url of ['/', '/all', '/default', '/login/own', '/nowhere']) {
    for (const one of cors.origins) {
      const answer = await app.inject({ method: 'OPTIONS', url, headers: { ...preflight, origin: one } })
      t.equal(answer.statusCode, 204, url)
      t.equal(answer.headers['access-control-allow-origin'], one)
      t.strictSame(listed(answer.headers['access-control-allow-methods']), [
        'DELETE',
        'GET',
        'HEAD',
        'PATCH',
        'POST',
        'PUT'
      ])
      t.strictSame(
        listed(answer.headers['access-control-allow-headers']).map(name => name.toLowerCase()),
        ['authorization', 'content-type', 'x-zumo-application', 'x-zumo-auth']
      )
      t.match(answer.headers.vary, /\bOrigin\b/i)
    }
  }
})

t.test('answers and refusals can be read by the origins, and by no other', async t => {
  const app = await startApp(t, { cors, providers: { own: provider } })
  app.get('/', { onRequest: app.requireLevel('everyone') }, () => 'ok')
  app.get('/user', { onRequest: app.requireUser() }, () => 'ok')
  app.get('/admin', { onRequest: app.requireLevel('admin') }, () => 'ok')
  app.get('/error', () => { throw new Error('oops') })
  app.register(
    async scope => {
      scope.get('/inner', { onRequest: scope.requireUser() }, () => 'ok')
    },
    { prefix: '/scope' }
  )
  const user = `Bearer ${app.tokenExchange.issue({ userId: 'ada' }).access_token}`
  const rows: Array<['GET' | 'HEAD' | 'POST', string, number, Record<string, string>]> = [
    ['GET', '/', 200, {}],
    ['HEAD', '/', 200, {}],
    ['GET', '/', 401, { authorization: 'Bearer x' }],
    ['GET', '/user', 401, {}],
    ['HEAD', '/user', 401, {}],
    ['GET', '/admin', 403, { authorization: user }],
    ['GET', '/scope/inner', 401, {}],
    ['GET', '/error', 500, {}],
    ['GET', '/nowhere', 404, {}],
    ['POST', '/login/own', 400, {}],
    ['POST', '/login/none', 404, {}]
  ]
  for (const [method, url, status, headers] of rows) {
    const answer = await app.inject({ method, url, headers: { ...headers, origin } })
    t.equal(answer.statusCode, status, url)
    t.equal(answer.headers['access-control-allow-origin'], origin, url)
    t.strictSame(listed(answer.headers['access-control-expose-headers']), [
      'ETag',
      'Link',
      'Location',
      'Retry-After',
      'WWW-Authenticate'
    ])
    t.match(answer.headers.vary, /\bOrigin\b/i, url)
    for (const other of [
      'https://evil.example',
      'https://www.example.com.evil.example',
      'http://www.example.com',
      'https://www.example.com:444',
      'null',
      'https://WWW.example.com',
      ''
    ]) {
      const foreign = await app.inject({ method, url, headers: { ...headers, origin: other } })
      t.equal(foreign.headers['access-control-allow-origin'], undefined, other)
      t.match(foreign.headers.vary, /\bOrigin\b/i)
    }
    const same = await app.inject({ method, url, headers })
    t.equal(same.headers['access-control-allow-origin'], undefined)
    t.match(same.headers.vary, /\bOrigin\b/i, 'a cache keeps the answers apart')
  }
})

t.test('renamed headers are allowed under their names', async t => {
  const app = await startApp(t, { cors, headers: { token: 'x-token', applicationKey: 'x-app', masterKey: 'x-root' } })
  const answer = await app.inject({ method: 'OPTIONS', url: '/', headers: preflight })
  t.strictSame(listed(answer.headers['access-control-allow-headers']), [
    'Authorization',
    'Content-Type',
    'x-app',
    'x-token'
  ])
})

t.test('it is refused where the application has registered @fastify/cors already', async t => {
  const app = Fastify()
  app.register(fastifyCors)
  app.register(tokenExchange, { ...guardsOnly, cors })
  await t.rejects(async () => { await app.ready() }, { code: 'AUTH_ERR_OPTION_INVALID', message: /cors/ })
})

t.test("an application's own @fastify/cors answers preflights, wherever it stands", async t => {
  const plugins = {
    'cors first': [fastifyCors, tokenExchange], 'cors last': [tokenExchange, fastifyCors]
  }
  for (const [name, order] of Object.entries(plugins)) {
    const app = Fastify()
    t.teardown(() => app.close())
    for (const plugin of order) {
      if (plugin === fastifyCors) await app.register(fastifyCors, { origin })
      else {
        await app.register(tokenExchange, guardsOnly)
        app.addHook('onRequest', app.requireLevel('authenticated'))
      }
    }
    app.get('/', { onRequest: app.requireUser() }, () => 'ok')
    for (const url of ['/', '/nowhere']) {
      const answer = await app.inject({ method: 'OPTIONS', url, headers: preflight })
      t.equal(answer.statusCode, 204, `${name} ${url}`)
      t.equal(answer.headers['access-control-allow-origin'], origin)
    }
    t.equal((await app.inject({ url: '/', headers: { origin } })).statusCode, 401)
  }
})

t.test('a guard lets preflights through to an own OPTIONS route, and nothing else', async t => {
  const app = await startApp(t)
  app.addHook('onRequest', app.requireLevel('authenticated'))
  app.options('/', (_request, reply) => reply.code(204).send())
  const rows: Array<[string, Record<string, string>, number]> = [
    ['preflight', preflight, 204],
    ['preflight with a bad token', { ...preflight, authorization: 'Bearer x' }, 204],
    ['no origin', { 'access-control-request-method': 'GET' }, 401],
    ['no method', { origin }, 401],
    ['neither', {}, 401]
  ]
  for (const [name, headers, status] of rows) {
    t.equal((await app.inject({ method: 'OPTIONS', url: '/', headers })).statusCode, status, name)
  }
})

t.test('what looks like a preflight opens no route that is there for other methods', async t => {
  for (const defaultLevel of [undefined, 'authenticated'] as const) {
    const app = await startApp(t, defaultLevel === undefined ? {} : { defaultLevel })
    const ran: string[] = []
    const handler = (): string => { ran.push('handler'); return 'ok' }
    app.all('/all', { onRequest: app.requireUser() }, handler)
    app.route({ method: ['GET', 'OPTIONS'], url: '/two', onRequest: app.requireUser(), handler })
    app.get('/get', { onRequest: app.requireUser() }, handler)
    app.register(async scope => { scope.addHook('onRequest', scope.requireUser()); scope.all('/wild/*', handler) })
    if (defaultLevel !== undefined) app.all('/default', handler)
    for (const url of ['/all', '/two', '/get', '/wild/x', ...(defaultLevel === undefined ? [] : ['/default'])]) {
      for (const method of ['OPTIONS', 'GET'] as const) {
        const { statusCode } = await app.inject({ method, url, headers: preflight })
        t.equal(statusCode, method === 'OPTIONS' && url === '/get' ? 404 : 401, `${method} ${url}`)
      }
    }
    t.strictSame(ran, [])
  }
})
