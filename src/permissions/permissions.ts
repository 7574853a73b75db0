import { errors } from '../errors.js'
import { isId } from '../identity.js'
import { isObject } from '../strict-json.js'

/** What a route can ask for, from nothing to most. Each names a credential; they are no ladder of users. */
export const levels = ['everyone', 'application', 'authenticated', 'admin'] as const

/** A level that a route asks for. */
export type Level = (typeof levels)[number]

/** A level that a user can hold. */
export type UserLevel = Extract<Level, 'authenticated' | 'admin'>

export function isUserLevel (value: unknown): value is UserLevel {
  return value === 'authenticated' || value === 'admin'
}

/**
 * Merge into this interface to narrow the types of your application:
 * `permission` (a union of your permission names) and `claims` (your extra claims).
 *
 * @example
 * declare module 'fastify-token-exchange' {
 *   interface TokenExchangeTypes { permission: 'todo:read' | 'todo:write' }
 * }
 */
export interface TokenExchangeTypes {}

/** A permission's name: `string`, or the application's own union. */
export type Permission = TokenExchangeTypes extends { permission: infer Name extends string } ? Name : string

/** The extra members of an access token: any, or the application's own. */
export type ExtraClaims = TokenExchangeTypes extends { claims: infer Claims extends object }
  ? Claims
  : Record<string, unknown>

/** What an identity may do here: the answer of the permission lookup. */
export interface Permissions {
  /** @default 'authenticated' */
  level?: UserLevel
  /** @default [] */
  permissions?: readonly Permission[]
  /** Who this is in the application; @default `${provider}:${subject}` */
  userId?: string
  /** Extra members of the access token, as JSON. Names that the token itself uses are refused. */
  claims?: ExtraClaims
}

/** {@link Permissions}, complete, checked and detached from the application's objects. */
export interface GrantedPermissions {
  level: UserLevel
  permissions: readonly string[]
  userId: string | null
  claims: Readonly<Record<string, unknown>>
}

/** RFC 7519, 4.1, the members that this package writes, and the one name that is no name. */
export const reservedClaims: ReadonlySet<string> = new Set([
  'iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti',
  'client_id', 'idp', 'idp_sub', 'level', 'permissions', 'sid', 'cnf', 'auth_time', 'acr', 'amr',
  '__proto__'
])

/**
 * Copies what an application says into {@link GrantedPermissions}.
 *
 * @throws errors.OptionInvalidError naming the member that is wrong
 */
export function readPermissions (answer: unknown): GrantedPermissions {
  if (!isObject(answer)) throw new errors.OptionInvalidError('permissions must be an object')
  const { level = 'authenticated', permissions, userId = null, claims } = answer
  if (!isUserLevel(level)) throw new errors.OptionInvalidError("level must be 'authenticated' or 'admin'")
  return {
    level,
    permissions: permissions === undefined ? [] : readNames(permissions),
    userId: readUserId(userId),
    claims: claims === undefined ? {} : readClaims(claims)
  }
}

function readNames (value: unknown): readonly string[] {
  if (!Array.isArray(value)) throw new errors.OptionInvalidError('permissions must be an array of strings')
  return Array.from(value, (name: unknown) => {
    if (typeof name !== 'string' || name === '') {
      throw new errors.OptionInvalidError('permissions must hold non-empty strings only')
    }
    return name
  })
}

function readUserId (value: unknown): string | null {
  if (value === null) return null
  if (!isId(value)) {
    throw new errors.OptionInvalidError('userId must be well-formed text without NUL, of 1 to 255 characters')
  }
  return value
}

// The JSON text is the copy: what the application does to its objects later reaches no token.
function readClaims (value: unknown): Readonly<Record<string, unknown>> {
  if (!isObject(value)) throw new errors.OptionInvalidError('claims must be an object')
  for (const name of Object.keys(value)) {
    if (reservedClaims.has(name)) {
      throw new errors.OptionInvalidError(`claims must not hold ${name}, a member of the access token itself`)
    }
  }
  const copy = throughJson(value)
  if (!isObject(copy) || Object.keys(copy).some(name => reservedClaims.has(name))) {
    throw new errors.OptionInvalidError('claims must be plain JSON')
  }
  return copy
}

// Circles, BigInts and a toJSON() that throws or answers nothing are mistakes of the application, each with its own
// exception.
function throughJson (value: unknown): unknown {
  try {
    return JSON.parse(JSON.stringify(value))
  } catch (cause) {
    throw new errors.OptionInvalidError('claims must be plain JSON', { cause })
  }
}
