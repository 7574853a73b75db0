import { Writable } from 'node:stream'
import Fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import { tokenExchange } from '../../src/index.js'

// Fastify applies its own options logLevel and logSerializers to scopes; this plugin shares its parent's.

async function logOf (register: (app: FastifyInstance) => Promise<void>): Promise<string> {
  const lines: string[] = []
  const stream = new Writable({ write (chunk, _encoding, done) { lines.push(String(chunk)); done() } })
  const app = Fastify({ logger: { level: 'trace', stream } })
  await register(app)
  await app.inject({
    method: 'POST',
    url: '/login/own?access_token=told-in-the-query',
    payload: { access_token: 'good' }
  })
  await app.close()
  return lines.join('')
}

const options = {
  issuer: 'https://api.example.com',
  keys: 'of the logging tests: thirty-two bytes',
  providers: { own: { accepts: ['access_token'] as const, verify: async () => ({ subject: 'u1' }) } }
}

t.test('a query, where no token is read, is not logged with the plugin\'s own routes', async t => {
  const log = await logOf(async app => { await app.register(tokenExchange, options) })
  t.match(log, /incoming request/)
  t.match(log, '"url":"/login/own"')
  t.notMatch(log, 'told-in-the-query')
})

t.test('logLevel is that of the plugin\'s own routes', async t => {
  const log = await logOf(async app => { await app.register(tokenExchange, { ...options, logLevel: 'error' }) })
  t.notMatch(log, 'incoming request')
})

t.test('logSerializers are those of the plugin\'s own routes', async t => {
  const log = await logOf(async app => {
    await app.register(tokenExchange, { ...options, logSerializers: { req: () => 'as the application likes' } })
  })
  t.match(log, '"req":"as the application likes"')
})

t.test('other values name the option', async t => {
  for (const [name, value] of [['logLevel', 'loud'], ['logSerializers', { req: 'no function' }]] as const) {
    const app = Fastify()
    await t.rejects(
      async () => {
        await app.register(tokenExchange, Object.assign({ [name]: value }, options))
      },
      { code: 'AUTH_ERR_OPTION_INVALID', message: new RegExp(name) }
    )
  }
})
