import type { FastifyReply, FastifyRequest } from 'fastify'
import { codeOf, errors } from '../errors.js'

/** Seconds until a client may try again after an outage. */
export const retryAfter = '5'

// RFC 6750, 3: every refusal names the scheme; 3.1: without an error code where no token was presented.
const challenges: ReadonlyMap<string | undefined, string> = new Map([
  ['AUTH_ERR_CREDENTIAL_MISSING', 'Bearer'],
  ['AUTH_ERR_REQUEST_INVALID', 'Bearer error="invalid_request"'],
  ['AUTH_ERR_TOKEN_INVALID', 'Bearer error="invalid_token"'],
  ['AUTH_ERR_TOKEN_EXPIRED', 'Bearer error="invalid_token"'],
  ['AUTH_ERR_TOKEN_REVOKED', 'Bearer error="invalid_token"'],
  ['AUTH_ERR_LEVEL_INSUFFICIENT', 'Bearer error="insufficient_scope"'],
  ['AUTH_ERR_PERMISSION_MISSING', 'Bearer error="insufficient_scope"']
])

/**
 * Puts the challenge of a refusal on the reply. Not on the error: an application's error handler drops
 * the headers of an error, and keeps those of the reply.
 */
export function challenge (reply: FastifyReply, refusal: unknown): void {
  const value = challenges.get(codeOf(refusal))
  if (value !== undefined) reply.header('www-authenticate', value)
  // RFC 9110, 10.2.3: this server has not heard of revocations for too long (`whenStale: 'refuse'`).
  if (codeOf(refusal) === errors.StoreUnavailableError.code) reply.header('retry-after', retryAfter)
}

/** Turns a caller away, who has the challenge already. */
export type TurnAway = (
  refusal: Error,
  request: FastifyRequest,
  reply: FastifyReply,
  done: (error: Error) => void
) => void

/** As an error, for whatever error handler the route has. */
export const turnAway: TurnAway = (refusal, _request, _reply, done) => done(refusal)
