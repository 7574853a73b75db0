import Fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import { tokenExchange } from '../../src/index.js'
import { ask, guardsOnly, masterKey, startApp, type Closing } from '../server.js'

/** A server that leaves these out, with routes from before and after the plugin, in scopes and below prefixes. */
async function leavingOut (t: Closing, except: string[]): Promise<FastifyInstance> {
  const app = Fastify({ exposeHeadRoutes: true })
  t.teardown(() => app.close())
  app.get('/docs', () => 'ok')
  app.register(async scope => { scope.get('/static/:file', () => 'ok') }, { prefix: '/docs' })
  await app.register(tokenExchange, { ...guardsOnly, defaultLevel: { level: 'authenticated', except } })
  app.get('/health', () => 'ok')
  app.get('/users/:id', () => 'ok')
  app.get('/users/:id/secret', () => 'ok')
  app.get('/docsification', () => 'ok')
  app.get('/assets/*', () => 'ok')
  app.get('/*', () => 'ok')
  app.get('/own', { onRequest: app.requireLevel('admin') }, () => 'ok')
  app.get('/declared', { config: { tokenExchange: { level: 'admin' } } }, () => 'ok')
  return app
}

/** Those of all paths that anybody gets. */
async function openPaths (app: FastifyInstance): Promise<string[]> {
  const paths = [
    '/docs', '/docs/static/a.css', '/health', '/users/7', '/users/7/secret', '/docsification', '/assets/a/b', '/docs/x',
    '/other', '/own', '/declared'
  ]
  const open: string[] = []
  for (const path of paths) if ((await ask(app, {}, path)).status === 200) open.push(path)
  return open
}

const rows: Array<[string[], string[]]> = [
  [[], []],
  [['/health', '/users/:id'], ['/health', '/users/7']],
  [['/docs'], ['/docs']],
  [['/docs/*'], ['/docs/static/a.css']],
  [['/docs', '/docs/*'], ['/docs', '/docs/static/a.css']],
  [['/docs/static/:file'], ['/docs/static/a.css']],
  [['/assets/*'], ['/assets/a/b']],
  [['/users/*'], ['/users/7', '/users/7/secret']],
  [['/users/7', '/HEALTH', '/health/', '/heal'], []],
  [['/own', '/declared'], []]
]

for (const [except, open] of rows) {
  t.test(`defaultLevel leaves out ${except.join() || 'nothing'}, by what was declared`, async t => {
    t.strictSame(await openPaths(await leavingOut(t, except)), open)
  })
}

t.test('HEAD is left out as its GET, and the others are guarded at the level', async t => {
  const app = await leavingOut(t, ['/health'])
  t.equal((await ask(app, {}, '/health', 'HEAD')).status, 200)
  t.strictSame(await ask(app, {}, '/docs'), { status: 401, code: 'AUTH_ERR_CREDENTIAL_MISSING', challenge: 'Bearer' })
  t.equal((await ask(app, { 'x-zumo-master': masterKey }, '/docs')).status, 200)
  t.equal((await ask(app, {}, '/nowhere', 'POST')).status, 404)
})

t.test('what is left out has no caller', async t => {
  const app = await startApp(t, { defaultLevel: { level: 'everyone', except: ['/open'] } })
  app.get('/open', request => request.auth)
  t.match(await ask(app, {}, '/open'), { status: 500, code: 'AUTH_ERR_NOT_GUARDED' })
})

t.test('an unknown level, a pattern that is none or leaves out everything is refused', async t => {
  const wrong: unknown[] = [
    {}, { level: 'admin' }, { level: 'root', except: [] }, { except: ['/a'] }, { level: 'admin', except: '/a' },
    { level: 'admin', except: ['a'] }, { level: 'admin', except: ['*'] }, { level: 'admin', except: ['/*'] },
    { level: 'admin', except: [/a/] }, { level: 'admin', except: [''] }, { level: 'admin', exept: [] }
  ]
  for (const defaultLevel of wrong) {
    const app = Fastify()
    Reflect.apply(app.register, app, [tokenExchange, { ...guardsOnly, defaultLevel }])
    await t.rejects(async () => { await app.ready() }, { code: 'AUTH_ERR_OPTION_INVALID', message: /defaultLevel/ })
  }
})
