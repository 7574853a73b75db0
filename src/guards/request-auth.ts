import type { FastifyRequest } from 'fastify'
import { errors } from '../errors.js'
import type { User } from '../permissions/user.js'
import type { Auth } from './decide.js'

/** Where a guard leaves the caller for `request.auth`; null or absent on a route that no guard protects. */
export const kAuth: unique symbol = Symbol('fastify-token-exchange.auth')

/** Where the plugin leaves, on the application, what a 401 says to who presented nothing. */
export const kChallenge: unique symbol = Symbol('fastify-token-exchange.challenge')

/** What `request.auth` answers. @throws errors.NotGuardedError where no guard ran: never silently empty */
export function readAuth (request: FastifyRequest): Auth {
  const auth = request[kAuth]
  if (auth == null) throw new errors.NotGuardedError()
  return auth
}

/**
 * The user of a guarded request, for handlers.
 *
 * @example
 * ```ts
 * app.get('/me', { onRequest: app.requireUser() }, request => ({ id: userOf(request).id }))
 * ```
 * @throws errors.CredentialMissingError where there is none: a master key alone, or an application's
 * @throws errors.NotGuardedError as `request.auth`
 */
export function userOf (request: Pick<FastifyRequest, 'auth'>): User {
  const { auth: { user } } = request
  if (user !== null) return user
  // RFC 9110, 15.5.2. Only on the error: a handler has no guard's reply.
  const headers = { 'www-authenticate': bareChallengeOf(request) }
  throw Object.assign(new errors.CredentialMissingError(), { headers })
}

/** What the server of a request answers where no credential was presented. */
function bareChallengeOf (request: object): string {
  const server: unknown = Reflect.get(request, 'server')
  const challenge: unknown = typeof server === 'object' && server !== null ? Reflect.get(server, kChallenge) : undefined
  return typeof challenge === 'string' ? challenge : 'Bearer'
}
