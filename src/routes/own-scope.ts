import type { FastifyInstance } from 'fastify'
import { retryAfter } from '../guards/guards.js'
import { applyLogging } from '../options/logging.js'
import type { Server } from '../server.js'
import { authorizeRoutes } from './authorize.js'
import { parseBodiesStrictly } from './bodies.js'
import { eventRoutes, hasEvents } from './events.js'
import { nonceRoute } from './login.js'
import { revokeRoute, sessionRoutes } from './sessions.js'
import { followErrorHandler, type Dialect } from './standard-dialect.js'
import { answerOAuthErrors, tokenRoute } from './token.js'
import { wellKnownRoutes } from './well-known.js'

/** Puts the plugin's own routes into the application: those of its options, below its prefix. */
export async function mountRoutes (app: FastifyInstance, server: Server, dialect: Dialect): Promise<void> {
  const { options: { clients, prefix, providers } } = server
  await app.register(async scope => { wellKnownRoutes(scope, server) })
  await app.register(async scope => {
    prepareOwnScope(scope, server)
    await scope.register(async oauth => { oauthRoutes(oauth, server) })
    if (hasEvents(server)) await scope.register(async senders => { senderRoutes(senders, app, server) })
    if (clients.size > 0) await scope.register(async browsers => { browserRoutes(browsers, app, server) })
    dialect.renderErrors(scope, app)
    await dialect.routes(scope, server)
    sessionRoutes(scope, server)
    if (providers.size > 0) nonceRoute(scope, server)
  }, { prefix })
}

// Errors as Fastify has them, whatever the dialect of the other routes.
function browserRoutes (scope: FastifyInstance, app: FastifyInstance, server: Server): void {
  followErrorHandler(scope, app)
  authorizeRoutes(scope, server)
}

function senderRoutes (scope: FastifyInstance, app: FastifyInstance, server: Server): void {
  followErrorHandler(scope, app)
  eventRoutes(scope, server)
}

function oauthRoutes (scope: FastifyInstance, server: Server): void {
  answerOAuthErrors(scope)
  if (server.options.handsOutTokens) tokenRoute(scope, server)
  revokeRoute(scope, server)
}

/**
 * Makes a scope fit for the plugin's own routes: strict bodies, answers that nobody caches, and `Retry-After` with each
 * outage. As hooks of `onSend` they hold for errors too, whatever error handler of the application has rendered them.
 */
function prepareOwnScope (scope: FastifyInstance, { options, tokenKind, proofs, isClosing }: Server): void {
  const nonces = proofs?.nonces ?? null
  scope.addHook('onRoute', route => applyLogging(route, options.logging))
  parseBodiesStrictly(scope)
  scope.setReplySerializer(payload => JSON.stringify(payload))
  // Already here, too: where a hook of the application fails in onSend, ours after it does not run.
  scope.addHook('onRequest', (_request, reply, done) => {
    reply.header('cache-control', 'no-store')
    // RFC 9449, 8.2: with any answer; a client that has one needs no second attempt.
    if (nonces !== null) reply.header('dpop-nonce', nonces.current())
    done()
  })
  scope.addHook('onSend', (request, reply, _payload, done) => {
    reply.header('cache-control', 'no-store')
    // close() waits for a kept-alive connection until it has idled for 72 s, Fastify's keepAliveTimeout.
    if (isClosing() && request.raw.httpVersionMajor === 1) reply.header('connection', 'close')
    // RFC 9110, 15.5.2: a 401 names a scheme. No access token was presented here, so no error code (RFC 6750, 3.1).
    if (reply.statusCode === 401 && !reply.hasHeader('www-authenticate')) {
      reply.header('www-authenticate', tokenKind.bareChallenge)
    }
    if (reply.statusCode === 503 && !reply.hasHeader('retry-after')) reply.header('retry-after', retryAfter)
    done()
  })
}
