import { beganAt, versionOf } from './refresh-token.js'
import { revocationsKept, type Revocation } from './store.js'
import type { StoreClock } from './store-calls.js'

/** Milliseconds by which the clocks of two servers may differ. */
export const skew = 60_000

/** What a guard knows of a token's user: the members of `User` that a revocation can meet. */
export interface RevocableUser {
  readonly id: string
  readonly tokenId: string
  readonly sessionId: string | null
  /** Seconds since the epoch. */
  readonly issuedAt: number
}

/** The list that every server holds in memory, so that a guard asks nobody. */
export interface Revocations {
  /** Entries. */
  readonly size: number
  /** Synchronous and without allocation: for each request, warm ones too. */
  isRevoked (user: RevocableUser): boolean
  /**
   * Whether the token may have been revoked by an entry that had to be dropped: only a refresh can tell.
   * Never so for a token without a session, which cannot be refreshed.
   */
  isDoubtful (user: RevocableUser): boolean
  isTokenListed (tokenId: string): boolean
  /** Whether the session is listed itself. */
  isListed (sessionId: string): boolean
  /** Whether the session of this user is listed, or began before all of that user's had to end. */
  isEnded (sessionId: string, userId: string): boolean
  /** Now, for a login that begins: later than this server heard of any revocation of a user. Milliseconds. */
  mark (): number
  /**
   * Now, for a revocation of the user: not earlier than the mark of a login that has begun here, or than a session
   * that began after an earlier revocation. Milliseconds.
   */
  next (userId: string): number
  /** Whether the user was revoked after a login with this mark had begun. */
  isRevokedSince (userId: string, mark: number): boolean
  /** When a session of a login with this mark begins: later than all those of the user that had to end. */
  beginning (userId: string, mark: number): number
  /** Remembers an entry of this server's own, before others can read it. */
  own (revocation: Revocation): void
  /** Whether it is one of those, asked once: it comes back with the list. */
  isOwn (revocation: Revocation): boolean
  /** Adds an entry, or the same one again. */
  add (revocation: Revocation): void
  /** Takes away entries whose tokens have expired by themselves. */
  purge (): void
  /** What was taken away and is forgotten when its rows have ended: sessions, and users with the time until. */
  readonly leaving: { readonly sessions: Set<string>, readonly users: Map<string, number> }
}

interface UserEntry {
  /** Sessions that began until then have ended. Milliseconds. */
  readonly begunUntil: number
  /** When the user was revoked, or this server heard of it if that is earlier; 0 where it was not. Milliseconds. */
  readonly revokedAt: number
  /** Tokens without a session that were issued until then are refused. Seconds. */
  readonly issuedUntil: number
  readonly expiresAt: number
}

interface Moved { readonly before: number, readonly expiresAt: number }

export interface RevocationsParts {
  /** Seconds that an access token can live, tolerance included. */
  readonly tokenLifetime: number
  /** Entries. */
  readonly limit: number
  readonly clock: Pick<StoreClock, 'now' | 'ownTime'>
  readonly report: (message: string) => void
}

