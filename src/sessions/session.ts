import { errors } from '../errors.js'
import { isId, type Identity } from '../identity.js'
import type { RefreshTokenContent } from './refresh-token.js'
import type { Session } from './store.js'

/** Milliseconds. */
export interface Lifetimes { readonly idle: number, readonly absolute: number }

/** The session after a use: its idle time begins again, never beyond the absolute end, never backwards. */
export function usedAt (session: Session, now: number, { idle, absolute }: Lifetimes): Session {
  const lastUsedAt = Math.max(session.lastUsedAt, now)
  return { ...session, lastUsedAt, expiresAt: Math.min(lastUsedAt + idle, session.createdAt + absolute) }
}

/**
 * The session, provided that it goes on.
 *
 * @throws errors.SessionExpiredError, errors.SessionRevokedError
 * @throws errors.RefreshInvalidError for a session of another server
 */
export function requireGoingOn (session: Session | null, issuer: string, now: number): Session {
  // An id is older than its row, and a row that is gone was swept after its end.
  if (session === null) throw new errors.SessionExpiredError('no such session any more')
  if (session.issuer !== issuer) throw new errors.RefreshInvalidError('a session of another server')
  if (session.ended) throw new errors.SessionRevokedError()
  if (session.expiresAt <= now) throw new errors.SessionExpiredError()
  return session
}

/** A refresh token that is bound to a key which did not come with it (RFC 9449, 5). */
export class KeyMissing extends errors.RefreshInvalidError {}

/** @throws KeyMissing for a session that is bound to another key */
export function requireKey ({ jkt }: Pick<Session, 'jkt'>, presented: string | null): void {
  if (jkt !== undefined && jkt !== presented) throw new KeyMissing('bound to a key that was not proven')
}

/** What a refresh token is to its session: the current one, the one before it to be answered again, or a theft. */
export type Position = 'current' | 'retry' | 'reused'

/**
 * Judges a refresh token (RFC 9700, 4.14.2): only the predecessor of the current token may come again, until the
 * client has shown that it has the current one and for `retryWindow` milliseconds after that.
 *
 * A counter ahead of the row is one of ours too (its MAC says so): the store was restored to an earlier moment.
 *
 * @throws errors.RefreshInvalidError for a token of another secret than the session's
 */
export function judge (
  session: Session,
  { counter, secretId }: RefreshTokenContent,
  arrivedAt: number | null,
  retryWindow: number,
  now: number
): Position {
  if (session.secretId !== secretId) throw new errors.RefreshInvalidError('another secret than that of the session')
  if (counter >= session.counter) return 'current'
  if (counter < session.counter - 1) return 'reused'
  if (arrivedAt === null) return 'retry'
  return retryWindow > 0 && now - arrivedAt <= retryWindow ? 'retry' : 'reused'
}

/** What the store finds the sessions of an identity by: text that names the provider, and nobody else's. */
export function identityKeyOf (provider: string, subject: string): string {
  return JSON.stringify([provider, subject])
}

/** What it finds those by that began in one session at the provider. */
export function providerSessionOf (provider: string, sid: string): string {
  return JSON.stringify([provider, sid])
}

/** Both of an identity; a `sid` that no store could keep, or look for, is none. */
export function keysOf ({ provider, subject, claims }: Identity): Pick<Session, 'identityKey' | 'providerSession'> {
  const providerSession = isId(claims.sid) ? providerSessionOf(provider, claims.sid) : null
  return { identityKey: identityKeyOf(provider, subject), providerSession }
}

/** Bytes of JSON. A login posts 32 KiB at most; what is larger than this is not somebody's identity. */
const longestIdentity = 16_384

/**
 * The identity as the session keeps it, for the lookup at refresh.
 * `providerTokens` are not enumerable and are never part of it.
 *
 * @throws errors.ProviderUnavailableError when it is larger than 16 KiB or cannot be written as JSON
 */
export function storeIdentity (identity: Identity): string {
  const { provider, subject, clientId, email, emailVerified, name, picture, locale, claims } = identity
  const json = toJson({ provider, subject, clientId, email, emailVerified, name, picture, locale, claims })
  if (Buffer.byteLength(json) > longestIdentity) {
    throw new errors.ProviderUnavailableError(`identity of more than ${longestIdentity} bytes (${provider})`)
  }
  return json
}

/**
 * The identity of a session, frozen all the way down.
 *
 * @throws errors.SessionExpiredError for a row that holds something else: only a new login helps
 */
export function restoreIdentity (json: string): Identity {
  const value = parsed(json)
  if (!isIdentity(value)) throw new errors.SessionExpiredError('its row holds no identity')
  freeze(value)
  return value
}

function toJson (value: Identity): string {
  try {
    return JSON.stringify(value)
  } catch (cause) {
    throw new errors.ProviderUnavailableError(`identity that is not JSON (${value.provider})`, { cause })
  }
}

function parsed (json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return null
  }
}

// A loop: a reviver of JSON.parse, called for each member, takes three times as long.
function freeze (value: object): void {
  for (const member of Object.values(value)) if (typeof member === 'object' && member !== null) freeze(member)
  Object.freeze(value)
}

function isIdentity (value: unknown): value is Identity {
  if (typeof value !== 'object' || value === null) return false
  const claims: unknown = Reflect.get(value, 'claims')
  return typeof Reflect.get(value, 'provider') === 'string' && typeof Reflect.get(value, 'subject') === 'string' &&
    typeof claims === 'object' && claims !== null
}
