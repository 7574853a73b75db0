import swagger from '@fastify/swagger'
import Fastify, { type FastifyInstance, type RouteOptions } from 'fastify'
import t, { type Test } from 'tap'
import { tokenExchange, type Guard } from '../../src/index.js'
import { applicationKey, buildServer, guardsOnly, masterKey, ownProvider, type Options } from '../server.js'
import { documentedApp, documentOf, securityOf, type Document } from './documented.js'

type MakeGuards = (app: FastifyInstance) => Guard[]

/** Guards of one route, and what the document says that a caller needs. */
const rows: Array<[name: string, guards: MakeGuards, expected: string[] | undefined]> = [
  ['nothing', () => [], undefined],
  ['everyone', app => [app.requireLevel('everyone')], undefined],
  ['an application', app => [app.requireLevel('application')], ['applicationKey', 'masterKey']],
  ['a user', app => [app.requireLevel('authenticated')], ['bearer', 'masterKey']],
  ['an administrator', app => [app.requireLevel('admin')], ['bearer', 'masterKey']],
  ['permissions', app => [app.requirePermission('a', () => 'b')], ['bearer', 'masterKey']],
  ['one of them', app => [app.requireAnyPermission('a', 'z')], ['bearer', 'masterKey']],
  ['a recent login', app => [app.requireRecentLogin({ maxAge: 300 })], ['bearer', 'masterKey']],
  ['a user, by a token alone', app => [app.requireUser()], ['bearer']],
  [
    'the application says who',
    app => [app.requireAccess(({ level }) => level !== 'everyone')],
    ['bearer', 'applicationKey', 'masterKey']
  ],
  [
    'a user of an application',
    app => [app.requireLevel('application'), app.requireLevel('authenticated')],
    ['applicationKey+bearer', 'masterKey']
  ],
  [
    'a user of an application, by a token alone',
    app => [app.requireUser(), app.requireLevel('application')],
    ['bearer+applicationKey', 'bearer+masterKey']
  ],
  ['everyone, and a user', app => [app.requireLevel('everyone'), app.requireUser()], ['bearer']],
  [
    'a user with a permission, twice',
    app => [app.requireUser(), app.requirePermission('a'), app.requireUser()],
    ['bearer']
  ]
]

/** Whether each set of credentials passes, by the names of their schemes. */
async function passing (t: Test, app: FastifyInstance): Promise<string[][]> {
  const granted = { userId: 'u', level: 'admin', permissions: ['a', 'b'] } as const
  const credentials = {
    bearer: { authorization: `Bearer ${app.tokenExchange.issue(granted).access_token}` },
    applicationKey: { 'x-zumo-application': applicationKey },
    masterKey: { 'x-zumo-master': masterKey }
  }
  const sets = Object.keys(credentials).reduce<string[][]>((sets, name) =>
    [...sets, ...sets.map(set => [...set, name])], [[]])
  const passed: string[][] = []
  for (const set of sets) {
    const presented = Object.entries(credentials).filter(([name]) => set.includes(name)).map(([, headers]) => headers)
    const { statusCode } = await app.inject({ url: '/', headers: Object.assign({}, ...presented) })
    t.match(statusCode, /^(200|401)$/)
    if (statusCode === 200) passed.push(set)
  }
  return passed
}

for (const [name, guards, expected] of rows) {
  t.test(`guards for ${name}: the document says what they do`, async t => {
    const app = await documentedApp(t)
    app.get('/', { onRequest: guards(app) }, () => 'ok')
    const documented = securityOf(await documentOf(app), '/')
    t.strictSame(documented, expected)
    // No token of these tests tells of a login at a provider.
    if (name === 'a recent login') return
    const needed = (documented ?? ['']).map(names => names.split('+').filter(Boolean))
    const passed = await passing(t, app)
    t.ok(passed.every(set => needed.some(names => names.every(one => set.includes(one)))), 'nobody else passes')
    t.ok(needed.every(names => passed.some(set => set.join() === names.toSorted(inOrder).join())), 'all of them pass')
  })
}

const order = ['bearer', 'applicationKey', 'masterKey']
const inOrder = (one: string, other: string): number => order.indexOf(one) - order.indexOf(other)

