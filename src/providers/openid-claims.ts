import type { VerifiedIdentity } from '../identity.js'
import type { JsonObject } from '../strict-json.js'

/** What the standard claims of OpenID Connect Core, 5.1, say of a user; all of them in `claims`. */
export type StandardIdentity = VerifiedIdentity & { claims: JsonObject }

/** A truth value as providers write it: `true`, `"true"`, `"1"`, 1 (Apple and Microsoft send strings). Else unknown. */
export function toBoolean (value: unknown): boolean | 'unknown' {
  const word = String(typeof value === 'object' ? '' : value).toLowerCase()
  if (word === 'true' || word === '1') return true
  return word === 'false' || word === '0' ? false : 'unknown'
}

/** A non-empty string, else null. */
export function textOrNull (value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null
}

/** A user's id as its exact digits or text; null for everything that is not exactly one id. */
export function exactId (value: unknown): string | null {
  return typeof value === 'number' && Number.isSafeInteger(value) ? String(value) : textOrNull(value)
}

/** An identity of verified claims. @param subject of a provider that says it elsewhere */
export function standardIdentity (
  claims: JsonObject,
  clientId: string,
  subject = String(claims.sub)
): StandardIdentity {
  return {
    subject,
    clientId,
    email: textOrNull(claims.email),
    emailVerified: toBoolean(claims.email_verified),
    name: textOrNull(claims.name),
    picture: textOrNull(claims.picture),
    locale: textOrNull(claims.locale),
    claims
  }
}
