import { errors } from '../errors.js'
import type { RefreshTokenContent } from './refresh-token.js'
import type { Session } from './store.js'

/** What a refresh token is to its session: the current one, the one before it to be answered again, or a theft. */
export type Position = 'current' | 'retry' | 'reused'

/**
 * The session, provided that it goes on and that this token belongs to it.
 *
 * A token is older than its row, and a row that is gone was swept after its end: the token was made for a row.
 *
 * @throws errors.SessionExpiredError
 * @throws errors.SessionRevokedError
 * @throws errors.RefreshInvalidError for a token of another secret than the session's
 */
export function requireLive (
  session: Session | null,
  presented: RefreshTokenContent,
  issuer: string,
  now: number
): Session {
  if (session !== null && session.secretId !== presented.secretId) {
    throw new errors.RefreshInvalidError('another secret than that of the session')
  }
  return requireGoingOn(session, issuer, now)
}

/**
 * The session, provided that it goes on.
 *
 * @throws errors.SessionExpiredError, errors.SessionRevokedError, errors.RefreshInvalidError for a session of another server
 */
export function requireGoingOn (session: Session | null, issuer: string, now: number): Session {
  if (session === null) throw new errors.SessionExpiredError('no such session any more')
  if (session.issuer !== issuer) throw new errors.RefreshInvalidError('a session of another server')
  if (session.ended) throw new errors.SessionRevokedError()
  if (session.expiresAt <= now) throw new errors.SessionExpiredError()
  return session
}

/**
 * Judges a refresh token (RFC 9700, 4.14.2): only the predecessor of the current token may come again, until the
 * client has shown that it has the current one and for `retryWindow` milliseconds after that.
 *
 * A counter ahead of the row is one of ours too (its MAC says so): the store was restored to an earlier moment.
 */
export function judge (
  session: Session,
  counter: number,
  arrivedAt: number | null,
  retryWindow: number,
  now: number
): Position {
  if (counter >= session.counter) return 'current'
  if (counter < session.counter - 1) return 'reused'
  if (arrivedAt === null) return 'retry'
  return retryWindow > 0 && now - arrivedAt <= retryWindow ? 'retry' : 'reused'
}

/** Milliseconds. */
export interface Lifetimes { readonly idle: number, readonly absolute: number }

/** The session after a use: its idle time begins again, never beyond the absolute end, never backwards. */
export function usedAt (session: Session, now: number, { idle, absolute }: Lifetimes): Session {
  const lastUsedAt = Math.max(session.lastUsedAt, now)
  return { ...session, lastUsedAt, expiresAt: Math.min(lastUsedAt + idle, session.createdAt + absolute) }
}
