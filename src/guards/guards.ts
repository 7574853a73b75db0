import type { FastifyReply, FastifyRequest } from 'fastify'
import { codeOf, errors } from '../errors.js'
import { integer, list, oneOf, open, refused, text, type Reader } from '../options/values.js'
import { levels, type Level, type Permission } from '../permissions/permissions.js'
import type { User } from '../tokens/claims.js'
import type { Authenticator } from './authenticate.js'
import type { CredentialKinds } from './credentials.js'
import { decisionOf, type Auth, type RecentLogin, type Requirement } from './decide.js'

/** Where a guard leaves the caller for `request.auth`; null or absent on a route that no guard protects. */
export const kAuth: unique symbol = Symbol('fastify-token-exchange.auth')

/** Marks, in a route's `config`, the plugin's own routes: `defaultLevel` leaves them alone. */
export const kOwnRoute: unique symbol = Symbol('fastify-token-exchange.own-route')

/** What a guard asks for, on the hook itself. */
const kRequirement: unique symbol = Symbol('fastify-token-exchange.requirement')

/** Seconds until a client may try again after an outage. */
export const retryAfter = '5'

/** Fastify's hook types each hold for one kind of server and one type provider; requests of all of them are these. */
interface AnyHook {
  onRequest(request: Pick<FastifyRequest, 'id'>, reply: Pick<FastifyReply, 'sent'>, done: (error?: Error) => void): void
}

/** An `onRequest` hook for routes of every kind: HTTP/2 or not, with whatever type provider and schema. */
export type Guard = AnyHook['onRequest']

/** The guards that an application puts on its routes; each makes an `onRequest` hook. */
export interface Guards {
  /** @throws errors.OptionInvalidError where the route is declared, for an unknown level */
  requireLevel (level: Level): Guard
  /** All of these. @throws errors.OptionInvalidError without a name */
  requirePermission (...permissions: Permission[]): Guard
  /** At least one of these. @throws errors.OptionInvalidError without a name */
  requireAnyPermission (...permissions: Permission[]): Guard
  /** A user's token: a master key alone does not do. */
  requireUser (): Guard
  /**
   * A user who has logged in at the provider lately, and in one of these ways; a master key passes. Else 401, with what
   * would do in its challenge (RFC 9470).
   *
   * @throws errors.OptionInvalidError where the route is declared
   */
  requireRecentLogin (login: RecentLogin): Guard
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

export interface GuardParts {
  authenticator: Authenticator
  kinds: CredentialKinds
  turnAway: TurnAway
}

/** Makes the hook that lets those pass who have what is required. */
export type MakeGuard = (requirement: Requirement) => Guard

// Synchronous from end to end: a promise per request would cost more than all the rest of it.
export function createGuardMaker ({ authenticator, kinds, turnAway }: GuardParts): MakeGuard {
  return requirement => {
    const decide = decisionOf(requirement)
    const loginWanted = loginParameters(requirement)

    function tokenExchangeGuard (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void): void {
      if (isPreflight(request)) return done()
      try {
        const auth = request[kAuth] ?? authenticator.authenticate(request)
        // Before the decision: an application's error handler or audit log may ask who was refused.
        request[kAuth] = auth
        const Refusal = decide(auth)
        if (Refusal !== null) throw new Refusal()
      } catch (refusal) {
        prepareRefusal(reply, codeOf(refusal), loginWanted)
        return turnAway(toError(refusal), request, reply, done)
      }
      done()
    }

    return Object.assign(tokenExchangeGuard, { [kRequirement]: Object.freeze({ ...requirement }) })
  }

  // On the reply, not on the error: an application's error handler drops the headers of an error, and keeps those.
  function prepareRefusal (reply: FastifyReply, code: string | undefined, loginWanted: string): void {
    const value = kinds.token.challenge(code)
    const more = code === errors.LoginRequiredError.code ? loginWanted : ''
    if (value !== undefined) reply.header('www-authenticate', `${value}${more}`)
    // RFC 9110, 10.2.3: this server has not heard of revocations for too long (`whenStale: 'refuse'`).
    if (code === errors.StoreUnavailableError.code) reply.header('retry-after', retryAfter)
  }
}

/** RFC 9470, 3: what a client asks the provider for, to be let in. */
function loginParameters ({ recentLogin }: Requirement): string {
  if (recentLogin === undefined) return ''
  const { maxAge, acr } = recentLogin
  return `, max_age="${maxAge}"${acr === undefined ? '' : `, acr_values="${acr.join(' ')}"`}`
}

function toError (thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error('tokenFrom threw what is no error', { cause: thrown })
}

/** What a hook asks for; null for one that is no guard. */
export function requirementOf (hook: unknown): Requirement | null {
  return isGuard(hook) ? hook[kRequirement] : null
}

function isGuard (hook: unknown): hook is Guard & { [kRequirement]: Requirement } {
  return typeof hook === 'function' && kRequirement in hook
}

export function createGuards (make: MakeGuard): Guards {
  const permissionNames = list(text)
  return {
    requireLevel: level => make({ level: oneOf(...levels)(level, 'requireLevel') }),
    requirePermission: (...names) => make({ permissions: permissionNames(names, 'requirePermission') }),
    requireAnyPermission: (...names) => make({ anyPermission: permissionNames(names, 'requireAnyPermission') }),
    // Put on a route without being called, it would be called for each request, and never answer.
    requireUser: (...given: unknown[]) => {
      if (given.length > 0) {
        throw refused('requireUser', 'takes nothing: write requireUser(), with brackets, on the route')
      }
      return make({ user: true })
    },
    requireRecentLogin: login => make({ recentLogin: readRecentLogin(login, 'requireRecentLogin') })
  }
}

const readRecentLogin: Reader<RecentLogin> = (value, path) => {
  const given = open(value, path, ['maxAge', 'acr'])
  return Object.freeze({
    maxAge: given.read('maxAge', integer(1, Number.MAX_SAFE_INTEGER)),
    ...(given.has('acr') && { acr: given.read('acr', list(acrValue)) })
  })
}

// They stand in a header, with blanks between (RFC 6749, 3.3: what a word there is made of).
const acrValue: Reader<string> = (value, path) => {
  if (typeof value !== 'string' || !/^[!#-[\]-~]+$/.test(value)) {
    throw refused(path, 'must be visible ASCII without blanks, quotation marks and backslashes')
  }
  return value
}

/** What `request.auth` answers. @throws errors.NotGuardedError where no guard ran: never silently empty */
export function readAuth (request: FastifyRequest): Auth {
  const auth = request[kAuth]
  if (auth == null) throw new errors.NotGuardedError()
  return auth
}

/** The user of a guarded request. @throws errors.CredentialMissingError where there is none */
export function userOf (request: FastifyRequest): User {
  const { user } = readAuth(request)
  if (user === null) throw new errors.CredentialMissingError()
  return user
}

// Fetch standard, CORS-preflight request: a browser sends it without credentials. Only where nothing but OPTIONS can be
// meant: a route for several methods would otherwise run its handler for anybody who asks with OPTIONS.
function isPreflight (request: FastifyRequest): boolean {
  if (request.method !== 'OPTIONS') return false
  const { origin, 'access-control-request-method': method } = request.headers
  return origin !== undefined && method !== undefined && !(Array.isArray(request.routeOptions.method))
}
