import type { FastifyRequest } from 'fastify'
import t from 'tap'
import { errors, type TokenExchangeOptions } from '../../src/index.js'
import { ask, startApp, startUsersApp } from '../server.js'

const fromCookie = (request: FastifyRequest): string | null =>
  /(?:^|; )session=([^;]*)/.exec(request.headers.cookie ?? '')?.[1] ?? null

const answering = (answer: unknown): Partial<TokenExchangeOptions> =>
  ({ tokenFrom: () => JSON.parse(JSON.stringify(answer ?? null)) })

t.test('tokenFrom is asked where neither header carries a token', async t => {
  const asked: string[] = []
  const app = await startUsersApp(t, {
    tokenFrom: request => {
      asked.push(request.id)
      return fromCookie(request)
    }
  })
  const token = app.tokenExchange.issue({ userId: 'ada' }).access_token
  const other = app.tokenExchange.issue({ userId: 'eve' }).access_token
  const cookie = `theme=dark; session=${token}`
  for (const headers of [{ cookie }, { cookie, 'x-zumo-auth': '' }, { cookie, authorization: 'Basic eDp5' }]) {
    for (const attempt of ['new', 'known']) {
      const answer = await app.inject({ url: '/', headers })
      t.match(answer.json(), { user: { id: 'ada' } }, `${Object.keys(headers).join()}, ${attempt}`)
    }
  }
  t.equal(asked.length, 6)
  for (const headers of [{ authorization: `Bearer ${other}` }, { 'x-zumo-auth': other }]) {
    t.match((await app.inject({ url: '/', headers: { ...headers, cookie } })).json(), { user: { id: 'eve' } })
  }
  t.equal(asked.length, 6, 'a header is enough')
  for (const headers of [{}, { 'x-zumo-auth': '' }, { authorization: '' }, { authorization: 'Basic eDp5' }]) {
    t.equal((await ask(app, headers)).status, 401, 'nobody is taken for her who stood beside the same headers')
  }
})

t.test('what tokenFrom answers is a carrier as the others', async t => {
  const missing = { status: 401, code: 'AUTH_ERR_CREDENTIAL_MISSING', challenge: 'Bearer' }
  const invalid = { status: 401, code: 'AUTH_ERR_TOKEN_INVALID', challenge: 'Bearer error="invalid_token"' }
  const rows: Array<[unknown, object]> = [
    [null, missing],
    ['', missing],
    ['null', invalid],
    ['x'.repeat(20_000), invalid]
  ]
  for (const [answer, outcome] of rows) t.match(await ask(await startUsersApp(t, answering(answer))), outcome)
  const app = await startUsersApp(t, { tokenFrom: fromCookie })
  const token = app.tokenExchange.issue({ userId: 'ada' }).access_token
  t.equal((await ask(app, { authorization: `Bearer ${token}` })).status, 200)
  t.match(await ask(app, { cookie: `session=Bearer ${token}` }), invalid, 'a bare token, not what a header says')
})

t.test('what tokenFrom throws goes to the error handler', async t => {
  const own = Object.assign(new Error('the jar is broken'), { statusCode: 418 })
  const thrown: Array<[unknown, number, string]> = [
    [own, 418, 'the jar is broken'],
    [new Error('none'), 500, 'none'],
    [new errors.AccessDeniedError(), 403, 'This user has no access'],
    ['a text', 500, 'tokenFrom'],
    [undefined, 500, 'tokenFrom']
  ]
  for (const [value, status, message] of thrown) {
    const seen: unknown[] = []
    const app = await startApp(t, { tokenFrom: () => { throw value } })
    app.addHook('onError', async (_request, _reply, error) => { seen.push(error) })
    app.get('/', { onRequest: app.requireUser() }, () => 'in')
    const answer = await app.inject('/')
    t.equal(answer.statusCode, status)
    t.equal(answer.headers['www-authenticate'], undefined, 'no refusal of ours')
    t.match(answer.json().message, message)
    if (value instanceof Error) t.equal(seen[0], value)
  }
})

t.test('junk from tokenFrom, a promise too, is the application\'s mistake', async t => {
  for (const junk of [7, true, {}, ['token']]) {
    const outcome = await ask(await startUsersApp(t, answering(junk)))
    t.match(outcome, { status: 500, code: 'AUTH_ERR_OPTION_INVALID' }, JSON.stringify(junk))
  }
  const options = Object.assign({}, { tokenFrom: fromCookie })
  Reflect.set(options, 'tokenFrom', async () => { throw new Error('never heard of') })
  const app = await startUsersApp(t, options)
  const answer = await app.inject('/')
  t.match(answer.json(), { statusCode: 500, code: 'AUTH_ERR_OPTION_INVALID', message: /tokenFrom .*at once/ })
})
