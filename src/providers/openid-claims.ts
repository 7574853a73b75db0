import { errors } from '../errors.js'
import type { VerifiedIdentity } from '../identity.js'
import type { JsonObject } from '../strict-json.js'

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

/** The standard claims of OpenID Connect Core, 5.1, as far as an identity has a place for them. */
export function standardProfile (claims: JsonObject): Omit<VerifiedIdentity, 'subject' | 'clientId'> {
  return {
    email: textOrNull(claims.email),
    emailVerified: toBoolean(claims.email_verified),
    name: textOrNull(claims.name),
    picture: textOrNull(claims.picture),
    locale: textOrNull(claims.locale),
    claims
  }
}

/** The stable id that the application's own rule finds in verified claims. @throws errors.GrantRejectedError when it finds none */
export function chosenSubject (subject: (claims: JsonObject) => string, claims: JsonObject): string {
  try {
    const id: unknown = subject(claims)
    if (typeof id === 'string' && id !== '' && id.length <= 255) return id
  } catch (cause) {
    throw new errors.GrantRejectedError('subject', { cause })
  }
  throw new errors.GrantRejectedError('subject')
}
