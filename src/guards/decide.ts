import { errors, type TokenExchangeError } from '../errors.js'
import type { Level } from '../permissions/level.js'
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

type Refusal = new () => TokenExchangeError

/** What a guard asks for: null lets the caller pass. Pure. */
export type Requirement = (auth: Auth) => Refusal | null

const { CredentialMissingError, LevelInsufficientError, PermissionMissingError } = errors

const requirements: Readonly<Record<Level, Requirement>> = {
  everyone: () => null,
  application: auth => auth.application !== null || auth.master !== null ? null : CredentialMissingError,
  authenticated: auth => auth.user !== null || auth.master !== null ? null : CredentialMissingError,
  admin: auth => {
    if (auth.master !== null || auth.user?.level === 'admin') return null
    return auth.user === null ? CredentialMissingError : LevelInsufficientError
  }
}

export function levelRequirement (level: Level): Requirement {
  return requirements[level]
}

/** A user's token; a master key alone does not do. */
export const userRequirement: Requirement = auth => auth.user === null ? CredentialMissingError : null

/** All of the permissions: a user of level `admin` still needs them, a master key does not. */
export function permissionRequirement (needed: readonly string[]): Requirement {
  return auth => {
    if (auth.master !== null) return null
    if (auth.user === null) return CredentialMissingError
    const held: readonly string[] = auth.user.permissions
    for (const name of needed) if (!held.includes(name)) return PermissionMissingError
    return null
  }
}

/** At least one of the permissions. */
export function anyPermissionRequirement (accepted: readonly string[]): Requirement {
  return auth => {
    if (auth.master !== null) return null
    if (auth.user === null) return CredentialMissingError
    const held: readonly string[] = auth.user.permissions
    for (const name of accepted) if (held.includes(name)) return null
    return PermissionMissingError
  }
}
