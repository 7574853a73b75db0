import type { FastifyRequest } from 'fastify'
import { errors, type TokenExchangeError } from '../errors.js'
import { refused } from '../options/values.js'
import type { Level, Permission } from '../permissions/permissions.js'
import type { User } from '../permissions/user.js'

/** Who calls, as far as the credentials of the request prove it. Frozen. */
export interface Auth {
  /** The highest level that the credentials reach, not the one that the route asks for. */
  readonly level: Level
  readonly user: User | null
  /** The label of the application key that matched. */
  readonly application: string | null
  /** The label of the master key that matched. */
  readonly master: string | null
}

/** A caller who is a user, by a token alone. */
export interface UserAuth extends Auth { readonly user: User }

/** A request whose guard asks the application, before its body is read. */
export type GuardedRequest = FastifyRequest<{ Params: Readonly<Record<string, string>> }>

/** What an application is asked for each request. As methods, they may be written for the parameters of a route. */
interface Questions {
  permission (request: GuardedRequest): Permission
  access (auth: Auth, request: GuardedRequest): boolean | Promise<boolean>
}

/** The permission that a request needs. Answers at once. */
export type PermissionOf = Questions['permission']

/** Whether a caller may go on; false refuses. */
export type AccessCheck = Questions['access']

/** How a user has to have logged in at the provider (RFC 9470). */
export interface RecentLogin {
  /** Seconds since then, at most. */
  readonly maxAge: number
  /** The `acr` of that login is one of these. */
  readonly acr?: readonly string[]
}

/** What a guard asks for: all that stands here. */
export interface Requirement {
  readonly level?: Level
  /** Each of them: a user of level `admin` still needs them, a master key does not. */
  readonly permissions?: ReadonlyArray<string | PermissionOf>
  /** At least one of them, likewise. */
  readonly anyPermission?: ReadonlyArray<string | PermissionOf>
  /** A user's token; a master key alone does not do. */
  readonly user?: true
  /** Of a user; a master key passes. */
  readonly recentLogin?: RecentLogin
  /** The application's own answer; a master key passes unasked. */
  readonly access?: AccessCheck
}

export type Refusal = new () => TokenExchangeError

/** Decides whether a caller has what is asked for: null lets it pass. Pure, but for the time and the application. */
export type Decision = (auth: Auth, request: GuardedRequest) => Refusal | null

const { CredentialMissingError, LevelInsufficientError, LoginRequiredError, PermissionMissingError } = errors

const levelDecisions: Readonly<Record<Level, Decision>> = {
  everyone: () => null,
  application: auth => auth.application !== null || auth.master !== null ? null : CredentialMissingError,
  authenticated: auth => auth.user !== null || auth.master !== null ? null : CredentialMissingError,
  admin: auth => {
    if (auth.master !== null || auth.user?.level === 'admin') return null
    return auth.user === null ? CredentialMissingError : LevelInsufficientError
  }
}

/** All that is asked for, as one decision; but for `access`, which may take its time. */
export function decisionOf ({ level, permissions, anyPermission, user, recentLogin }: Requirement): Decision {
  const decisions = [
    ...(level === undefined ? [] : [levelDecisions[level]]),
    ...(user === undefined ? [] : [userDecision]),
    ...(permissions === undefined ? [] : [permissionDecision(permissions, holdsAll)]),
    ...(anyPermission === undefined ? [] : [permissionDecision(anyPermission, holdsAny)]),
    ...(recentLogin === undefined ? [] : [recentLoginDecision(recentLogin)])
  ]
  const [only = levelDecisions.everyone, ...others] = decisions
  return others.length === 0 ? only : (auth, request) => refusalOf(decisions, auth, request)
}

function refusalOf (decisions: readonly Decision[], auth: Auth, request: GuardedRequest): Refusal | null {
  for (const decide of decisions) {
    const refusal = decide(auth, request)
    if (refusal !== null) return refusal
  }
  return null
}

const userDecision: Decision = auth => auth.user === null ? CredentialMissingError : null

type Holds = (held: readonly string[], names: readonly string[]) => boolean

function permissionDecision (needed: ReadonlyArray<string | PermissionOf>, holds: Holds): Decision {
  const names = needed.filter(one => typeof one === 'string')
  const namesFor = names.length === needed.length ? () => names : namesOf(needed)
  return (auth, request) => {
    if (auth.master !== null) return null
    if (auth.user === null) return CredentialMissingError
    return holds(auth.user.permissions, namesFor(request)) ? null : PermissionMissingError
  }
}

function namesOf (needed: ReadonlyArray<string | PermissionOf>): (request: GuardedRequest) => readonly string[] {
  return request => needed.map(one => typeof one === 'string' ? one : nameIn(one(request)))
}

/** @throws errors.OptionInvalidError for what is no name */
function nameIn (answer: unknown): string {
  if (typeof answer === 'string' && answer !== '') return answer
  // A promise is refused whatever becomes of it.
  Promise.resolve(answer).catch(() => {})
  throw refused('a permission guard', 'has a function that has to answer the name of a permission, and at once')
}

const holdsAll: Holds = (held, names) => {
  for (const name of names) if (!held.includes(name)) return false
  return true
}

const holdsAny: Holds = (held, names) => {
  for (const name of names) if (held.includes(name)) return true
  return false
}

function recentLoginDecision ({ maxAge, acr }: RecentLogin): Decision {
  return ({ master, user }) => {
    if (master !== null) return null
    if (user === null) return CredentialMissingError
    // A token that does not say when is of no recent login.
    const age = user.authenticatedAt === null ? Infinity : Math.floor(Date.now() / 1000) - user.authenticatedAt
    const isAccepted = acr === undefined || (user.acr !== null && acr.includes(user.acr))
    return age <= maxAge && isAccepted ? null : LoginRequiredError
  }
}
