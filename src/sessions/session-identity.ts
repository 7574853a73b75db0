import { errors } from '../errors.js'
import type { Identity } from '../identity.js'

/** Bytes of JSON. A login posts 32 KiB at most; what is larger than this is not somebody's identity. */
const LIMIT = 16_384

/**
 * The identity as the session keeps it, for the lookup at refresh.
 * `providerTokens` are not enumerable and are never part of it.
 *
 * @throws errors.ProviderUnavailableError when it is larger than 16 KiB or cannot be written as JSON
 */
export function storeIdentity (identity: Identity): string {
  const { provider, subject, clientId, email, emailVerified, name, picture, locale, claims } = identity
  const json = toJson({ provider, subject, clientId, email, emailVerified, name, picture, locale, claims })
  if (Buffer.byteLength(json) > LIMIT) {
    throw new errors.ProviderUnavailableError(`identity of more than ${LIMIT} bytes (${provider})`)
  }
  return json
}

/** The identity of a session, frozen all the way down; null for a row that holds something else. */
export function restoreIdentity (json: string): Identity | null {
  try {
    const value: unknown = JSON.parse(json, (_key, part: unknown) => Object.freeze(part))
    return isIdentity(value) ? value : null
  } catch {
    return null
  }
}

function toJson (value: Identity): string {
  try {
    return JSON.stringify(value)
  } catch (cause) {
    throw new errors.ProviderUnavailableError(`identity that is not JSON (${value.provider})`, { cause })
  }
}

function isIdentity (value: unknown): value is Identity {
  if (typeof value !== 'object' || value === null) return false
  const claims: unknown = Reflect.get(value, 'claims')
  return typeof Reflect.get(value, 'provider') === 'string' && typeof Reflect.get(value, 'subject') === 'string' &&
    typeof claims === 'object' && claims !== null
}