t.test('however guards were put on', async t => {
  const app = await documentedApp(t)
  app.register(async scope => {
    scope.get('/before-the-hook', () => 'ok')
    scope.addHook('onRequest', app.requireUser())
    scope.get('/hook/:id', () => 'ok')
    scope.register(async inner => {
      inner.get('/hooks', { onRequest: app.requireLevel('application') }, () => 'ok')
    }, { prefix: '/inner' })
  }, { prefix: '/scope' })
  app.register(async scope => {
    scope.get('/open', () => 'ok')
    scope.route({ method: ['PUT', 'DELETE'], url: '/both', onRequest: app.requireUser(), handler: () => 'ok' })
    scope.get('/config', { config: { tokenExchange: { level: 'admin' } } }, () => 'ok')
    scope.get('/handler', { preHandler: [app.requireUser()] }, () => 'ok')
  })
  const document = await documentOf(app)
  const said = Object.entries(document.paths).map(([path, item]) => [path, ...Object.keys(item).map(method =>
    `${method} ${securityOf(document, path, method)?.join(' | ')}`)])
  t.strictSame(said, [
    ['/scope/before-the-hook', 'get bearer'],
    ['/scope/hook/{id}', 'get bearer'],
    ['/scope/inner/hooks', 'get bearer+applicationKey | bearer+masterKey'],
    ['/open', 'get undefined'],
    ['/both', 'put bearer', 'delete bearer'],
    ['/config', 'get bearer | masterKey'],
    ['/handler', 'get bearer']
  ])
})

t.test('HEAD is guarded as its GET', async t => {
  const app = await documentedApp(t, {}, { exposeHeadRoutes: true })
  app.get('/', { onRequest: app.requireUser() }, () => 'ok')
  app.get('/named', { onRequest: app.requireUser(), schema: { operationId: 'named' } }, () => 'ok')
  const document = await documentOf(app)
  for (const path of ['/', '/named']) t.strictSame(securityOf(document, path, 'head'), ['bearer'], path)
})

t.test('so is a route of a method that OpenAPI 3.0 does not know', async t => {
  const app = await documentedApp(t, {}, {}, app => { app.addHttpMethod('PROPFIND') })
  for (const method of ['QUERY', 'PROPFIND']) {
    app.route({ method, url: `/${method}`, onRequest: app.requireUser(), handler: () => 'ok' })
  }
  app.all('/all', { onRequest: app.requireUser() }, () => 'ok')
  await app.ready()
  // @fastify/swagger shows it nevertheless, so such a document is not valid.
  const document: Document = JSON.parse(JSON.stringify(app.swagger()))
  t.strictSame(securityOf(document, '/QUERY', 'query'), ['bearer'])
  t.strictSame(securityOf(document, '/PROPFIND', 'propfind'), ['bearer'])
  t.strictSame(securityOf(document, '/all', 'query'), ['bearer'])
  t.notMatch(JSON.stringify(document.paths), 'x-fastify-token-exchange', 'nothing of ours is left there')
})

t.test('what a route or the document says of its own stands', async t => {
  const settings = { openapi: { security: [{ session: [] }], components: { securitySchemes: { session: cookie } } } }
  const app = await documentedApp(t, {}, settings)
  const onRequest = app.requireUser()
  app.get('/own', { onRequest, schema: { security: [{ session: [] }], description: 'mine' } }, () => 'ok')
  app.get('/none', { onRequest, schema: { security: [] } }, () => 'ok')
  app.get('/guarded', { onRequest, schema: { tags: ['mine'] } }, () => 'ok')
  app.get('/everyone', { onRequest: app.requireLevel('everyone') }, () => 'ok')
  app.get('/unguarded', () => 'ok')
  const document = await documentOf(app)
  t.strictSame(securityOf(document, '/own'), ['session'])
  t.strictSame(securityOf(document, '/none'), [])
  t.strictSame(securityOf(document, '/guarded'), ['bearer'])
  t.strictSame(document.paths['/guarded']?.get?.tags, ['mine'])
  t.strictSame(securityOf(document, '/everyone'), [], 'against what the document asks for everywhere')
  t.equal(securityOf(document, '/unguarded'), undefined)
})

const cookie = { type: 'apiKey', in: 'cookie', name: 'session' } as const

t.test('the default level, with what it leaves out, of routes from before and after the plugin', async t => {
  const level = { level: 'application', except: ['/health', '/users/:id', '/docs/*'] } as const
  const app = await documentedApp(t, { defaultLevel: level }, {}, app => {
    for (const path of ['/old', '/users/:id', '/docs/*']) app.get(path, () => 'ok')
  })
  app.get('/new', () => 'ok')
  app.get('/health', () => 'ok')
  app.get('/docs/page', () => 'ok')
  app.get('/own', { onRequest: app.requireUser() }, () => 'ok')
  app.get('/everyone', { onRequest: app.requireLevel('everyone') }, () => 'ok')
  app.get('/later', { preHandler: app.requireUser() }, () => 'ok')
  const document = await documentOf(app)
  const said = Object.keys(document.paths).map(path => [path, securityOf(document, path)?.join(' | ')])
  t.strictSame(said, [
    ['/old', 'applicationKey | masterKey'],
    ['/users/{id}', undefined],
    ['/docs/{*}', undefined],
    ['/new', 'applicationKey | masterKey'],
    ['/health', undefined],
    ['/docs/page', undefined],
    ['/own', 'bearer'],
    ['/everyone', undefined],
    ['/later', 'bearer+applicationKey | bearer+masterKey']
  ])
})

