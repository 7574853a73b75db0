import {
  isUserLevel,
  reservedClaims,
  type ExtraClaims,
  type GrantedPermissions,
  type Permission
} from '../permissions/permissions.js'
import type { User } from '../permissions/user.js'
import { isObject } from '../strict-json.js'
import { authenticationClaims, isText, isTime, type Authentication } from './authentication.js'

/** Who receives an access token, and what it says. */
export interface Grantee {
  userId: string
  granted: GrantedPermissions
  /** Who vouched; absent for a token that the application issues itself. */
  vouched?: { provider: string, subject: string, clientId: string | null }
  authentication?: Authentication
  sessionId?: string
  tokenId: string
  /** The thumbprint of the key that it is bound to. */
  jkt?: string
}

export interface ClaimRules {
  issuer: string
  audience: string
  /** Seconds. */
  lifetime: number
  /** Seconds. */
  tolerance: number
}

/** No access token lives longer, whatever it says. Seconds. */
export const longestLifetime = 86400

/** The claims of a new access token (RFC 9068, 2.2), at `now` in seconds. */
export function writeClaims (
  { userId, granted, vouched, authentication, sessionId, tokenId, jkt }: Grantee,
  rules: ClaimRules,
  now: number
): Record<string, unknown> {
  return {
    iss: rules.issuer,
    aud: rules.audience,
    sub: userId,
    client_id: vouched?.clientId ?? rules.audience,
    iat: now,
    exp: now + rules.lifetime,
    jti: tokenId,
    ...(vouched !== undefined && { idp: vouched.provider }),
    ...(vouched !== undefined && userId !== `${vouched.provider}:${vouched.subject}` && { idp_sub: vouched.subject }),
    ...(sessionId !== undefined && { sid: sessionId }),
    ...(authentication !== undefined && authenticationClaims(authentication)),
    // RFC 9449, 6.1.
    ...(jkt !== undefined && { cnf: { jkt } }),
    level: granted.level,
    permissions: granted.permissions,
    ...granted.claims
  }
}

/**
 * The user of a payload whose signature is good, or null: the claims are not what this server writes, or not for it.
 * Whether the token has expired is asked separately, so that an expired one can be told from a foreign one.
 */
export function readUser (payload: Record<string, unknown>, rules: ClaimRules, now: number): User | null {
  const {
    iss,
    aud,
    sub,
    client_id: clientId,
    iat,
    exp,
    nbf,
    jti,
    idp,
    idp_sub: idpSubject,
    sid,
    auth_time: authenticatedAt,
    acr,
    amr = noNames,
    level,
    permissions
  } = payload
  if (iss !== rules.issuer || aud !== rules.audience) return null
  if (
    !isText(sub) ||
    !isText(jti) ||
    !isText(clientId) ||
    !isTextOrAbsent(idp) ||
    !isTextOrAbsent(idpSubject) ||
    !isTextOrAbsent(sid) ||
    !isTextOrAbsent(acr)
  ) { return null }
  if (!isTime(iat) || !isTime(exp) || iat > now + rules.tolerance || exp > Math.max(now, iat) + longestLifetime) {
    return null
  }
  if (nbf !== undefined && (!isTime(nbf) || nbf > now + rules.tolerance)) return null
  if (authenticatedAt !== undefined && !isTime(authenticatedAt)) return null
  if (!isUserLevel(level) || !isNames(permissions) || !isNames(amr)) return null
  return Object.freeze({
    id: sub,
    provider: idp ?? null,
    subject: subjectOf(sub, idp, idpSubject),
    level,
    permissions: permissions.length === 0 ? noNames : Object.freeze(permissions),
    claims: extraClaims(payload),
    tokenId: jti,
    sessionId: sid ?? null,
    authenticatedAt: authenticatedAt ?? null,
    acr: acr ?? null,
    amr: amr.length === 0 ? noNames : Object.freeze(amr),
    issuedAt: iat,
    expiresAt: exp
  })
}

/**
 * The thumbprint of the key that a payload binds its token to (RFC 9449, 6.1); null for one that is bound to none,
 * undefined for a confirmation that this server does not write.
 */
export function boundTo ({ cnf }: Record<string, unknown>): string | null | undefined {
  if (cnf === undefined) return null
  if (!isObject(cnf) || Object.keys(cnf).length !== 1) return undefined
  return isText(cnf.jkt) && /^[A-Za-z0-9_-]{43}$/.test(cnf.jkt) ? cnf.jkt : undefined
}

/** The provider's id of the user: said in `idp_sub`, else the rest of `sub` after the provider's name. */
function subjectOf (sub: string, idp: string | undefined, idpSubject: string | undefined): string | null {
  if (idp === undefined) return null
  return idpSubject ?? (sub.startsWith(`${idp}:`) ? sub.slice(idp.length + 1) : null)
}

/** RFC 7519, 4.1.4: on or after `exp` it is not accepted. */
export function hasExpired (expiresAt: number, tolerance: number, now: number): boolean {
  return now >= expiresAt + tolerance
}

function isTextOrAbsent (value: unknown): value is string | undefined {
  return value === undefined || isText(value)
}

function isNames (value: unknown): value is readonly Permission[] {
  return Array.isArray(value) && value.every(isText)
}

// Most users have none: they share these.
const noNames: readonly Permission[] = Object.freeze([])
const noClaims: Readonly<ExtraClaims> = Object.freeze({})

function extraClaims (payload: Record<string, unknown>): Readonly<ExtraClaims> {
  let extra: Record<string, unknown> | null = null
  for (const name in payload) if (!reservedClaims.has(name)) (extra ??= {})[name] = payload[name]
  return extra === null ? noClaims : deepFreeze(extra)
}

function deepFreeze<T> (value: T): T {
  if (typeof value === 'object' && value !== null) {
    Object.values(value).forEach(deepFreeze)
    Object.freeze(value)
  }
  return value
}
