import type { FastifyInstance } from 'fastify'
import t from 'tap'
import type { AccessCheck, Auth } from '../../src/index.js'
import { requirementOf } from '../../src/guards/guards.js'
import { applicationKey, ask, masterKey, startApp, type Closing, type Options } from '../server.js'

const bearer = (app: FastifyInstance, userId = 'ada'): Record<string, string> =>
  ({ authorization: `Bearer ${app.tokenExchange.issue({ userId }).access_token}` })
const missing = { status: 401, code: 'AUTH_ERR_CREDENTIAL_MISSING', challenge: 'Bearer' }
const denied = { status: 403, code: 'AUTH_ERR_ACCESS_DENIED', challenge: 'Bearer error="insufficient_scope"' }

/** A server whose routes ask this, of a user `ada`'s list at `/lists/:owner`. */
async function asking (t: Closing, check: AccessCheck, options: Options = {}): Promise<FastifyInstance> {
  const app = await startApp(t, options)
  app.get('/lists/:owner', { onRequest: app.requireAccess(check) }, request => request.auth)
  return app
}

const owner: AccessCheck = ({ user }, { params }) => user?.id === params.owner
const ways: Array<[string, AccessCheck]> = [
  ['at once', owner],
  ['later', async (auth, request) => await owner(auth, request)]
]

for (const [name, check] of ways) {
  t.test(`the application decides ${name}`, async t => {
    const app = await asking(t, check)
    for (const attempt of ['new', 'known']) {
      const passed = await app.inject({ url: '/lists/ada', headers: bearer(app) })
      t.match(passed.json(), { level: 'authenticated', user: { id: 'ada' } }, attempt)
      t.strictSame(await ask(app, bearer(app), '/lists/eve'), denied, attempt)
      t.strictSame(await ask(app, {}, '/lists/ada'), missing, attempt)
    }
    t.strictSame(await ask(app, { 'x-zumo-application': applicationKey }, '/lists/ada'), denied, 'proven, and refused')
  })
}

t.test('the caller has been authenticated before, and is what the check is given', async t => {
  const callers: Auth[] = []
  const app = await asking(t, auth => callers.push(auth) > 0)
  t.equal((await ask(app, { authorization: 'Bearer garbage' }, '/lists/ada')).code, 'AUTH_ERR_TOKEN_INVALID')
  t.strictSame(callers, [], 'whose token is bad is asked about by nobody')
  t.equal((await ask(app, {}, '/lists/ada')).status, 200)
  t.equal((await ask(app, { 'x-zumo-application': applicationKey }, '/lists/ada')).status, 200)
  t.equal((await ask(app, bearer(app), '/lists/ada')).status, 200)
  t.strictSame(callers.map(({ level, application, user }) => [level, application, user?.id]), [
    ['everyone', null, undefined],
    ['application', 'ios', undefined],
    ['authenticated', null, 'ada']
  ])
})

t.test('a master key passes unasked', async t => {
  const app = await asking(t, () => { throw new Error('asked') })
  t.equal((await ask(app, { 'x-zumo-master': masterKey }, '/lists/ada')).status, 200)
  t.equal((await ask(app, { 'x-zumo-master': masterKey, ...bearer(app) }, '/lists/ada')).status, 200)
})

t.test('one that hangs is 503 after lookupTimeout, also while the server closes', async t => {
  const app = await asking(t, () => new Promise(() => {}), { lookupTimeout: 20 })
  const answer = await app.inject({ url: '/lists/ada', headers: bearer(app) })
  t.equal(answer.statusCode, 503)
  t.match(answer.json(), { code: 'AUTH_ERR_LOOKUP_FAILED' })
  t.match(answer.headers['retry-after'], /^\d+$/)

  const closing = await asking(t, () => new Promise(() => { closing.close().catch(t.fail) }))
  t.equal((await closing.inject({ url: '/lists/ada', headers: bearer(closing) })).statusCode, 503)
})

t.test('what it throws goes to the error handler', async t => {
  const own = Object.assign(new Error('mine'), { statusCode: 418, code: 'TEAPOT' })
  for (const check of [() => { throw own }, async () => { throw own }]) {
    const app = await asking(t, check)
    const seen: unknown[] = []
    app.setErrorHandler((error, _request, reply) => {
      seen.push(error)
      return reply.code(418).send({ code: 'TEAPOT' })
    })
    app.get('/later', { onRequest: app.requireAccess(check) }, () => 'open')
    t.match(await ask(app, bearer(app), '/later'), { status: 418, code: 'TEAPOT', challenge: undefined })
    t.strictSame(seen, [own], 'as it is')
  }
})

t.test('an answer that is neither true nor false lets nobody pass', async t => {
  for (const answer of [undefined, null, 1, 'true', {}, Promise.resolve(1), Promise.resolve(undefined)]) {
    const app = await startApp(t)
    app.get('/', { onRequest: Reflect.apply(app.requireAccess, app, [() => answer]) }, () => 'open')
    t.match(await ask(app, bearer(app)), { status: 500, code: 'AUTH_ERR_OPTION_INVALID' })
  }
})

t.test('it stands beside other guards, and the first to refuse refuses', async t => {
  const app = await startApp(t)
  const onRequest = [app.requireUser(), app.requireAccess(async ({ user }) => user?.id === 'ada')]
  app.get('/', { onRequest }, () => 'ok')
  app.options('/', { onRequest: app.requireAccess(() => false) }, () => 'preflight')
  t.strictSame(await ask(app), missing)
  t.equal((await ask(app, bearer(app))).status, 200)
  t.strictSame(await ask(app, bearer(app, 'eve')), denied)
  const preflight = { origin: 'https://a.example', 'access-control-request-method': 'GET' }
  t.equal((await ask(app, preflight, '/', 'OPTIONS')).status, 200, 'a preflight is asked about by nobody')
})

t.test('the dialect answers 401 in its own words', async t => {
  for (const check of [() => false, async () => false]) {
    const app = await asking(t, check, { azureMobileServices: true })
    const answer = await app.inject({ url: '/lists/ada', headers: bearer(app) })
    t.match(answer.json(), { code: 401, error: /^Error: .+/, errorCode: 'AUTH_ERR_ACCESS_DENIED' })
    t.equal(answer.headers['www-authenticate'], 'Bearer error="insufficient_scope"')
  }
})

t.test('what is no function throws where the route is declared; the guard says what it asks for', async t => {
  const app = await startApp(t)
  for (const args of [[], [true], ['admin'], [null], [{}]]) {
    t.throws(() => Reflect.apply(app.requireAccess, app, args), { code: 'AUTH_ERR_OPTION_INVALID' })
  }
  t.strictSame(requirementOf(app.requireAccess(owner)), { access: owner })
  const uncalled: unknown = app.requireAccess
  Reflect.apply(app.get, app, ['/', { onRequest: uncalled }, () => 'open'])
  const refusal = { code: 'AUTH_ERR_OPTION_INVALID', message: /requireAccess\(…\)/ }
  await t.rejects(async () => { await app.ready() }, refusal)
})
