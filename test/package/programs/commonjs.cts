import Fastify = require('fastify')
import applications = require('fastify-token-exchange/applications')
import exchange = require('fastify-token-exchange')
import client = require('fastify-token-exchange/client')
import providers = require('fastify-token-exchange/providers')
import stores = require('fastify-token-exchange/stores')
import testing = require('fastify-token-exchange/testing')

export async function start (): Promise<string> {
  const idp = await testing.startIdentityServer()
  const store: stores.SessionStore = stores.memoryStore()
  const own: exchange.IdentityProvider = {
    accepts: ['access_token'],
    verify: async () => { throw new exchange.errors.GrantRejectedError('nobody') }
  }
  const app = Fastify()
  await app.register(exchange.tokenExchange, {
    issuer: 'https://api.example.com',
    keys: process.env.SIGNING_SECRET,
    providers: { facebook: providers.facebook(idp.facebook.options), own },
    applications: { mobile: applications.appCheck(idp.appCheck.options) },
    dpop: 'refresh',
    sessions: { store }
  })
  app.get('/', { onRequest: app.requireLevel('admin') }, ({ auth }) => auth.user?.id.toUpperCase() ?? null)
  // @ts-expect-error no level
  app.requireLevel('root')
  // @ts-expect-error no option
  await app.register(exchange.default, { issuer: 'https://api.example.com', keys: 'x', option: true })
  const { userId }: client.ClientUser = await client.createClient({ url: 'https://api.example.com' }).refresh()
  app.log.info(userId)
  const answer: exchange.TokenAnswer = app.tokenExchange.issue({ userId: 'somebody' })
  return answer.access_token
}
