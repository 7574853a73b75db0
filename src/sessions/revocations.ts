import { createEndedIdentities, createEndedUsers, type Ended } from './ended-owners.js'
import { createMarks, skew } from './marks.js'
import { beganAt, versionOf } from './refresh-token.js'
import { revocationsKept, type Revocation, type Session } from './store.js'
import type { StoreClock } from './store-calls.js'

/** What a guard knows of a token's user: the members of `User` that a revocation can meet. */
export interface RevocableUser {
  readonly id: string
  readonly tokenId: string
  readonly sessionId: string | null
  /** Seconds since the epoch. */
  readonly issuedAt: number
  /** Who vouched, and for whom; neither for a token that the application issued itself. */
  readonly provider?: string | null
  readonly subject?: string | null
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
  /** Whether the session is listed, or began before all of that user's, or of that identity's, had to end. */
  isEnded (sessionId: string, userId: string, identityKey?: string | null): boolean
  /** Now, for a login that begins: later than this server heard of any revocation of somebody. Milliseconds. */
  mark (): number
  /**
   * Now, for a revocation of the user, or of the identity: not earlier than the mark of a login that has begun here, or
   * than a session that began after an earlier revocation. Milliseconds.
   */
  next (userId: string | null, identityKey?: string | null): number
  /** Whether the user, the identity, or its session at the provider, was revoked after such a login had begun. */
  isRevokedSince (userId: string, mark: number, keys?: SessionKeys): boolean
  /** When a session of a login with this mark begins: later than all those of both that had to end. */
  beginning (userId: string | null, mark: number, identityKey?: string | null): number
  /** Remembers an entry of this server's own, before others can read it. */
  own (revocation: Revocation): void
  /** Whether it is one of those, asked once: it comes back with the list. */
  isOwn (revocation: Revocation): boolean
  /** When an entry was made, which may be later than what it is about. Milliseconds. */
  madeAt (revocation: Revocation): number
  /** Adds an entry, or the same one again. */
  add (revocation: Revocation): void
  /** Takes away entries whose tokens have expired by themselves. */
  purge (): void
  /** What was taken away and is forgotten when its rows have ended. */
  readonly leaving: Leaving
}

/** What else than its user a session may end with. */
export type SessionKeys = Pick<Session, 'identityKey' | 'providerSession'>

const noKeys: SessionKeys = { identityKey: null, providerSession: null }

/** Sessions, and users and identities with the time until which theirs began. Milliseconds. */
interface Leaving {
  readonly sessions: Set<string>
  readonly users: Map<string, number>
  readonly identities: Map<string, number>
}

