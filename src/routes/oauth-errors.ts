import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { codeOf, errors } from '../errors.js'

/** RFC 6749, 5.2: by our code. Whatever else there is, is told apart by its status. */
const grantErrors: ReadonlySet<string | undefined> = new Set([
  errors.RefreshInvalidError.code,
  errors.RefreshReusedError.code,
  errors.SessionExpiredError.code,
  errors.SessionRevokedError.code,
  errors.AccessDeniedError.code
])

/** A grant type that this server does not know, or not without sessions. */
export class UnsupportedGrantType extends errors.RequestInvalidError {}

/**
 * The errors of a scope as RFC 6749, 5.2 writes them. The application's error handler does not see them: clients of
 * OAuth read these members and no others.
 */
export function answerOAuthErrors (scope: FastifyInstance): void {
  scope.setErrorHandler<FastifyError>((error, request, reply) => answer(error, request, reply))
}

function answer (error: FastifyError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const status = statusOf(error)
  if (status >= 500) request.log.error({ err: error }, 'the request failed')
  else request.log.info({ err: error }, 'the request was refused')
  return reply
    .code(status)
    .type('application/json; charset=utf-8')
    .send({ error: nameOf(error, status), error_description: describe(error), code: codeOf(error) })
}

// A refused subject token and an unknown issuer are invalid_request (RFC 8693, 2.2.2), a denied user invalid_grant: all 400.
function statusOf (error: FastifyError): number {
  if (isOurs(error)) return error.statusCode === 503 ? 503 : 400
  const status = error.statusCode ?? 503
  return status >= 400 && status < 500 ? status : 503
}

function nameOf (error: FastifyError, status: number): string {
  if (error instanceof UnsupportedGrantType) return 'unsupported_grant_type'
  if (grantErrors.has(codeOf(error))) return 'invalid_grant'
  return status === 503 || status === 429 ? 'temporarily_unavailable' : 'invalid_request'
}

// Messages of others may quote the client, in characters that 5.2 does not allow.
function describe (error: FastifyError): string {
  return isOurs(error) ? error.message : 'The request cannot be answered'
}

function isOurs (error: FastifyError): boolean {
  return codeOf(error)?.startsWith('AUTH_ERR_') === true
}