export function createRevocations ({ tokenLifetime, limit, clock, report }: RevocationsParts): Revocations {
  const sessions = new Map<string, number>()
  const moved = new Map<string, Moved>()
  const users = new Map<string, UserEntry>()
  const tokens = new Map<string, number>()
  const owned = new Map<string, number>()
  const leaving = { sessions: new Set<string>(), users: new Map<string, number>() }
  let lastMark = 0
  let lastRevoked = 0
  // Tokens of sessions up to this second are in doubt, once entries had to be dropped.
  let floor = 0
  let floorExpiresAt = 0
  // As many are dropped at once, so that a full list is not gone through for each entry.
  const tenth = Math.ceil(limit / 10)
  let roomUntil = limit
  let isWarned = false

  const size = (): number => sessions.size + moved.size + users.size + tokens.size

  function isRevoked (user: RevocableUser): boolean {
    return size() !== 0 && (tokens.has(user.tokenId) || isMet(user))
  }

  function isMet ({ id, sessionId, tokenId, issuedAt }: RevocableUser): boolean {
    const entry = users.get(id)
    if (sessionId === null) return entry !== undefined && issuedAt <= entry.issuedUntil
    if (sessions.has(sessionId) || (entry !== undefined && beganAt(sessionId) <= entry.begunUntil)) return true
    const move = moved.get(sessionId)
    return move !== undefined && (versionOf(tokenId) ?? 0) < move.before
  }

  function isListed (sessionId: string): boolean {
    return sessions.has(sessionId) || leaving.sessions.has(sessionId)
  }

  function isEnded (sessionId: string, userId: string): boolean {
    const until = Math.max(users.get(userId)?.begunUntil ?? -1, leaving.users.get(userId) ?? -1)
    return isListed(sessionId) || beganAt(sessionId) <= until
  }

  // A clock that is set back by a little must not turn the order of a login and a revocation round.
  function notBefore (time: number): number {
    const now = clock.now()
    return time > now && time - now <= skew ? time : now
  }

  function mark (): number {
    lastMark = notBefore(lastRevoked + 1)
    return lastMark
  }

  function beginning (userId: string, mark: number): number {
    return Math.max(mark, (users.get(userId)?.begunUntil ?? -1) + 1)
  }

  function add ({ kind, id, at: told, expiresAt: toldExpiry }: Revocation): void {
    const now = Math.max(clock.now(), lastMark)
    // A clock may be ahead as far as `skew`, and so are the sessions that its server began. One that is further ahead
    // must not refuse what comes later.
    const at = told - now <= skew ? told : now
    const expiresAt = Math.min(Math.max(toldExpiry, at + tokenLifetime * 1000 + skew), now + revocationsKept)
    if (kind === 'token') tokens.set(id, expiresAt)
    if (kind === 'session') addSession(id, expiresAt)
    if (kind === 'sessions') addUser(id, { begunUntil: at, revokedAt: 0, issuedUntil: 0, expiresAt })
    if (kind === 'user') {
      const issuedUntil = Math.floor(Math.max(at, clock.ownTime(at)) / 1000)
      // Logins here go by this server's clock: all that begin from now on come after it. By one that is ahead their
      // marks would pass what servers in time revoke next.
      const revokedAt = Math.min(at, now)
      addUser(id, { begunUntil: at, revokedAt, issuedUntil, expiresAt })
      lastRevoked = Math.max(lastRevoked, revokedAt)
    }
    if (size() > roomUntil) makeRoom()
    warn()
  }

  // `id.version`: its tokens of before that version of its row, of another user of the application's.
  function addSession (name: string, expiresAt: number): void {
    const [id = '', version] = name.split('.')
    if (version === undefined) sessions.set(id, expiresAt)
    else moved.set(id, { before: Math.max(Number(version), moved.get(id)?.before ?? 0), expiresAt })
  }

  function addUser (id: string, entry: UserEntry): void {
    const known = users.get(id)
    users.set(id, known === undefined ? entry : latest(known, entry))
  }

  function purge (): void {
    const now = clock.now()
    for (const [id, expiresAt] of sessions) if (expiresAt <= now) dropSession(id)
    for (const [id, expiresAt] of tokens) if (expiresAt <= now) tokens.delete(id)
    for (const [id, { expiresAt }] of moved) if (expiresAt <= now) moved.delete(id)
    for (const [id, { expiresAt, begunUntil }] of users) {
      if (expiresAt > now) continue
      leaving.users.set(id, Math.max(begunUntil, leaving.users.get(id) ?? 0))
      users.delete(id)
    }
    for (const [name, expiresAt] of owned) if (expiresAt <= now) owned.delete(name)
    if (floorExpiresAt <= now) floor = 0
    roomUntil = Math.max(limit, size() + tenth)
  }

  function dropSession (id: string): void {
    sessions.delete(id)
    leaving.sessions.add(id)
  }

  // Fails closed: what no longer fits is covered by a rule that refuses more, not less. It cannot cover tokens without
  // a session, which would be refused for good: entries that meet those stay. There is one for each user, and one for
  // each such token.
  function makeRoom (): void {
    purge()
    if (size() > limit) dropOldest(size() - limit + tenth)
    roomUntil = Math.max(limit, size() + tenth)
  }

  function dropOldest (count: number): void {
    const ofSessions = [...tokens].filter(([id]) => versionOf(id) !== null)
    const times = [...sessions.values(), ...ofSessions.map(([, expiresAt]) => expiresAt)]
    for (const { expiresAt } of moved.values()) times.push(expiresAt)
    const until = Float64Array.from(times).sort()[Math.min(count, times.length) - 1]
    if (until === undefined) return
    for (const [id, expiresAt] of sessions) if (expiresAt <= until) dropSession(id)
    for (const [id, { expiresAt }] of moved) if (expiresAt <= until) moved.delete(id)
    for (const [id, expiresAt] of ofSessions) if (expiresAt <= until) tokens.delete(id)
    const issued = Math.ceil(clock.ownTime(until - skew) / 1000) - tokenLifetime
    floor = Math.max(floor, Math.min(issued, Math.floor(clock.ownTime(clock.now()) / 1000)))
    floorExpiresAt = Math.max(floorExpiresAt, until)
  }

  function warn (): void {
    const isNear = size() > limit * (isWarned ? 0.5 : 0.8)
    if (isNear && !isWarned) {
      const listed = `${size()} revocations are listed`
      report(`${listed}: beyond revocationLimit (${limit}) older access tokens have to be refreshed`)
    }
    isWarned = isNear
  }

  return {
    get size () { return size() },
    isRevoked,
    isDoubtful: ({ sessionId, issuedAt }) => issuedAt <= floor && sessionId !== null,
    isTokenListed: tokenId => tokens.has(tokenId),
    isListed,
    isEnded,
    own: revocation => { owned.set(nameOf(revocation), clock.now() + returnsWithin) },
    isOwn: revocation => owned.delete(nameOf(revocation)),
    mark,
    next: userId => beginning(userId, notBefore(lastMark)),
    isRevokedSince: (userId, mark) => (users.get(userId)?.revokedAt ?? -1) >= mark,
    beginning,
    add,
    purge,
    leaving
  }
}

/** Milliseconds in which an entry of this server's own comes back with the list. */
const returnsWithin = 60_000

function nameOf ({ kind, id, at }: Revocation): string {
  return `${kind} ${at} ${id}`
}

function latest (one: UserEntry, other: UserEntry): UserEntry {
  return {
    begunUntil: Math.max(one.begunUntil, other.begunUntil),
    revokedAt: Math.max(one.revokedAt, other.revokedAt),
    issuedUntil: Math.max(one.issuedUntil, other.issuedUntil),
    expiresAt: Math.max(one.expiresAt, other.expiresAt)
  }
}
