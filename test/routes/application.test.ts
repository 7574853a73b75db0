import formbody from '@fastify/formbody'
import type { FastifyInstance, FastifyReply, FastifyRequest, LightMyRequestResponse } from 'fastify'
import t, { type Test } from 'tap'
import { fastifyBefore, ownProvider, startApp } from '../server.js'
import { loginServer } from './login-server.js'

type Prepare = (app: FastifyInstance) => unknown

const form = { 'content-type': 'application/x-www-form-urlencoded' }
const text = { 'content-type': 'text/plain' }

async function loginAll (
  prepare: Prepare
): Promise<Record<'good' | 'form' | 'bad' | 'malformed' | 'text' | 'large' | 'unknown', LightMyRequestResponse>> {
  const { app, login } = await loginServer({}, { prepare })
  const answers = {
    good: await login({ access_token: 'good' }),
    form: await login('access_token=good', { headers: form }),
    bad: await login({ access_token: 'bad' }),
    malformed: await login({ access_token: ['good'] }),
    text: await login('{"access_token":"good"}', { headers: text }),
    large: await login({ access_token: 'x'.repeat(40_000) }),
    unknown: await login({ access_token: 'good' }, { url: '/login/unknown' })
  }
  await app.close()
  return answers
}

function isAsEver (t: Test, answers: Awaited<ReturnType<typeof loginAll>>, name: string): void {
  const statuses = Object.fromEntries(Object.entries(answers).map(([kind, answer]) => [kind, answer.statusCode]))
  t.same(statuses, { good: 200, form: 200, bad: 401, malformed: 400, text: 415, large: 413, unknown: 404 }, name)
  t.equal(answers.good.json().user.userId, 'own:10158', name)
  t.equal(answers.bad.headers['www-authenticate'], 'Bearer', name)
  for (const [kind, answer] of Object.entries(answers)) {
    t.equal(answer.headers['cache-control'], 'no-store', `${name}: ${kind}`)
  }
}

const withRouterOptions = { skip: fastifyBefore('5.5.0', 'routerOptions') }

t.test('the application\'s compilers, parsers and serializers change nothing', async t => {
  const fail = (): never => { throw new Error('not for this route') }
  const rows: Array<[string, Prepare]> = [
    [
      'a validator compiler that lets all pass',
      app => {
        app.setValidatorCompiler(() => () => true)
      }
    ],
    [
      'a validator compiler that throws',
      app => {
        app.setValidatorCompiler(fail)
      }
    ],
    [
      'a validator that throws',
      app => {
        app.setValidatorCompiler(() => fail)
      }
    ],
    [
      'a serializer compiler that throws',
      app => {
        app.setSerializerCompiler(fail)
      }
    ],
    [
      'a serializer of its own',
      app => {
        app.setSerializerCompiler(() => () => '"mine"')
      }
    ],
    [
      'a reply serializer',
      app => {
        app.setReplySerializer(() => '"mine"')
      }
    ],
    [
      'a schema error formatter',
      app => {
        app.setSchemaErrorFormatter(() => new Error('mine'))
      }
    ],
    [
      'a parser for everything',
      app => {
        app.addContentTypeParser('*', (_request, _payload, done) => done(null, { access_token: 'good' }))
      }
    ],
    [
      'parsers of its own',
      app => {
        app.removeAllContentTypeParsers()
        app.addContentTypeParser(['application/json', 'text/plain'], (_request, _payload, done) =>
          done(null, { access_token: 'good' })
        )
      }
    ],
    [
      'a parser by pattern',
      app => {
        app.addContentTypeParser(/^(text|application)\//, (_request, _payload, done) =>
          done(null, { access_token: 'good' })
        )
      }
    ],
    ['@fastify/formbody', app => app.register(formbody)],
    [
      'caching of its own',
      app => {
        app.addHook('onSend', async (_request, reply) => {
          reply.header('cache-control', 'public, max-age=3600')
        })
      }
    ],
    [
      'a schema controller',
      app => {
        app.addSchema({ $id: 'access_token', type: 'number' })
      }
    ]
  ]
  for (const [name, prepare] of rows) isAsEver(t, await loginAll(prepare), name)
})

