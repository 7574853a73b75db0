import type { FastifyInstance, FastifyRequest } from 'fastify'
import t from 'tap'
import { requirementOf } from '../../src/guards/guards.js'
import { applicationKey, ask, masterKey, startApp } from '../server.js'

const bearer = (app: FastifyInstance, ...permissions: string[]): Record<string, string> =>
  ({ authorization: `Bearer ${app.tokenExchange.issue({ userId: 'ada', permissions }).access_token}` })
const missing = { status: 401, code: 'AUTH_ERR_CREDENTIAL_MISSING', challenge: 'Bearer' }
const insufficient = {
  status: 403,
  code: 'AUTH_ERR_PERMISSION_MISSING',
  challenge: 'Bearer error="insufficient_scope"'
}

t.test('a permission may be of the request, in both guards, beside names', async t => {
  const app = await startApp(t)
  app.get('/all/:id', {
    onRequest: app.requirePermission('list:read', request => `list:${request.params.id}:read`)
  }, () => 'ok')
  const ownList = ({ params }: FastifyRequest<{ Params: { id: string } }>): string => `list:${params.id}:read`
  app.get<{ Params: { id: string } }>('/any/:id', {
    onRequest: app.requireAnyPermission(ownList, 'root')
  }, () => 'ok')
  const reader = bearer(app, 'list:read', 'list:7:read')
  for (const attempt of ['new', 'known']) {
    t.equal((await ask(app, reader, '/all/7')).status, 200, attempt)
    t.strictSame(await ask(app, reader, '/all/8'), insufficient, attempt)
    t.strictSame(await ask(app, bearer(app, 'list:7:read'), '/all/7'), insufficient, attempt)
    t.equal((await ask(app, reader, '/any/7')).status, 200, attempt)
    t.strictSame(await ask(app, reader, '/any/8'), insufficient, attempt)
    t.equal((await ask(app, bearer(app, 'root'), '/any/8')).status, 200, attempt)
  }
})

t.test('only a user is looked at: nobody is 401, a master key passes, and neither is asked about', async t => {
  const app = await startApp(t)
  const asked: string[] = []
  app.get('/:id', {
    onRequest: app.requirePermission(request => {
      asked.push(String(request.params.id))
      return 'a'
    })
  }, () => 'ok')
  t.strictSame(await ask(app, {}, '/1'), missing)
  t.strictSame(await ask(app, { 'x-zumo-application': applicationKey }, '/2'), missing)
  t.equal((await ask(app, { 'x-zumo-master': masterKey }, '/3')).status, 200)
  t.equal((await ask(app, { authorization: 'Bearer garbage' }, '/4')).code, 'AUTH_ERR_TOKEN_INVALID')
  t.strictSame(asked, [])
  t.equal((await ask(app, bearer(app, 'a'), '/5')).status, 200)
  t.strictSame(asked, ['5'])
})

t.test('what is no name is a mistake of the application, and nobody passes', async t => {
  const app = await startApp(t)
  const rejected = Promise.reject(new Error('late'))
  rejected.catch(() => {})
  const answers = [undefined, null, '', 7, true, ['a'], Promise.resolve('a'), rejected, { toString: () => 'a' }]
  for (const [index, answer] of answers.entries()) {
    const onRequest = Reflect.apply(app.requirePermission, app, [() => answer])
    app.get(`/${index}`, { onRequest }, () => 'open')
  }
  for (const index of answers.keys()) {
    t.match(await ask(app, bearer(app, 'a'), `/${index}`), { status: 500, code: 'AUTH_ERR_OPTION_INVALID' })
  }
})

t.test('what the function throws goes to the error handler', async t => {
  const app = await startApp(t)
  app.setErrorHandler((error, _request, reply) => reply.code(418).send({ code: 'TEAPOT', error: String(error) }))
  app.get('/', { onRequest: app.requirePermission(() => { throw new RangeError('mine') }) }, () => 'open')
  t.match(await ask(app, bearer(app, 'a')), { status: 418, code: 'TEAPOT' })
})

t.test('the guard says what it asks for', async t => {
  const app = await startApp(t)
  const own = (): string => 'b'
  t.strictSame(requirementOf(app.requirePermission('a', own)), { permissions: ['a', own] })
  t.strictSame(requirementOf(app.requireAnyPermission(own)), { anyPermission: [own] })
})
