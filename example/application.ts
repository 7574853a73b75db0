import rateLimit from '@fastify/rate-limit'
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import Fastify, { type FastifyInstance } from 'fastify'
import tokenExchange, { type TokenExchangeOptions } from 'fastify-token-exchange'
import { apple, facebook, github, google, introspection, microsoft, oidc } from 'fastify-token-exchange/providers'
import { startIdentityServer, type IdentityServer } from 'fastify-token-exchange/testing'
import { openDatabase, permissionsOf, type Database } from './database.js'
import { openSessionStore } from './session-store.js'
import { giveUp, type Settings } from './settings.js'

export interface Application {
  readonly app: FastifyInstance
  readonly idp: IdentityServer
  readonly database: Database
  /** Where sessions live. */
  readonly sessions: string
}

/** Every provider, users in a database, four guarded routes. @param more what one program has beyond the other */
export async function createApplication (
  settings: Settings,
  more: Partial<TokenExchangeOptions>
): Promise<Application> {
  const database = await openDatabase(settings.databaseUrl, settings.pgliteDirectory).catch(giveUp)
  const sessions = openSessionStore(settings.redisUrl, settings.databaseUrl === undefined ? undefined : database)
  // Stands in for the providers' own servers. In production: `facebook({ appId, appSecret })` and so on.
  const idp = await startIdentityServer()

  const app = Fastify({
    logger: { level: settings.logLevel },
    // A client that sends half of a body is not waited for longer than this.
    requestTimeout: 10_000,
    // What a page listens to never ends by itself, and Ctrl-C is not to wait for it.
    forceCloseConnections: true
  })
  // Declared before the plugin, and so called after it: what it has still to write finds its store.
  app.addHook('onClose', async () => {
    await idp.close()
    await sessions.close()
    await database.close()
  })
  // By address; the plugin's own routes ask for it with `rateLimit`.
  await app.register(rateLimit, { global: false })
  // Before the plugin too, so that it hears of the plugin's routes.
  await app.register(swagger, { openapi: { info: { title: 'fastify-token-exchange: the example', version: '1.0.0' } } })
  await app.register(tokenExchange, {
    issuer: settings.issuer,
    keys: settings.signingSecret,
    providers: {
      facebook: facebook({ ...idp.facebook.options, redirect: {} }),
      google: google({ ...idp.google.options, redirect: { clientSecret: idp.google.clientSecret } }),
      apple: apple({ ...idp.apple.options, redirect: {} }),
      microsoft: microsoft({ ...idp.microsoft.options, redirect: { clientSecret: idp.microsoft.clientSecret } }),
      github: github({ ...idp.github.options, redirect: {} }),
      oidc: oidc({ ...idp.oidc.options, redirect: {} }),
      introspection: introspection(idp.introspection.options)
    },
    permissions: identity => permissionsOf(database, identity),
    applicationKeys: { example: settings.applicationKey },
    masterKeys: { operations: settings.masterKey },
    sessions: { store: sessions.store },
    // Who forgets a guard has written a route for users. The documentation is for everyone.
    defaultLevel: { level: 'authenticated', except: ['/documentation', '/documentation/*'] },
    rateLimit: { max: 120, timeWindow: '1 minute' },
    ...(settings.origins.length > 0 && { cors: { origins: [...settings.origins] } }),
    ...more
  })
  await app.register(swaggerUi, { routePrefix: '/documentation' })
  guardedRoutes(app)
  return { app, idp, database, sessions: sessions.name }
}

/** One route of each level. */
function guardedRoutes (app: FastifyInstance): void {
  app.get('/api/everyone', { onRequest: app.requireLevel('everyone') }, () => ({ message: 'Hello, everyone' }))
  app.get('/api/app', { onRequest: app.requireLevel('application') }, ({ auth }) => ({
    message: `Hello, application ${auth.application ?? auth.master}`
  }))
  app.get('/api/auth', { onRequest: app.requireLevel('authenticated') }, ({ auth }) => ({
    message: `Hello, user ${auth.user?.id ?? auth.master}`
  }))
  app.get('/api/admin', { onRequest: app.requireLevel('admin') }, ({ auth }) => ({
    message: `Hello, administrator ${auth.user?.id ?? auth.master}`
  }))
}

/** Listens until Ctrl-C, or whoever else asks the program to end. */
export async function serve (app: FastifyInstance, { address: { host, port } }: Settings): Promise<void> {
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close(() => {}))
  await app.listen({ port, host })
}
