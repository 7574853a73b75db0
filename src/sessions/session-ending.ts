import type { Revocations } from './revocations.js'
import type { Revocation } from './session-store.js'
import type { Ask } from './store-calls.js'

/** The ways in which sessions end before their time. Refused at once here, within a second on other servers. */
export interface SessionEnding {
  session (ask: Ask, sessionId: string): Promise<void>
  /** All sessions of the user but one; its tokens that have no session are left alone. */
  others (ask: Ask, userId: string, sessionId: string | null): Promise<void>
  /** All sessions of the user, and all tokens that it was given until now. */
  user (ask: Ask, userId: string): Promise<void>
  /** One access token, by its `jti`; `expiresAt` in seconds, as in the token. */
  token (ask: Ask, tokenId: string, expiresAt: number): Promise<void>
}

/** @param tokenLifetime seconds that an access token can live, tolerance included */
export function createSessionEnding (issuer: string, tokenLifetime: number, revocations: Revocations): SessionEnding {
  function revocation (kind: Revocation['kind'], id: string, expiresAt?: number): Revocation {
    const at = Date.now()
    return { kind, issuer, id, at, expiresAt: expiresAt ?? at + tokenLifetime * 1000 }
  }

  // The list first: once the row has ended nothing would remind us of its access tokens.
  // This server's own list last: as long as the caller is told 503, its token must be good for another attempt.
  async function end (ask: Ask, sessionIds: readonly string[], also: readonly Revocation[] = []): Promise<void> {
    const entries = [...also, ...sessionIds.map(id => revocation('session', id))]
    if (entries.length === 0) return
    await ask(store => store.revoke(entries))
    if (sessionIds.length > 0) await ask(store => store.end(sessionIds))
    for (const entry of entries) revocations.add(entry)
  }

  async function idsOf (ask: Ask, userId: string): Promise<string[]> {
    const sessions = await ask(store => store.list(issuer, userId))
    return sessions.map(({ id }) => id)
  }

  return {
    session: (ask, sessionId) => end(ask, [sessionId]),
    others: async (ask, userId, sessionId) => {
      const ids = await idsOf(ask, userId)
      await end(ask, ids.filter(id => id !== sessionId))
    },
    user: async (ask, userId) => {
      await end(ask, await idsOf(ask, userId), [revocation('user', userId)])
    },
    token: (ask, tokenId, expiresAt) => end(ask, [], [revocation('token', tokenId, expiresAt * 1000)])
  }
}