t.test('the schemes are those in use, by the names of the headers', async t => {
  const rows: Array<[Options, string[]]> = [
    [{}, ['bearer', 'applicationKey', 'masterKey']],
    [{ masterKeys: {} }, ['bearer', 'applicationKey']],
    [{ applicationKeys: {}, masterKeys: {} }, ['bearer']]
  ]
  for (const [options, names] of rows) {
    const app = await documentedApp(t, options)
    app.get('/', { onRequest: app.requireLevel('authenticated') }, () => 'ok')
    const document = await documentOf(app)
    t.strictSame(Object.keys(document.components.securitySchemes ?? {}), names)
    t.strictSame(securityOf(document, '/'), names.filter(name => name !== 'applicationKey'))
  }

  const app = await documentedApp(t, { headers: { applicationKey: 'x-app', masterKey: 'x-ops' } })
  t.match((await documentOf(app)).components.securitySchemes, {
    bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' },
    applicationKey: { type: 'apiKey', in: 'header', name: 'x-app' },
    masterKey: { type: 'apiKey', in: 'header', name: 'x-ops' }
  })
})

t.test('a token that is bound to a key is another way to prove a user, where access tokens are bound', async t => {
  const rows = [['all', ['bearer', 'dpop', 'masterKey']], ['refresh', ['bearer', 'masterKey']]] as const
  for (const [mode, expected] of rows) {
    const app = await documentedApp(t, { dpop: mode, sessions: {} })
    app.get('/', { onRequest: app.requireLevel('authenticated') }, () => 'ok')
    const document = await documentOf(app)
    t.strictSame(securityOf(document, '/'), expected)
    t.match(document.components.securitySchemes, mode === 'all' ? { dpop: { type: 'http', scheme: 'DPoP' } } : {})
    t.equal('dpop' in (document.components.securitySchemes ?? {}), mode === 'all')
  }
})

t.test('an attestation stands in the place of the key of an application', async t => {
  const verify = async () => ({ expiresAt: Date.now() / 1000 + 3600 })
  const applications = { check: { header: 'X-Firebase-AppCheck', verify }, other: { header: 'X-Other', verify } }
  const app = await documentedApp(t, { applications })
  app.get('/', { onRequest: app.requireLevel('application') }, () => 'ok')
  const document = await documentOf(app)
  t.strictSame(securityOf(document, '/'), ['applicationKey', 'attestation', 'attestation2', 'masterKey'])
  t.match(document.components.securitySchemes, {
    attestation: { type: 'apiKey', in: 'header', name: 'X-Firebase-AppCheck' },
    attestation2: { type: 'apiKey', in: 'header', name: 'X-Other' }
  })
})

t.test('where nobody can pass, the document does not say that everyone may', async t => {
  const app = await documentedApp(t, { applicationKeys: {}, masterKeys: {} })
  app.get('/', { onRequest: app.requireLevel('application') }, () => 'ok')
  const document = await documentOf(app)
  t.strictSame(securityOf(document, '/'), ['applicationKey', 'masterKey'])
  t.strictSame(Object.keys(document.components.securitySchemes ?? {}), ['bearer', 'applicationKey', 'masterKey'])
})

t.test('a scheme of the application with the same name stays as it is', async t => {
  const components = { securitySchemes: { bearer: { type: 'http', scheme: 'bearer', description: 'mine' } as const } }
  const app = await documentedApp(t, {}, { openapi: { components } })
  const { securitySchemes } = (await documentOf(app)).components
  t.strictSame(securitySchemes?.bearer, components.securitySchemes.bearer)
  t.strictSame(Object.keys(components.securitySchemes), ['bearer'], 'its settings too')
})

t.test('two servers in scopes of one application are one document', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(swagger, { openapi: {} })
  for (const prefix of ['/a', '/b']) {
    await app.register(async scope => {
      await scope.register(tokenExchange, { ...guardsOnly, providers: { own: ownProvider() } })
      scope.get('/user', { onRequest: scope.requireUser() }, () => 'ok')
    }, { prefix })
  }
  app.get('/open', () => 'ok')
  const document = await documentOf(app)
  for (const prefix of ['/a', '/b']) {
    t.strictSame(securityOf(document, `${prefix}/user`), ['bearer'])
    t.equal(document.paths[`${prefix}/login/{provider}`]?.post?.requestBody?.required, true)
  }
  t.equal(securityOf(document, '/open'), undefined)
  t.notMatch(JSON.stringify(document), 'x-fastify-token-exchange')
})

t.test('without @fastify/swagger nothing is written into routes', async t => {
  const app = await buildServer()
  t.teardown(() => app.close())
  const routes: RouteOptions[] = []
  app.addHook('onRoute', route => { routes.push(route) })
  app.get('/', { onRequest: app.requireUser() }, () => 'ok')
  await app.ready()
  t.strictSame(routes.map(({ schema }) => schema), [undefined, undefined])
})