t.test('and the other way round: the application keeps its own parsers', async t => {
  const { app } = await loginServer()
  await app.register(formbody)
  app.addContentTypeParser('text/plain', { parseAs: 'string' }, (_request, body, done) => done(null, body))
  app.post('/echo', request => ({ echo: request.body }))
  t.same((await app.inject({ method: 'POST', url: '/echo', payload: 'a=1', headers: form })).json(), {
    echo: { a: '1' }
  })
  t.same((await app.inject({ method: 'POST', url: '/echo', payload: 'x', headers: text })).json(), { echo: 'x' })
  t.same((await app.inject({ method: 'POST', url: '/echo', payload: [1] })).json(), { echo: [1] })
  t.notOk('cache-control' in (await app.inject({ method: 'POST', url: '/echo', payload: [1] })).headers)
  await app.close()
})

t.test('errors pass through the application\'s error handler, headers and all', async t => {
  const rows: Array<[string, Prepare]> = [
    [
      'synchronous',
      app => {
        app.setErrorHandler((error: Error & { statusCode?: number, code?: string }, _request, reply) => {
          reply.code(error.statusCode ?? 500).send({ mine: error.code, message: error.message })
        })
      }
    ],
    [
      'asynchronous',
      app => {
        app.setErrorHandler(async (error: Error & { statusCode?: number, code?: string }, _request, reply) => {
          await Promise.resolve()
          return reply.code(error.statusCode ?? 500).send({ mine: error.code, message: error.message })
        })
      }
    ]
  ]
  for (const [name, prepare] of rows) {
    const answers = await loginAll(prepare)
    isAsEver(t, answers, name)
    t.same(
      answers.bad.json(),
      { mine: 'AUTH_ERR_GRANT_REJECTED', message: 'The authorization grant was rejected' },
      name
    )
    t.same(answers.unknown.json().mine, 'AUTH_ERR_PROVIDER_UNKNOWN', name)
    t.same(answers.large.json().mine, 'FST_ERR_CTP_BODY_TOO_LARGE', name)
  }
})

t.test('an error handler that the application sets after the plugin is asked as well', async t => {
  type Refusal = Error & { statusCode?: number, code?: string }
  type Handler = (error: Refusal, request: FastifyRequest, reply: FastifyReply) => unknown
  const rows: Array<[string, Handler]> = [
    [
      'synchronous',
      (error, _request, reply) => {
        reply.code(error.statusCode ?? 500).send({ mine: error.code })
      }
    ],
    [
      'asynchronous',
      async (error, _request, reply) => await reply.code(error.statusCode ?? 500).send({ mine: error.code })
    ],
    [
      'one that hands on',
      (error, _request, reply) => {
        reply.send(Object.assign(new Error('mine'), { statusCode: error.statusCode, mine: error.code }))
      }
    ],
    [
      'one that throws',
      error => {
        throw error
      }
    ]
  ]
  for (const [name, handler] of rows) {
    const { app, login } = await loginServer()
    const asked: unknown[] = []
    app.setErrorHandler((error: Refusal, request, reply) => {
      asked.push(error)
      return handler(error, request, reply)
    })
    const answer = await login({ access_token: 'bad' })
    t.match(answer, { statusCode: 401, headers: { 'cache-control': 'no-store', 'www-authenticate': 'Bearer' } }, name)
    t.match(asked, [{ code: 'AUTH_ERR_GRANT_REJECTED' }], name)
    if (name.endsWith('synchronous')) t.same(answer.json(), { mine: 'AUTH_ERR_GRANT_REJECTED' }, name)
    await app.close()
  }
})

t.test('an error is logged once and seen once, whoever renders it', async t => {
  const seen: string[] = []
  const { app, login, log } = await loginServer(
    { permissions: () => null },
    {
      prepare: app => {
        app.addHook('onError', async (_request, _reply, error) => {
          seen.push(error.code)
        })
      }
    }
  )
  t.match((await login({ access_token: 'good' })).json(), {
    statusCode: 403,
    code: 'AUTH_ERR_ACCESS_DENIED',
    error: 'Forbidden',
    message: 'This user has no access'
  })
  t.same(seen, ['AUTH_ERR_ACCESS_DENIED'])
  t.equal(log().split('\n').filter(line => line.includes('"err"')).length, 1)
  await app.close()
})

t.test('an error handler that sends the whole error gives no secret away', async t => {
  const { app, login } = await loginServer(
    {
      permissions: () => {
        throw new Error('hunter2', { cause: new Error('hunter2') })
      }
    },
    {
      prepare: app =>
        app.setErrorHandler((error, _request, reply) => {
          reply.code(503).send({ ...Object(error), text: String(error), json: JSON.stringify(error) })
        })
    }
  )
  const answer = await login({ access_token: 'good' })
  t.equal(answer.json().code, 'AUTH_ERR_LOOKUP_FAILED')
  t.notMatch(answer.payload, 'hunter2')
  await app.close()
})

