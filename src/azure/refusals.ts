import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { codeOf, errors, isOurs, reasonOf, TokenExchangeError } from '../errors.js'
import type { TurnAway } from '../guards/guards.js'

/** A session that has ended, found where a client shows an access token of it. */
const ended: ReadonlySet<string> = new Set([
  errors.SessionExpiredError.code,
  errors.SessionRevokedError.code,
  errors.RefreshInvalidError.code
])

/** Clients of the original take 401, and nothing else, for a refusal. The code still tells the reason. */
function asRefusal<Thrown> (thrown: Thrown): Thrown | TokenExchangeError {
  const code = codeOf(thrown)
  if (!(thrown instanceof Error) || code === undefined || !isOurs(thrown)) return thrown
  if (![403, 404, 409].includes(statusOf(thrown)) && !ended.has(code)) return thrown
  return new TokenExchangeError(code, 401, thrown.message, reasonOf(thrown), { cause: thrown })
}

/** Hands on the errors of the scope, refusals as 401. */
export function refuseWith401 (scope: FastifyInstance): void {
  scope.setErrorHandler(thrown => {
    throw asRefusal(thrown)
  })
}

/**
 * How guards turn callers away: in the dialect's own form where an error would be rendered by Fastify, as an error
 * where the application renders errors itself.
 */
export const turnAway: TurnAway = (refusal, request, reply, done) => {
  const error = asRefusal(refusal)
  const isRenderedElsewhere =
    hasErrorHandler(request.server) || Reflect.get(request.routeOptions.config, kErrorHandler) === true
  if (isRenderedElsewhere) return done(error)
  sendError(error, request, reply)
}

/** Renders errors of this scope in the dialect, unless `app` has an error handler by then. */
export function renderErrors (scope: FastifyInstance, app: FastifyInstance): void {
  // Inherited, and asked as always.
  if (hasErrorHandler(scope)) return
  scope.setErrorHandler((error, request, reply) => {
    // It may be set after this scope was made, which has inherited Fastify's.
    if (hasErrorHandler(app)) return app.errorHandler(toError(error), request, reply)
    sendError(error, request, reply)
  })
}

const kErrorHandler = Symbol('fastify-token-exchange.route-error-handler')

/** A route may have an error handler of its own; requests do not show it. */
export function noteErrorHandlers (app: FastifyInstance): void {
  app.addHook('onRoute', route => {
    if (route.errorHandler !== undefined) route.config = Object.assign({}, route.config, { [kErrorHandler]: true })
  })
}

// Fastify binds every handler that it is given to its scope, and so names it; its own is left as it is.
function hasErrorHandler (scope: FastifyInstance): boolean {
  return scope.errorHandler.name.startsWith('bound ')
}

/** `{ "code": 401, "error": "Error: …" }` of Azure Mobile Services. As bytes, whatever the route's serializer. */
function sendError (error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const status = reply.statusCode >= 400 ? reply.statusCode : statusOf(error)
  if (status >= 500) request.log.error({ err: error }, messageOf(error, status))
  else request.log.info({ err: error }, messageOf(error, status))
  const body = { code: status, error: textOf(error, status), errorCode: codeOf(error) }
  reply.code(status).type('application/json; charset=utf-8').send(Buffer.from(JSON.stringify(body)))
}

/** What a client shows to its user. */
export function textOf (error: unknown, status = statusOf(error)): string {
  return `Error: ${messageOf(error, status)}.`
}

function statusOf (error: unknown): number {
  const status: unknown = typeof error === 'object' && error !== null ? Reflect.get(error, 'statusCode') : undefined
  return typeof status === 'number' && Number.isInteger(status) && status >= 400 && status < 600 ? status : 500
}

// Our own messages are fit for anybody; what else may break in here is not told.
function messageOf (error: unknown, status: number): string {
  const message: unknown = typeof error === 'object' && error !== null ? Reflect.get(error, 'message') : undefined
  const isFit = status < 500 || isOurs(error)
  return isFit && typeof message === 'string' && message !== '' ? message.replace(/\.$/, '') : 'Internal Server Error'
}

function toError (thrown: unknown): Error {
  return thrown instanceof Error
    ? thrown
    : Object.assign(new Error(messageOf(thrown, 500)), { statusCode: statusOf(thrown) })
}
