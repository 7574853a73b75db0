import Fastify from 'fastify'
import tokenExchange, { errors, type IdentityProvider } from 'fastify-token-exchange'
import { appCheck } from 'fastify-token-exchange/applications'
import { createClient } from 'fastify-token-exchange/client'
import { facebook } from 'fastify-token-exchange/providers'
import { memoryStore, type SessionStore } from 'fastify-token-exchange/stores'
import { startIdentityServer } from 'fastify-token-exchange/testing'

declare module 'fastify-token-exchange' {
  interface TokenExchangeTypes { permission: 'todo:read' | 'todo:write' }
}

export async function start (): Promise<void> {
  const idp = await startIdentityServer()
  const store: SessionStore = memoryStore()
  const own: IdentityProvider = {
    accepts: ['access_token'],
    verify: async () => { throw new errors.GrantRejectedError('nobody') }
  }
  const app = Fastify()
  await app.register(tokenExchange, {
    issuer: 'https://api.example.com',
    keys: process.env.SIGNING_SECRET,
    providers: { facebook: facebook(idp.facebook.options), own },
    applications: { mobile: appCheck(idp.appCheck.options) },
    dpop: 'refresh',
    sessions: { store }
  })
  app.get('/', { onRequest: app.requirePermission('todo:read') }, ({ auth }) => auth.user?.id.toUpperCase() ?? null)
  await createClient({ url: 'https://api.example.com' }).login('facebook', { access_token: '…' })
  // @ts-expect-error no permission of this application
  app.requirePermission('todo:reed')
}