t.test('an outage rendered by the application keeps its Retry-After, or gets the application\'s', async t => {
  for (const [own, expected] of [[undefined, '5'], ['77', '77']] as const) {
    const { app, login } = await loginServer({ permissions: () => { throw new Error('db') } }, {
      prepare: app => app.setErrorHandler((_error, _request, reply) => {
        if (own !== undefined) reply.header('retry-after', own)
        reply.code(503).type('text/plain').send('later')
      })
    })
    const answer = await login({ access_token: 'good' })
    t.match(answer, {
      statusCode: 503,
      payload: 'later',
      headers: { 'retry-after': expected, 'cache-control': 'no-store' }
    })
    await app.close()
  }
})

t.test('hooks of the application that fail: no-store, and nobody is asked', async t => {
  const fail = async (): Promise<never> => { throw Object.assign(new Error('mine'), { statusCode: 418 }) }
  const rows: Array<[string, Prepare]> = [
    ['onRequest', app => { app.addHook('onRequest', fail) }],
    ['preParsing', app => { app.addHook('preParsing', fail) }],
    ['preValidation', app => { app.addHook('preValidation', fail) }],
    ['preHandler', app => { app.addHook('preHandler', fail) }]
  ]
  for (const [name, prepare] of rows) {
    let asked = 0
    const { app, login } = await loginServer({ permissions: () => { asked++; return {} } }, { prepare })
    const answer = await login({ access_token: 'good' })
    t.equal(answer.statusCode, 418, name)
    t.equal(answer.headers['cache-control'], 'no-store', name)
    t.equal(asked, 0, name)
    await app.close()
  }
  for (const hook of ['onSend', 'preSerialization'] as const) {
    const { app, login } = await loginServer({}, { prepare: app => app.addHook(hook as 'onSend', fail) })
    for (const token of ['good', 'bad']) {
      t.equal((await login({ access_token: token })).headers['cache-control'], 'no-store', hook)
    }
    await app.close()
  }
})

t.test('hooks of the application may read the body and replace it', async t => {
  const { app, login } = await loginServer(
    {},
    {
      prepare: app =>
        app.addHook('preValidation', async request => {
          request.body = { ...Object(request.body), access_token: 'good' }
        })
    }
  )
  t.equal((await login({ access_token: 'bad' })).statusCode, 200)
  await app.close()
})

t.test('what a body that a hook has set inherits is no member of it', async t => {
  const rows: Array<[string, () => unknown, number]> = [
    ['inherited', () => Object.create({ access_token: 'good' }), 400],
    ['a getter of a class', () => new class { get access_token () { return 'good' } }(), 400],
    ['undefined, as if it were not there', () => ({ access_token: undefined, id_token: undefined }), 400],
    ['undefined beside a grant', () => ({ access_token: 'good', nonce: undefined }), 200],
    ['an array', () => ['good'], 400],
    ['a map', () => new Map([['access_token', 'good']]), 400],
    ['nothing', () => undefined, 400]
  ]
  for (const [name, body, status] of rows) {
    const { app, login } = await loginServer(
      {},
      {
        prepare: app =>
          app.addHook('preValidation', async request => {
            request.body = body()
          })
      }
    )
    t.equal((await login({ access_token: 'good' })).statusCode, status, name)
    await app.close()
  }
})

t.test('an application below a prefix, with a small body limit and a strict router', withRouterOptions, async t => {
  const { app, login } = await loginServer(
    {},
    { fastify: { bodyLimit: 10, routerOptions: { ignoreTrailingSlash: true, caseSensitive: true } } }
  )
  t.equal((await login({ access_token: 'good' })).statusCode, 200, 'the limit of the login is its own')
  t.equal(
    (await login({ access_token: 'good' }, { url: '/login/own/' })).statusCode,
    200,
    'as the application set its router'
  )
  await app.close()
})

t.test('a server without logger', async t => {
  const app = await startApp(t, {
    providers: { own: ownProvider() },
    permissions: () => {
      throw new Error('x')
    }
  })
  t.equal((await app.inject({ method: 'POST', url: '/login/own', payload: { access_token: 'good' } })).statusCode, 503)
})
