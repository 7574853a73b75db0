import type { FastifyReply, FastifyRequest } from 'fastify'
import { codeOf, errors, TokenExchangeError } from '../errors.js'
import type { Events } from '../events.js'
import type { User } from '../permissions/user.js'
import { isPromise, type AccessDecision } from './access.js'
import type { Attestations } from './attestations.js'
import type { Authenticator } from './authenticate.js'
import type { CredentialKinds } from './credentials.js'
import {
  decisionOf, type AccessCheck, type Auth, type GuardedRequest, type Refusal, type Requirement
} from './decide.js'
import { kAuth, readAuth } from './request-auth.js'

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
  events: Events
  turnAway: TurnAway
  access (check: AccessCheck): AccessDecision
  /** Null where applications prove nothing. */
  attestations: Attestations | null
}

/** Makes the hook that lets those pass who have what is required. */
export type MakeGuard = (requirement: Requirement) => Guard

type Done = (error?: Error) => void

// Synchronous from end to end: a promise per request would cost more than all the rest of it.
export function createGuardMaker (parts: GuardParts): MakeGuard {
  const { authenticator, kinds, events, turnAway, access, attestations } = parts
  return requirement => {
    const decide = decisionOf(requirement)
    const loginWanted = loginParameters(requirement)

    function tokenExchangeGuard (request: GuardedRequest, reply: FastifyReply, done: Done): void {
      if (isPreflight(request)) return done()
      try {
        const auth = request[kAuth] ?? authenticator.authenticate(request)
        // Before the decision: an application's error handler or audit log may ask who was refused.
        request[kAuth] = auth
        const Refusal = decide(auth, request)
        if (Refusal !== null) throw refusalOf(Refusal, auth, request)
      } catch (refusal) {
        return refuse(refusal, request, reply, done)
      }
      done()
    }

    // Who lacks the level of an application, and has sent what nobody can judge at the moment, may have it.
    function refusalOf (Refusal: Refusal, { application, master }: Auth, request: GuardedRequest): Error {
      const isLacking = requirement.level === 'application' && application === null && master === null
      const isUnknown = isLacking && attestations !== null && attestations.isUnknown(request)
      return isUnknown ? new errors.ProviderUnavailableError('an attestation') : new Refusal()
    }

    const refuse: Refuse = (thrown, request, reply, done, as = codeOf(thrown)) => {
      prepareRefusal(thrown, request, reply, as, loginWanted)
      if (events.isHeard()) tell(thrown, request)
      turnAway(toError(thrown), request, reply, done)
    }

    const guard = attestations === null ? tokenExchangeGuard : onceSettled(tokenExchangeGuard, attestations)
    const hook = requirement.access === undefined ? guard : thenAsking(guard, access(requirement.access), refuse)
    return Object.assign(hook, { [kRequirement]: Object.freeze({ ...requirement }) })
  }

  // Not of a request that is malformed, nor of what is the application's fault or the store's.
  function tell (refusal: unknown, request: GuardedRequest): void {
    const isOfCaller = refusal instanceof TokenExchangeError && [401, 403].includes(refusal.statusCode)
    if (!isOfCaller) return
    const user = request[kAuth]?.user
    events.publish({ type: 'access.refused', code: refusal.code, ...(user != null && factsOf(user)) }, request)
  }

  // On the reply, not on the error: an application's error handler drops the headers of an error, and keeps those.
  function prepareRefusal (
    thrown: unknown,
    request: GuardedRequest,
    reply: FastifyReply,
    code: string | undefined,
    loginWanted: string
  ): void {
    const { headers: { authorization }, [kAuth]: auth } = request
    const value = kinds.token.challenge(code, { thrown, authorization, isUser: auth?.user != null })
    const more = code === errors.LoginRequiredError.code ? loginWanted : ''
    if (value !== undefined) reply.header('www-authenticate', `${value}${more}`)
    if (code !== undefined && outages.has(code)) reply.header('retry-after', retryAfter)
  }
}

/**
 * RFC 9110, 10.2.3: this server has not heard of revocations for too long (`whenStale: 'refuse'`), or the application
 * has not answered, or nobody can tell whether a proof has come before.
 */
const outages: ReadonlySet<string> = new Set([
  errors.StoreUnavailableError.code, errors.LookupFailedError.code, errors.OverloadedError.code,
  errors.ProviderUnavailableError.code
])

type Hook = (request: GuardedRequest, reply: FastifyReply, done: Done) => void
/** @param as the code whose challenge it is, where that is not its own */
type Refuse = (thrown: unknown, request: GuardedRequest, reply: FastifyReply, done: Done, as?: string) => void

/** A guard that waits where an application sends an attestation that has not been seen before. */
function onceSettled (guard: Hook, attestations: Attestations): Hook {
  return function tokenExchangeAttestedGuard (request, reply, done) {
    const isJudged = request[kAuth] != null || isPreflight(request)
    const settling = isJudged ? undefined : attestations.settle(request)
    if (settling === undefined) guard(request, reply, done)
    else settling.then(() => guard(request, reply, done), done)
  }
}

/** A guard that asks the application too, of a caller whom the guard before has let pass. */
function thenAsking (guard: Hook, decide: AccessDecision, refuse: Refuse): Hook {
  return function tokenExchangeAccessGuard (request, reply, done) {
    const settle = (Refusal: Refusal | null): void => {
      if (Refusal === null) return done()
      const refusal = new Refusal()
      // RFC 6750, 3.1. Not by its own code: what the application throws under that name is no refusal of a guard's.
      refuse(refusal, request, reply, done, refusal.statusCode === 403 ? errors.PermissionMissingError.code : undefined)
    }

    guard(request, reply, refusal => {
      if (refusal !== undefined || isPreflight(request)) return done(refusal)
      let decision: ReturnType<AccessDecision>
      try {
        decision = decide(readAuth(request), request)
      } catch (thrown) {
        return refuse(thrown, request, reply, done)
      }
      if (isPromise(decision)) decision.then(settle, thrown => refuse(thrown, request, reply, done))
      else settle(decision)
    })
  }
}

function factsOf ({ id, provider, subject, sessionId }: User) {
  return {
    userId: id,
    ...(provider !== null && { provider }),
    ...(subject !== null && { subject }),
    ...(sessionId !== null && { sessionId })
  }
}

/** RFC 9470, 3: what a client asks the provider for, to be let in. */
function loginParameters ({ recentLogin }: Requirement): string {
  if (recentLogin === undefined) return ''
  const { maxAge, acr } = recentLogin
  return `, max_age="${maxAge}"${acr === undefined ? '' : `, acr_values="${acr.join(' ')}"`}`
}

function toError (thrown: unknown): Error {
  if (thrown instanceof Error) return thrown
  return new Error('tokenFrom or the function of a guard threw what is no error', { cause: thrown })
}

/** What a hook asks for; null for one that is no guard. */
export function requirementOf (hook: unknown): Requirement | null {
  return isGuard(hook) ? hook[kRequirement] : null
}

function isGuard (hook: unknown): hook is Guard & { [kRequirement]: Requirement } {
  return typeof hook === 'function' && kRequirement in hook
}

// Fetch standard, CORS-preflight request: a browser sends it without credentials. Only where nothing but OPTIONS can be
// meant: a route for several methods would otherwise run its handler for anybody who asks with OPTIONS.
function isPreflight (request: GuardedRequest): boolean {
  if (request.method !== 'OPTIONS') return false
  const { origin, 'access-control-request-method': method } = request.headers
  return origin !== undefined && method !== undefined && !(Array.isArray(request.routeOptions.method))
}
