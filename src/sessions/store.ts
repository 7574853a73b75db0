import { errors } from '../errors.js'

/**
 * One session: a login that goes on through refresh tokens.
 * Times are milliseconds since the epoch. No refresh token, and nothing one could be made from, is stored.
 */
export interface Session {
  /** 22 characters of base64url (48 bits of time, 80 random ones): the `sid` of its access tokens. */
  readonly id: string
  /** Whose server: applications that share a store do not see each other's sessions. */
  readonly issuer: string
  /** Well-formed Unicode without NUL, of at most 255 UTF-16 units. */
  readonly userId: string
  /** The identity that logged in, as JSON of at most 16 KiB: what the lookup is asked with at each refresh. */
  readonly identity: string
  /**
   * Who logged in, by the provider's name and its id of the user; what it is made of is not for stores to know. Null on
   * a row of an earlier version, until its next refresh.
   */
  readonly identityKey: string | null
  /** The same of the session that the provider has of its own (`sid`, OpenID Connect Back-Channel Logout 1.0, 2.1). */
  readonly providerSession: string | null
  /** The OAuth client that it was begun for, of a login by redirect. */
  readonly clientId?: string
  /**
   * Thumbprint (RFC 7638) of the key that its refresh tokens are bound to (RFC 9449, 5), where they are. Without it
   * anybody could use a stolen one: a store must not lose it.
   */
  readonly jkt?: string
  /** Which of the servers' secrets made its refresh tokens. */
  readonly secretId: string
  /** Number of the current refresh token; the one at login is 0. */
  readonly counter: number
  /** When the client showed that it has the current refresh token, or null while nobody knows. */
  readonly arrivedAt: number | null
  readonly createdAt: number
  /** The last refresh, or the arrival of its answer. */
  readonly lastUsedAt: number
  /** The earlier one of the idle and the absolute end. */
  readonly expiresAt: number
  /** Logged out, revoked or stolen. The row stays until it is swept: its tokens are answered with the reason. */
  readonly ended: boolean
  /** Counts the writes: the compare of the compare-and-set. The first is 0. */
  readonly version: number
}

export type RevocationKind = 'session' | 'user' | 'sessions' | 'identity' | 'token' | 'provider-session'

/** Access tokens that are refused before they expire. */
export interface Revocation {
  /**
   * All tokens of a session, or those of before a version of its row (`id.version`); all that a user was given until
   * `at`; those of a user's `sessions` that began until `at`; those of an `identity`, by its key; or one token, by its
   * `jti`. A `provider-session` meets logins that are under way in it.
   */
  readonly kind: RevocationKind
  readonly issuer: string
  readonly id: string
  /** Milliseconds since the epoch. */
  readonly at: number
  /** When the last token that it meets has expired by itself. */
  readonly expiresAt: number
}

export interface RevocationPage {
  /** Oldest first. Empty where there is nothing new. */
  readonly revocations: readonly Revocation[]
  /** Where the next page begins; opaque. */
  readonly cursor: string | null
}

/** Something that may be used once: a nonce, or an ID token. */
export interface SpentKey {
  readonly key: string
  /** After that the nonce or token is refused for its age, and the key need not be remembered. */
  readonly expiresAt: number
}

/**
 * Milliseconds that a row outlives `expiresAt`. Until then the refusal of its refresh token says why, and the longest
 * access token has ended.
 */
export const keptAfterExpiry = 86_400_000

/** Milliseconds that a revocation is kept at least: the longest access token, and an hour for clocks that differ. */
export const revocationsKept = 90_000_000

/** A session as `list` answers it: an identity may be 16 KiB, and a user may have many sessions. */
export type ListedSession = Omit<Session, 'identity'>

/** Sessions that are listed where nobody says how many. */
export const listLimit = 1000

/**
 * Where sessions live. The built-in stores are of this shape; one in an application's own database is a statement for
 * each operation. `sessionStoreConformance` of `fastify-token-exchange/testing` checks it.
 *
 * An operation that cannot be done rejects, with whatever it likes: callers see 503. An operation may also hang:
 * each call has a deadline around it, and its late effect does no harm. Only `spend` should not take effect late.
 */
