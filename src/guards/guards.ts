import type { FastifyInstance, FastifyReply, FastifyRequest, preParsingHookHandler } from 'fastify'
import { errors } from '../errors.js'
import { isLevel, levels, type Level } from '../permissions/level.js'
import type { Permission } from '../permissions/permissions.js'
import type { User } from '../tokens/claims.js'
import type { Authenticator } from './authenticate.js'
import type { Credentials } from './credentials.js'
import {
  anyPermissionRequirement, levelRequirement, permissionRequirement, userRequirement, type Auth, type Requirement
} from './decide.js'
import { challenge, type TurnAway } from './refuse.js'

/** Where a guard leaves the caller for `request.auth`; null or absent on a route that no guard protects. */
export const kAuth: unique symbol = Symbol('fastify-token-exchange.auth')

/** Marks, in a route's `config`, the plugin's own routes: `defaultLevel` leaves them alone. */
export const kOwnRoute: unique symbol = Symbol('fastify-token-exchange.own-route')

/** Fastify's own hook types each hold for one kind of server and one type provider; requests of all of them are these. */
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
}

export interface GuardParts {
  authenticator: Authenticator
  readCredentials: (rawHeaders: readonly string[]) => Credentials
  turnAway: TurnAway
}

export function createGuards (parts: GuardParts): Guards {
  return {
    requireLevel: level => guard(levelRequirement(checkedLevel(level)), parts),
    requirePermission: (...permissions) => guard(permissionRequirement(checkedNames(permissions)), parts),
    requireAnyPermission: (...permissions) => guard(anyPermissionRequirement(checkedNames(permissions)), parts),
    requireUser: () => guard(userRequirement, parts)
  }
}

// Synchronous from end to end: a promise per request would cost more than all the rest of it.
function guard (requirement: Requirement, { authenticator, readCredentials, turnAway }: GuardParts): Guard {
  return function tokenExchangeGuard (
    request: FastifyRequest,
    reply: FastifyReply,
    done: (error?: Error) => void
  ): void {
    if (isPreflight(request)) return done()
    try {
      const auth = request[kAuth] ?? authenticator.authenticate(readCredentials(request.raw.rawHeaders))
      // Before the decision: an application's error handler or audit log may ask who was refused.
      request[kAuth] = auth
      const Refusal = requirement(auth)
      if (Refusal !== null) throw new Refusal()
    } catch (refusal) {
      challenge(reply, refusal)
      return turnAway(toError(refusal), request, reply, done)
    }
    done()
  }
}

function toError (refusal: unknown): Error {
  return refusal instanceof Error ? refusal : new errors.TokenInvalidError(undefined, { cause: refusal })
}

/**
 * Guards every route that no guard of its own has looked at.
 *
 * It runs in `preParsing`: after all `onRequest` hooks, of whatever scope, so that it sees whether one of them was a
 * guard, and before the body is read. As a hook of the root it reaches routes declared before and after.
 */
export function defaultGuard ({ requireLevel }: Guards, level: Level): preParsingHookHandler {
  const hook = requireLevel(level)
  return function tokenExchangeDefaultGuard (request, reply, _payload, done) {
    if (request[kAuth] != null || request.is404 || request.routeOptions.config[kOwnRoute] === true) return done()
    hook(request, reply, done)
  }
}

/** Puts it on the whole application. @throws errors.OptionInvalidError in another scope than the root */
export function addDefaultGuard (app: FastifyInstance, guards: Guards, level: Level): void {
  if (!isRoot(app)) {
    throw new errors.OptionInvalidError(
      'defaultLevel guards the whole application: register the plugin in the root scope, or inside of a plugin of your ' +
      'own that fastify-plugin wraps'
    )
  }
  app.addHook('preParsing', defaultGuard(guards, level))
}

// An encapsulated scope inherits from its parent; only the root inherits from nothing of Fastify's.
function isRoot (app: FastifyInstance): boolean {
  return Object.getPrototypeOf(app) === Object.prototype
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

function checkedLevel (level: unknown): Level {
  if (!isLevel(level)) throw new errors.OptionInvalidError(`requireLevel takes one of ${levels.join(', ')}`)
  return level
}

function checkedNames (names: readonly unknown[]): readonly string[] {
  if (names.length === 0) throw new errors.OptionInvalidError('a permission guard takes at least one permission')
  return names.map(name => {
    if (typeof name !== 'string' || name === '') {
      throw new errors.OptionInvalidError('a permission is a non-empty string')
    }
    return name
  })
}
