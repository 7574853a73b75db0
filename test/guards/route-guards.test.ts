import Fastify, { type FastifyServerOptions } from 'fastify'
import fp from 'fastify-plugin'
import t from 'tap'
import { requirementOf } from '../../src/guards/guards.js'
import { tokenExchange } from '../../src/index.js'
import { applicationKey, ask, guardsOnly, startApp } from '../server.js'

t.test('config.tokenExchange puts guards on a route', async t => {
  const app = await startApp(t)
  app.get('/level', { config: { tokenExchange: { level: 'application' } } }, () => 'in')
  app.get('/all', { config: { tokenExchange: { permissions: ['a', 'b'] } } }, () => 'in')
  app.get('/any', { config: { tokenExchange: { anyPermission: ['a', 'b'] } } }, () => 'in')
  app.get('/both', { config: { tokenExchange: { level: 'application', permissions: ['a'] } } }, () => 'in')
  app.get(
    '/beside', { config: { tokenExchange: { level: 'application' } }, onRequest: app.requireUser() }, () => 'in'
  )
  app.register(async scope => {
    scope.get('/', { config: { tokenExchange: { level: 'admin' } }, onRequest: [async () => {}] }, () => 'in')
  }, { prefix: '/scope' })
  await app.ready()
  const user = (permissions: string[]): Record<string, string> =>
    ({ authorization: `Bearer ${app.tokenExchange.issue({ userId: 'ada', permissions }).access_token}` })
  const key = { 'x-zumo-application': applicationKey }
  const rows: Array<[string, Record<string, string>, number]> = [
    ['/level', {}, 401],
    ['/level', key, 200],
    ['/all', user(['a']), 403],
    ['/all', user(['a', 'b']), 200],
    ['/any', user(['c']), 403],
    ['/any', user(['b']), 200],
    ['/both', user(['a']), 401],
    ['/both', key, 401],
    ['/both', { ...key, ...user(['b']) }, 403],
    ['/both', { ...key, ...user(['a']) }, 200],
    ['/beside', key, 401],
    ['/beside', user([]), 401],
    ['/beside', { ...key, ...user([]) }, 200],
    ['/scope', user([]), 403],
    ['/scope/', {}, 401]
  ]
  for (const [url, headers, status] of rows) {
    t.equal((await ask(app, headers, url)).status, status, `${url} ${Object.keys(headers)}`)
    t.equal((await ask(app, headers, url, 'HEAD')).status, status, `HEAD ${url} ${Object.keys(headers)}`)
  }
})

const wrong = [
  {}, null, 'admin', ['admin'], { level: 'user' }, { level: null }, { permissions: [] }, { permissions: 'a' },
  { permissions: [''] }, { anyPermission: [7] }, { level: 'admin', roles: ['x'] }, { permission: ['a'] }
]

t.test('wrong values and unknown members refuse the route', async t => {
  const app = await startApp(t)
  for (const tokenExchange of wrong) {
    const options = Object.assign({ method: 'GET', url: '/', handler: () => 'open' }, { config: { tokenExchange } })
    t.throws(
      () => Reflect.apply(app.route, app, [options]),
      { code: 'AUTH_ERR_OPTION_INVALID', message: /config\.tokenExchange/ },
      JSON.stringify(tokenExchange)
    )
  }
  t.equal((await ask(app)).status, 404)
})

t.test('with defaultLevel the config of routes declared before the plugin counts', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.get('/default', () => 'in')
  app.get('/admin', { config: { tokenExchange: { level: 'admin' } } }, () => 'in')
  app.get('/everyone', { config: { tokenExchange: { level: 'everyone' } } }, () => 'in')
  for (const [index, tokenExchange] of wrong.entries()) {
    const options = { method: 'GET', url: `/wrong/${index}`, handler: () => 'open', config: { tokenExchange } }
    Reflect.apply(app.route, app, [options])
  }
  await app.register(tokenExchange, { ...guardsOnly, defaultLevel: 'authenticated' })
  app.get('/guarded-too', { onRequest: app.requireLevel('everyone') }, () => 'in')
  const user = { authorization: `Bearer ${app.tokenExchange.issue({ userId: 'ada' }).access_token}` }
  const rows: Array<[string, object, number]> = [
    ['/default', {}, 401],
    ['/default', user, 200],
    ['/admin', user, 403],
    ['/everyone', {}, 200],
    ['/guarded-too', {}, 200]
  ]
  for (const [url, headers, status] of rows) {
    t.equal((await ask(app, { ...headers }, url)).status, status, `${url} ${Object.keys(headers)}`)
  }
  for (const index of wrong.keys()) {
    t.match(await ask(app, user, `/wrong/${index}`), { status: 500, code: 'AUTH_ERR_OPTION_INVALID' })
  }
})

t.test('a guard of a hook takes nothing from the config of a route declared before the plugin', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.get('/', { config: { tokenExchange: { level: 'admin' } } }, () => 'in')
  await app.register(tokenExchange, { ...guardsOnly, defaultLevel: 'authenticated' })
  app.addHook('onRequest', app.requireLevel('everyone'))
  const user = { authorization: `Bearer ${app.tokenExchange.issue({ userId: 'ada' }).access_token}` }
  t.equal((await ask(app, user)).status, 403)
})

t.test('a guard that was not called is said at ready', async t => {
  for (const name of ['requireUser', 'requireLevel', 'requirePermission', 'requireAnyPermission'] as const) {
    for (const hook of ['onRequest', 'preHandler'] as const) {
      for (const inList of [false, true]) {
        const app = await startApp(t)
        const guard: unknown = app[name]
        Reflect.apply(app.get, app, ['/', { [hook]: inList ? [async () => {}, guard] : guard }, () => 'open'])
        await t.rejects(async () => { await app.ready() }, {
          code: 'AUTH_ERR_OPTION_INVALID',
          message: new RegExp(`GET /: ${hook} has ${name}, which was not called: write ${name}\\(`)
        })
      }
    }
  }
})

t.test('a guard that was not called, in a hook of a scope, lets nobody in and keeps nobody waiting', async t => {
  const app = await startApp(t)
  Reflect.apply(app.addHook, app, ['onRequest', app.requireUser])
  app.get('/', () => 'open')
  const answer = await app.inject('/')
  t.match(answer.json(), { statusCode: 500, code: 'AUTH_ERR_OPTION_INVALID', message: /requireUser\(\)/ })
})

t.test('defaultLevel says at start that it does not guard middleware', async t => {
  const middleware = fp(async () => {}, { name: '@fastify/middie' })
  for (const [defaultLevel, isSaid] of [['authenticated', true], [undefined, false]] as const) {
    const lines: string[] = []
    const logger: FastifyServerOptions = { logger: { stream: { write: (line: string) => { lines.push(line) } } } }
    const app = await startApp(t, defaultLevel === undefined ? {} : { defaultLevel }, logger)
    await app.register(middleware)
    await app.ready()
    t.equal(lines.some(line => /"level":40.*@fastify\/middie/.test(line)), isSaid, String(defaultLevel))
  }
})

t.test('a guard says on itself what it asks for', async t => {
  const app = await startApp(t)
  t.strictSame(requirementOf(app.requireLevel('admin')), { level: 'admin' })
  t.strictSame(requirementOf(app.requirePermission('a', 'b')), { permissions: ['a', 'b'] })
  t.strictSame(requirementOf(app.requireAnyPermission('a')), { anyPermission: ['a'] })
  t.strictSame(requirementOf(app.requireUser()), { user: true })
  for (const other of [() => {}, app.requireUser, null, undefined, {}]) t.equal(requirementOf(other), null)
})
