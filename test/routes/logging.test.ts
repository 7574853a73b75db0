import t from 'tap'
import { buildServer, type Options } from '../server.js'
import { loginServer } from './login-server.js'

// Fastify applies its own options logLevel and logSerializers to scopes; this plugin shares its parent's.

async function logOf (options: Options = {}): Promise<string> {
  const { app, log, login } = await loginServer(options)
  await login({ access_token: 'good' }, { url: '/login/own?access_token=told-in-the-query' })
  await app.close()
  return log()
}

t.test('a query, where no token is read, is not logged with the plugin\'s own routes', async t => {
  const log = await logOf()
  t.match(log, /incoming request/)
  t.match(log, '"url":"/login/own"')
  t.notMatch(log, 'told-in-the-query')
})

t.test('logLevel is that of the plugin\'s own routes', async t => {
  const log = await logOf({ logLevel: 'error' })
  t.notMatch(log, 'incoming request')
})

t.test('logSerializers are those of the plugin\'s own routes', async t => {
  const log = await logOf({ logSerializers: { req: () => 'as the application likes' } })
  t.match(log, '"req":"as the application likes"')
})

t.test('other values name the option', async t => {
  for (const [name, value] of [['logLevel', 'loud'], ['logSerializers', { req: 'no function' }]] as const) {
    await t.rejects(buildServer(Object.assign({}, { [name]: value })), {
      code: 'AUTH_ERR_OPTION_INVALID',
      message: new RegExp(name)
    })
  }
})