interface RevokedSince { readonly revokedAt: number, readonly expiresAt: number }

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
  const users = createEndedUsers()
  const identities = createEndedIdentities()
  const tokens = new Map<string, number>()
  const providerSessions = new Map<string, RevokedSince>()
  const owned = new Map<string, number>()
  const leaving: Leaving = { sessions: new Set(), users: users.leaving, identities: identities.leaving }
  const marks = createMarks(clock)
  // Tokens of sessions up to this second are in doubt, once entries had to be dropped.
  let floor = 0
  let floorExpiresAt = 0
  // As many are dropped at once, so that a full list is not gone through for each entry.
  const tenth = Math.ceil(limit / 10)
  let roomUntil = limit
  let isWarned = false

  const size = (): number =>
    sessions.size + moved.size + users.size + identities.size + tokens.size + providerSessions.size

  function isRevoked (user: RevocableUser): boolean {
    return size() !== 0 && (tokens.has(user.tokenId) || isMet(user))
  }

  function isMet (user: RevocableUser): boolean {
    const { sessionId, tokenId } = user
    if (isCovered(users.get(user.id), user)) return true
    if (identities.size !== 0 && isCovered(identities.of(user.provider, user.subject), user)) return true
    if (sessionId === null) return false
    if (sessions.has(sessionId)) return true
    const move = moved.get(sessionId)
    return move !== undefined && (versionOf(tokenId) ?? 0) < move.before
  }

  function isListed (sessionId: string): boolean {
    return sessions.has(sessionId) || leaving.sessions.has(sessionId)
  }

  function isEnded (sessionId: string, userId: string, identityKey: string | null = null): boolean {
    if (isListed(sessionId)) return true
    const left = identityKey === null ? undefined : leaving.identities.get(identityKey)
    const until = Math.max(begunUntil(userId, identityKey), leaving.users.get(userId) ?? -1, left ?? -1)
    return beganAt(sessionId) <= until
  }

  function begunUntil (userId: string | null, identityKey: string | null): number {
    const ofUser = userId === null ? undefined : users.get(userId)
    const ofIdentity = identityKey === null ? undefined : identities.get(identityKey)
    return Math.max(ofUser?.begunUntil ?? -1, ofIdentity?.begunUntil ?? -1)
  }

  function isRevokedSince (userId: string, mark: number, { identityKey, providerSession } = noKeys): boolean {
    const ofIdentity = identityKey === null ? undefined : identities.get(identityKey)
    const ofProviderSession = providerSession === null ? undefined : providerSessions.get(providerSession)
    return [users.get(userId), ofIdentity, ofProviderSession].some(revoked => (revoked?.revokedAt ?? -1) >= mark)
  }

  function beginning (userId: string | null, mark: number, identityKey: string | null = null): number {
    return Math.max(mark, begunUntil(userId, identityKey) + 1)
  }

  function add ({ kind, id, at: told, expiresAt: toldExpiry }: Revocation): void {
    const now = marks.now()
    // A clock may be ahead as far as `skew`, and so are the sessions that its server began. One that is further ahead
    // must not refuse what comes later.
    const at = told - now <= skew ? told : now
    const expiresAt = Math.min(Math.max(toldExpiry, at + tokenLifetime * 1000 + skew), now + revocationsKept)
    // Logins here go by this server's clock: all that begin from now on come after it. By one that is ahead their marks
    // would pass what servers in time revoke next.
    const revokedAt = Math.min(at, now)
    if (kind === 'token') tokens.set(id, expiresAt)
    if (kind === 'session') addSession(id, expiresAt)
    if (kind === 'sessions') users.add(id, { begunUntil: at, revokedAt: 0, issuedUntil: 0, expiresAt })
    if (kind === 'user' || kind === 'identity') {
      const issuedUntil = Math.floor(Math.max(at, clock.ownTime(at)) / 1000)
      const owners = kind === 'user' ? users : identities
      owners.add(id, { begunUntil: at, revokedAt, issuedUntil, expiresAt })
      marks.revoked(revokedAt)
    }
    if (kind === 'provider-session') {
      const before = providerSessions.get(id)?.revokedAt ?? 0
      providerSessions.set(id, { revokedAt: Math.max(before, revokedAt), expiresAt: now + longestLogin })
      marks.revoked(revokedAt)
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

  function purge (): void {
    const now = clock.now()
    for (const [id, expiresAt] of sessions) if (expiresAt <= now) dropSession(id)
    for (const [id, expiresAt] of tokens) if (expiresAt <= now) tokens.delete(id)
    for (const [id, { expiresAt }] of moved) if (expiresAt <= now) moved.delete(id)
    for (const [id, { expiresAt }] of providerSessions) if (expiresAt <= now) providerSessions.delete(id)
    users.purge(now)
    identities.purge(now)
    for (const [name, expiresAt] of owned) if (expiresAt <= now) owned.delete(name)
    if (floorExpiresAt <= now) floor = 0
    roomUntil = Math.max(limit, size() + tenth)
  }

  function dropSession (id: string): void {
    sessions.delete(id)
    leaving.sessions.add(id)
  }

  // Fails closed: what no longer fits is covered by a rule that refuses more, not less. Tokens without a session cannot
  // be covered, they would be refused for good. So the entries that concern them stay: one for each user, for each
  // identity and for each of these tokens.
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
    mark: marks.ofLogin,
    next: (userId, identityKey = null) => beginning(userId, marks.ofRevocation(), identityKey),
    madeAt: ({ at, expiresAt }) => Math.max(at, expiresAt - tokenLifetime * 1000 - skew),
    isRevokedSince,
    beginning,
    add,
    purge,
    leaving
  }
}

/** Milliseconds that a login may take. Who logged in earlier is found by the store. */
const longestLogin = 600_000

/** Milliseconds in which an entry of this server's own comes back with the list. */
const returnsWithin = 60_000

function nameOf ({ kind, id, at }: Revocation): string {
  return `${kind} ${at} ${id}`
}

function isCovered (ended: Ended | undefined, { sessionId, issuedAt }: RevocableUser): boolean {
  if (ended === undefined) return false
  return sessionId === null ? issuedAt <= ended.issuedUntil : beganAt(sessionId) <= ended.begunUntil
}
