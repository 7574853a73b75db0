import type { FastifyError, FastifyInstance } from 'fastify'
import { retryAfter } from '../guards/refuse.js'
import { applyLogging, type RouteLogging } from '../logging.js'
import { parseBodiesStrictly } from './bodies.js'

export interface OwnRouteParts {
  /** Whether the server has begun to close. */
  isClosing: () => boolean
  logging: RouteLogging
}

/**
 * Makes a scope fit for the plugin's own routes: strict bodies, answers that nobody caches, and `Retry-After` with each
 * outage. As hooks of `onSend` they hold for errors too, whatever error handler of the application has rendered them.
 */
export function prepareOwnRoutes (scope: FastifyInstance, { isClosing, logging }: OwnRouteParts): void {
  scope.addHook('onRoute', route => applyLogging(route, logging))
  parseBodiesStrictly(scope)
  scope.setReplySerializer(payload => JSON.stringify(payload))
  // Already here, too: where a hook of the application fails in onSend, ours after it does not run.
  scope.addHook('onRequest', (_request, reply, done) => {
    reply.header('cache-control', 'no-store')
    done()
  })
  scope.addHook('onSend', (request, reply, _payload, done) => {
    reply.header('cache-control', 'no-store')
    // close() waits for a kept-alive connection until it has idled for 72 s, Fastify's keepAliveTimeout.
    if (isClosing() && request.raw.httpVersionMajor === 1) reply.header('connection', 'close')
    // RFC 9110, 15.5.2: a 401 names a scheme. No access token was presented here, so no error code (RFC 6750, 3.1).
    if (reply.statusCode === 401 && !reply.hasHeader('www-authenticate')) reply.header('www-authenticate', 'Bearer')
    if (reply.statusCode === 503 && !reply.hasHeader('retry-after')) reply.header('retry-after', retryAfter)
    done()
  })
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
