import type { Revocation } from './store.js'

/** Entries of each kind, about 100 bytes each. */
const LIMIT = 250_000
/** Seconds by which the clocks of two servers may differ. */
const SKEW = 60

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
  /** Whether the list holds anything at all. */
  readonly size: number
  /** Synchronous and without allocation: for each request, warm ones too. */
  isRevoked (user: RevocableUser): boolean
  /** Whether all tokens of the session are refused. */
  hasSession (sessionId: string): boolean
  /** Adds an entry, or the same one again. */
  add (revocation: Revocation): void
  /** Forgets entries whose tokens have expired by themselves. */
  purge (now: number): void
}

interface UserEntry { readonly until: number, readonly expiresAt: number }

/**
 * @param tokenLifetime seconds that an access token can live, tolerance included
 * @param limit entries of each kind
 */
export function createRevocations (tokenLifetime: number, limit = LIMIT): Revocations {
  const sessions = new Map<string, number>()
  const tokens = new Map<string, number>()
  const users = new Map<string, UserEntry>()
  // Tokens up to this second are refused unseen, once entries had to be dropped: clients refresh and go on.
  let floor = 0
  let floorExpiresAt = 0

  function isRevoked (user: RevocableUser): boolean {
    return (sessions.size !== 0 || users.size !== 0 || tokens.size !== 0 || floor !== 0) && isListed(user)
  }

  function isListed (user: RevocableUser): boolean {
    if (user.issuedAt <= floor || tokens.has(user.tokenId)) return true
    if (user.sessionId !== null && sessions.has(user.sessionId)) return true
    const entry = users.get(user.id)
    if (entry === undefined) return false
    // `iat` counts whole seconds. A session that was ended is listed itself, so its tokens need no exact time,
    // and a login right after the revocation, or by a server whose clock is late, is let in.
    return user.issuedAt <= (user.sessionId === null ? entry.until : entry.until - SKEW)
  }

  function add ({ kind, id, at, expiresAt: told }: Revocation): void {
    const expiresAt = Math.max(told, at + (tokenLifetime + SKEW) * 1000)
    if (kind === 'session') sessions.set(id, expiresAt)
    if (kind === 'token') tokens.set(id, expiresAt)
    if (kind === 'user') {
      const until = Math.max(Math.floor(at / 1000), users.get(id)?.until ?? 0)
      users.set(id, { until, expiresAt })
    }
    for (const map of [sessions, tokens, users]) if (map.size > limit) overflow(map)
  }

  // Fails closed: what no longer fits is covered by a rule that refuses more, not less.
  function overflow (map: Map<string, number | UserEntry>): void {
    let drop = Math.ceil(limit / 10)
    for (const [id, entry] of map) {
      if (drop-- === 0) return
      const expiresAt = typeof entry === 'number' ? entry : entry.expiresAt
      floor = Math.max(
        floor,
        Math.min(Math.floor(Date.now() / 1000), Math.ceil(expiresAt / 1000) - tokenLifetime - SKEW)
      )
      floorExpiresAt = Math.max(floorExpiresAt, expiresAt)
      map.delete(id)
    }
  }

  function purge (now: number): void {
    for (const map of [sessions, tokens]) for (const [id, expiresAt] of map) if (expiresAt <= now) map.delete(id)
    for (const [id, { expiresAt }] of users) if (expiresAt <= now) users.delete(id)
    if (floorExpiresAt <= now) floor = 0
  }

  return {
    get size () {
      return sessions.size + tokens.size + users.size
    },
    isRevoked,
    hasSession: sessionId => sessions.has(sessionId),
    add,
    purge
  }
}
