import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import Fastify from 'fastify'
import t from 'tap'
import { createDeadlines, DeadlineExceeded, ServerClosing } from '../src/deadline.js'
import { tokenExchange } from '../src/plugin.js'
import { fakeServer } from './http/fake-server.js'
import { loginServer } from './routes/login-server.js'
import { buildServer, issuer, ownProvider, secret } from './server.js'

const execute = promisify(execFile)
const script = fileURLToPath(new URL('./lifecycle-server.ts', import.meta.url))

const rows: Array<[string, string, string]> = [
  ['provider', '', 'AUTH_ERR_PROVIDER_UNAVAILABLE'],
  ['lookup', '', 'AUTH_ERR_LOOKUP_FAILED'],
  ['keys', '', 'AUTH_ERR_PROVIDER_UNAVAILABLE'],
  ['provider', 'slow-handler', 'AUTH_ERR_PROVIDER_UNAVAILABLE'],
  ['lookup', 'slow-handler', 'AUTH_ERR_LOOKUP_FAILED']
]

for (const [hangs, handler, code] of rows) {
  const beside = handler === '' ? '' : ' and a slow error handler'
  t.test(
    `close() with a hung ${hangs}, a connection that is kept alive${beside}: it ends, and nothing is left`,
    async t => {
      // The process must end by itself: the time limit, less than any keep-alive or timeout in it, kills it otherwise.
      const hung = await fakeServer(t, () => {})
      const { stdout } = await execute(process.execPath, ['--import=tsx', script, hangs, handler, hung.url], {
        timeout: 20_000,
        killSignal: 'SIGKILL'
      })
      const { answer, unhandled, resources } = JSON.parse(stdout)
      t.match(answer, {
        status: 503,
        body: { code },
        headers: { 'cache-control': 'no-store', 'retry-after': '5', connection: 'close' }
      })
      t.same(unhandled, [], 'no unhandled rejection, also of what rejects later')
      t.same(resources, [], 'no server, no timer')
    }
  )
}

t.test('a login that arrives while the server closes is an outage', async t => {
  const { app, login } = await loginServer()
  await app.ready()
  const closing = app.close()
  await closing
  const answer = await login({ access_token: 'good' }).catch((error: unknown) => error)
  t.match(answer, /closed|FST_ERR_REOPENED_CLOSE_SERVER|Error/i, 'Fastify itself answers from here on')
})

t.test('verify and issue go on while the server closes: requests in flight still need them', async t => {
  const { app } = await loginServer()
  const { access_token: token } = app.tokenExchange.issue({ userId: 'u-1' })
  await app.close()
  t.equal(app.tokenExchange.verify(token).id, 'u-1')
})

t.test('the plugin in two scopes: each has its own keys and providers', async t => {
  const app = Fastify()
  const tokens: string[] = []
  for (const [name, keys] of [['one', secret], ['two', 'another secret, of more than 32 bytes']] as const) {
    await app.register(async scope => {
      await scope.register(tokenExchange, { issuer, keys, providers: { [name]: ownProvider() } })
      scope.get('/me', { onRequest: scope.requireUser() }, request => ({ id: request.auth.user?.id }))
    }, { prefix: `/${name}` })
  }
  for (const name of ['one', 'two']) {
    const answer = await app.inject({
      method: 'POST',
      url: `/${name}/login/${name}`,
      payload: { access_token: 'good' }
    })
    t.equal(answer.json().user.userId, `${name}:10158`)
    tokens.push(answer.json().access_token)
    t.equal(
      (
        await app.inject({
          method: 'POST',
          url: `/${name}/login/${name === 'one' ? 'two' : 'one'}`,
          payload: { access_token: 'good' }
        })
      ).json().code,
      'AUTH_ERR_PROVIDER_UNKNOWN'
    )
  }
  const [one, two] = tokens
  t.equal((await app.inject({ url: '/one/me', headers: { authorization: `Bearer ${one}` } })).statusCode, 200)
  t.equal((await app.inject({ url: '/one/me', headers: { authorization: `Bearer ${two}` } })).statusCode, 401)
  await app.close()
})

t.test('the plugin twice in one scope does not start', async t => {
  const app = await buildServer()
  await t.rejects(async () => { await app.register(tokenExchange, { issuer, keys: secret }) })
  await t.rejects(async () => { await app.ready() })
})

t.test('a deadline holds for everything that can be waited for', async t => {
  const never = new Promise<never>(() => {})
  const rows: Array<[string, () => unknown]> = [
    ['a promise', () => never],
    ['a thenable', () => ({ then () {} })],
    [
      'a function that is one, as clients of databases and services answer',
      () => Object.assign(() => {}, { then () {} })
    ],
    [
      'a thenable of another',
      () => ({
        then (resolve: (value: unknown) => void) {
          resolve(never)
        }
      })
    ]
  ]
  for (const [name, work] of rows) await t.rejects(createDeadlines().within(1, work), DeadlineExceeded, name)
})

t.test('work that is over has no deadline any more', async t => {
  const rows: Array<[string, () => unknown]> = [
    ['it answered', async () => 7],
    ['it answered at once', () => 7],
    ['it failed', async () => { throw new Error('mine') }],
    ['it failed at once', () => { throw new Error('mine') }],
    ['it failed as a thenable', () => ({ then () { throw new Error('mine') } })]
  ]
  for (const [name, work] of rows) {
    const { within, close } = createDeadlines()
    let signal: AbortSignal | undefined
    await within(60_000, deadline => {
      signal = deadline.signal
      return work()
    }).catch(error => t.match(error, { message: 'mine' }))
    close()
    t.equal(signal?.aborted, false, name)
  }
})

t.test('a deadline: what the work answers, or the end of patience', async t => {
  const { within, close, isClosed } = createDeadlines()
  t.equal(await within(60_000, () => 7), 7)
  t.equal(await within(60_000, async () => 7), 7)
  await t.rejects(within(60_000, () => { throw new Error('mine') }), { message: 'mine' })
  await t.rejects(within(1, () => new Promise(() => {})), DeadlineExceeded)
  const hung = [1, 2, 3].map(() => within(60_000, () => new Promise(() => {})))
  t.equal(isClosed(), false)
  close()
  t.equal(isClosed(), true)
  for (const work of hung) await t.rejects(work, ServerClosing)
  let aborted: boolean | undefined
  await t.rejects(
    within(60_000, ({ signal }) => {
      aborted = signal.aborted
      return new Promise(() => {})
    }),
    ServerClosing
  )
  t.equal(aborted, true, 'what begins later is told so')
})
