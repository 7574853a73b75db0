import type { FastifyError, FastifyInstance } from 'fastify'
import { corsPolicy } from '../guards/cors.js'
import { turnAway } from '../guards/guards.js'
import type { GuardDialect, Server } from '../server.js'
import { loginRoute } from './login.js'
import { refusals } from './operation.js'
import { loginOperations, type DocumentedDialect } from './operations.js'

/** What differs between the clients that a server can talk to. */
export interface Dialect extends GuardDialect, DocumentedDialect {
  /** How errors of the plugin's own routes are rendered: `scope` is theirs, `app` the application's. */
  renderErrors (scope: FastifyInstance, app: FastifyInstance): void
  /** Logins, and what else these clients ask for, in a scope that is fit for own routes. */
  routes (scope: FastifyInstance, server: Server): void | Promise<void>
}

/** The one of the contract: Fastify's errors, and `POST /login/:provider`. */
export const standardDialect: Dialect = {
  prepare () {},
  cors: corsPolicy,
  turnAway,
  renderErrors: followErrorHandler,
  routes (scope, server) {
    if (server.options.providers.size > 0) loginRoute(scope, server)
  },
  operations: loginOperations,
  refusals
}

/**
 * Hands the errors of this scope to the error handler that the application has by then. It may be set after
 * `await app.register(…)`, when this scope has long inherited the one of before.
 */
export function followErrorHandler (scope: FastifyInstance, app: FastifyInstance): void {
  const inherited = scope.errorHandler
  scope.setErrorHandler<FastifyError>((error, request, reply) => {
    const latest = app.errorHandler
    // On to the inherited one, as if this were not here.
    if (latest === inherited && error instanceof Error) throw error
    return latest(error, request, reply)
  })
}
