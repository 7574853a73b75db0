import { errors, type TokenExchangeError } from '../errors.js'
import type { Level } from '../permissions/permissions.js'
import type { User } from '../tokens/claims.js'

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
  readonly permissions?: readonly string[]
  /** At least one of them, likewise. */
  readonly anyPermission?: readonly string[]
  /** A user's token; a master key alone does not do. */
  readonly user?: true
  /** Of a user; a master key passes. */
  readonly recentLogin?: RecentLogin
}

type Refusal = new () => TokenExchangeError

/** Decides whether a caller has what is asked for: null lets it pass. Pure, but for the time. */
export type Decision = (auth: Auth) => Refusal | null

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

/** All that is asked for, as one decision. */
export function decisionOf ({ level, permissions, anyPermission, user, recentLogin }: Requirement): Decision {
  const decisions = [
    ...(level === undefined ? [] : [levelDecisions[level]]),
    ...(user === undefined ? [] : [userDecision]),
    ...(permissions === undefined ? [] : [permissionDecision(permissions, holdsAll)]),
    ...(anyPermission === undefined ? [] : [permissionDecision(anyPermission, holdsAny)]),
    ...(recentLogin === undefined ? [] : [recentLoginDecision(recentLogin)])
  ]
  const [only = levelDecisions.everyone, ...others] = decisions
  return others.length === 0 ? only : auth => refusalOf(decisions, auth)
}

function refusalOf (decisions: readonly Decision[], auth: Auth): Refusal | null {
  for (const decide of decisions) {
    const refusal = decide(auth)
    if (refusal !== null) return refusal
  }
  return null
}

const userDecision: Decision = auth => auth.user === null ? CredentialMissingError : null

type Holds = (held: readonly string[], names: readonly string[]) => boolean

function permissionDecision (names: readonly string[], holds: Holds): Decision {
  return auth => {
    if (auth.master !== null) return null
    if (auth.user === null) return CredentialMissingError
    return holds(auth.user.permissions, names) ? null : PermissionMissingError
  }
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