export interface SessionStore {
  /** Adds a session whose id is new. */
  create (session: Session): Promise<void>
  /** The session, ended and expired ones too as long as they are kept; null when there is none. */
  read (id: string): Promise<Session | null>
  /**
   * Writes `session` if, and only if, the stored one has `version` `session.version - 1`: one atomic step.
   * Of many callers at once with the same version one gets true. `false` when it is gone, too.
   */
  replace (session: Session): Promise<boolean>
  /**
   * Sessions of a user that have not ended, the oldest (`createdAt`) first, at most `limit` of them.
   * Those that expired less than {@link keptAfterExpiry} ago are among them.
   */
  list (issuer: string, userId: string, limit: number): Promise<readonly ListedSession[]>
  /**
   * The same of an identity, whatever users its sessions are of.
   * @param limit @default 1000
   */
  listByIdentity (issuer: string, identityKey: string, limit?: number): Promise<readonly ListedSession[]>
  /** The same of a session that the provider has of its own. @param limit @default 1000 */
  listByProviderSession (issuer: string, providerSession: string, limit?: number): Promise<readonly ListedSession[]>
  /**
   * Appends to the list of revocations, as `revoke` does, and marks sessions as ended, whatever their version, which
   * goes up by one: their identity is emptied. Passes over unknown ids, and over those that have ended, whose rows
   * stay as they are. In one atomic step where the store can do that, else the list first: a session whose row goes
   * on must not be forgotten by it. There are at most 1,000 ids.
   */
  end (ids: readonly string[], revocations: readonly Revocation[]): Promise<void>
  /** Appends to the list of revocations that every server reads; kept for {@link revocationsKept}. */
  revoke (revocations: readonly Revocation[]): Promise<void>
  /**
   * What was appended after `cursor`, in order and without gaps. From the oldest that is kept on null, and on a cursor
   * that this list does not reach: it was restored to an earlier moment.
   * @param since milliseconds: entries that expired before may be left out
   */
  revocations (cursor: string | null, since: number): Promise<RevocationPage>
  /** Spends all of `keys`, or none of them and answers false, because one had been spent: one atomic step. */
  spend (keys: readonly SpentKey[]): Promise<boolean>
  /**
   * Keeps a value for whoever takes it; one that was kept under this key before is replaced.
   * @param value well-formed Unicode without NUL, of at most 64 KiB
   * @param expiresAt milliseconds
   */
  keep (key: string, value: string, expiresAt: number): Promise<void>
  /**
   * Takes a kept value away and answers it, or null where there is none, or it has expired by the store's clock: one
   * atomic step. Of many callers at once one gets it.
   */
  take (key: string): Promise<string | null>
  /**
   * Deletes what is no longer needed: sessions {@link keptAfterExpiry} after their end, spent keys, kept values,
   * revocations.
   */
  sweep (now: number): Promise<void>
  /** The store's clock, in milliseconds: servers whose own clocks differ agree on it. */
  now? (): Promise<number>
  /**
   * Calls `wake` when there may be new revocations; they are polled for anyway.
   * Answers a function that ends this and releases what it held.
   */
  subscribe? (wake: () => void): () => void
}

/** Milliseconds: by then the caller was told that the store is down. */
const spendWithin = 800

/**
 * The latest time, by the store's own clock, at which a nonce may be spent. What a frozen store finds in its
 * queue when it goes on is then too late, and the client's next attempt finds its nonce unspent.
 *
 * @throws errors.StoreUnavailableError when the store took too long to tell its time
 */
export async function spendUntil (now: () => Promise<number>): Promise<number> {
  const started = performance.now()
  const time = await now()
  const left = spendWithin - (performance.now() - started)
  if (left <= 0) throw new errors.StoreUnavailableError('the store was too late to spend a nonce')
  return Math.floor(time + left)
}
