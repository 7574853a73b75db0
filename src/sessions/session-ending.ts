import type { Revocations } from './revocations.js'
import type { Revocation } from './store.js'
import type { Ask } from './store-calls.js'

/** The ways in which sessions end before their time. Refused at once here, within a second on other servers. */
export interface SessionEnding {
  session (ask: Ask, sessionId: string): Promise<void>
  /** All sessions of the user but one; its tokens that have no session are left alone. */
  others (ask: Ask, userId: string, sessionId: string | null): Promise<void>
  /** All sessions of the user, and all tokens that it was given until now: `current`, where there is one, whatever its clock says. */
  user (ask: Ask, userId: string, current?: CurrentToken): Promise<void>
  /** One access token, by its `jti`; `expiresAt` in seconds, as in the token. */
  token (ask: Ask, tokenId: string, expiresAt: number): Promise<void>
  /** Whether the session is listed. Its row has ended then as well, or is about to. */
  isListed (sessionId: string): boolean
  /** Ends rows whose sessions are listed, because the store went away in between. To be called while it answers. Does not reject. */
  finish (ask: Ask): Promise<void>
}

/** The access token of who asks for the end. `expiresAt` in seconds. */
export interface CurrentToken {
  readonly sessionId: string | null
  readonly tokenId: string
  readonly expiresAt: number
}

/** Sessions whose end was broken off, and how often the store answered since then without having listed them. */
const UNFINISHED_LIMIT = 10_000
const ROUNDS = 100
/** Sessions of one user that are ended at once. */
const LISTED = 100_000

/** @param tokenLifetime seconds that an access token can live, tolerance included */
export function createSessionEnding (issuer: string, tokenLifetime: number, revocations: Revocations): SessionEnding {
  function revocation (kind: Revocation['kind'], id: string, expiresAt?: number): Revocation {
    const at = Date.now()
    return { kind, issuer, id, at, expiresAt: expiresAt ?? at + tokenLifetime * 1000 }
  }

  const unfinished = new Map<string, number>()

  // The list first: once the row has ended nothing would remind us of its access tokens.
  // This server's own list last: as long as the caller is told 503, its token must be good for another attempt.
  async function end (ask: Ask, sessionIds: readonly string[], also: readonly Revocation[] = []): Promise<void> {
    const entries = [...also, ...sessionIds.map(id => revocation('session', id))]
    if (entries.length === 0) return
    try {
      await ask(store => sessionIds.length > 0 ? store.end(sessionIds, entries) : store.revoke(entries))
    } catch (error) {
      for (const id of sessionIds) if (unfinished.size < UNFINISHED_LIMIT) unfinished.set(id, 0)
      throw error
    }
    for (const entry of entries) revocations.add(entry)
  }

  // A store that goes away may have listed a session without saying so. Its tokens are refused then, the one too that
  // would ask again: the row has to end without it, before the list forgets the session.
  async function finish (ask: Ask): Promise<void> {
    const listed = [...unfinished.keys()].filter(revocations.hasSession)
    for (const [id, rounds] of unfinished) {
      if (rounds < ROUNDS) unfinished.set(id, rounds + 1)
      else unfinished.delete(id)
    }
    if (listed.length === 0) return
    await ask(store => store.end(listed, [])).then(() => listed.forEach(id => unfinished.delete(id)), () => {})
  }

  async function idsOf (ask: Ask, userId: string): Promise<string[]> {
    const sessions = await ask(store => store.list(issuer, userId, LISTED))
    return sessions.map(({ id }) => id)
  }

  return {
    session: (ask, sessionId) => end(ask, [sessionId]),
    others: async (ask, userId, sessionId) => {
      const ids = await idsOf(ask, userId)
      await end(ask, ids.filter(id => id !== sessionId))
    },
    user: async (ask, userId, current) => {
      const ids = new Set(await idsOf(ask, userId))
      if (current?.sessionId) ids.add(current.sessionId)
      const own = current?.sessionId === null ? [revocation('token', current.tokenId, current.expiresAt * 1000)] : []
      await end(ask, [...ids], [...own, revocation('user', userId)])
    },
    token: (ask, tokenId, expiresAt) => end(ask, [], [revocation('token', tokenId, expiresAt * 1000)]),
    isListed: revocations.hasSession,
    finish
  }
}
