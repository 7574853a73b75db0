import Fastify from 'fastify'
import tokenExchange, { errors, type IdentityProvider, type PermissionLookup } from 'fastify-token-exchange'
import { createClient, webStorage, type Client, type ClientUser } from 'fastify-token-exchange/client'
import { appCheck } from 'fastify-token-exchange/applications'
import { facebook } from 'fastify-token-exchange/providers'
import { memoryStore, type SessionStore } from 'fastify-token-exchange/stores'
import { startIdentityServer } from 'fastify-token-exchange/testing'

declare module 'fastify-token-exchange' {
  interface TokenExchangeTypes { permission: 'todo:read' | 'todo:write' }
}

const idp = await startIdentityServer()
const store: SessionStore = memoryStore()
const own: IdentityProvider = {
  accepts: ['access_token'],
  verify: async () => { throw new errors.GrantRejectedError('nobody') }
}
export const permissions: PermissionLookup = identity => ({ userId: identity.subject, permissions: ['todo:read'] })

const app = Fastify()
await app.register(tokenExchange, {
  issuer: 'https://api.example.com',
  keys: process.env.SIGNING_SECRET,
  providers: { facebook: facebook(idp.facebook.options), own },
  permissions,
  applications: { mobile: appCheck(idp.appCheck.options) },
  dpop: { mode: 'all', nonce: 'always' },
  sessions: { store }
})
app.get('/', { onRequest: app.requirePermission('todo:read') }, ({ auth }) => auth.user?.id.toUpperCase() ?? null)
// @ts-expect-error no permission of this application
app.requirePermission('todo:reed')
// @ts-expect-error no option
await app.register(tokenExchange, { issuer: 'https://api.example.com', keys: 'x', option: true })

const client: Client = createClient({ url: 'https://api.example.com', fetch })
const user: ClientUser | null = client.user
export const isAdmin: boolean = user?.level === 'admin'
export const answer: Promise<Response> = client.fetch('/todos', { method: 'POST' })
export const storage = webStorage({ getItem: () => null, setItem () {}, removeItem () {} })
// @ts-expect-error no scope
await client.logout({ scope: 'none' })
