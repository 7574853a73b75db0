import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import { azureDialect } from './azure/dialect.js'
import { errors } from './errors.js'
import type { Auth } from './guards/decide.js'
import type { Guards } from './guards/declaring.js'
import type { kOwnRoute } from './guards/guards.js'
import { kAuth, kChallenge, readAuth } from './guards/request-auth.js'
import { addDefaultGuard, guardDeclaredRoutes, type RouteGuards } from './guards/route-guards.js'
import { documentRoutes } from './openapi/document.js'
import { resolveOptions, type TokenExchangeOptions } from './plugin-options.js'
import { createAppApi, type TokenExchange } from './routes/app-api.js'
import { mountRoutes } from './routes/own-scope.js'
import { standardDialect } from './routes/standard-dialect.js'
import { createServer, type Server } from './server.js'

declare module 'fastify' {
  interface FastifyInstance extends Guards {
    /** Access tokens outside of the plugin's own routes. */
    readonly tokenExchange: TokenExchange
  }

  interface FastifyRequest {
    /** Who calls. @throws errors.NotGuardedError on a route that no guard protects */
    readonly auth: Auth
    [kAuth]: Auth | null
  }

  interface FastifyContextConfig {
    [kOwnRoute]?: true
    /** Guards of the route. */
    tokenExchange?: RouteGuards
  }
}

const plugin: FastifyPluginAsync<TokenExchangeOptions> = async (app, given) => {
  refuseSecond(app)
  const options = await resolveOptions(given)
  const { azureMobileServices: destinations } = options
  const dialect = destinations === null ? standardDialect : azureDialect(destinations)
  const server = await createServer(app, options, dialect)
  decorate(app, server)
  await documentRoutes(app, server, dialect)
  await mountRoutes(app, server, dialect)
}

function refuseSecond (app: FastifyInstance): void {
  if (!app.hasDecorator('tokenExchange')) return
  throw new errors.OptionInvalidError(
    'the plugin is registered already, here or in a scope above: register it once, or in scopes beside each other'
  )
}

function decorate (app: FastifyInstance, server: Server): void {
  const { guards, makeGuard, options } = server
  app.decorateRequest(kAuth, null)
  app.decorate(kChallenge, server.tokenKind.bareChallenge)
  app.decorateRequest('auth', { getter () { return readAuth(this) } })
  app.decorate('requireLevel', guards.requireLevel)
  app.decorate('requirePermission', guards.requirePermission)
  app.decorate('requireAnyPermission', guards.requireAnyPermission)
  app.decorate('requireUser', guards.requireUser)
  app.decorate('requireRecentLogin', guards.requireRecentLogin)
  app.decorate('requireAccess', guards.requireAccess)
  app.decorate('tokenExchange', createAppApi(server))
  guardDeclaredRoutes(app, guards, makeGuard)
  if (options.defaultLevel !== null) addDefaultGuard(app, makeGuard, options.defaultLevel)
}

/**
 * The plugin: `await app.register(tokenExchange, options)`.
 *
 * @example
 * ```ts
 * await app.register(tokenExchange, { issuer: 'https://api.example.com', keys: process.env.SIGNING_SECRET })
 * ```
 */
export const tokenExchange = fp(plugin, { name: 'fastify-token-exchange', fastify: '5.x' })
