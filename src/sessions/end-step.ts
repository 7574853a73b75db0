import type { FastifyRequest } from 'fastify'
import type { EndCause, Events } from '../events.js'
import type { EndsBehind } from './ends-behind.js'
import { skew } from './marks.js'
import type { RevocableUser, Revocations } from './revocations.js'
import type { ListedSession, Revocation } from './store.js'
import type { Ask, StoreClock } from './store-calls.js'

/** Why something ends, and at whose request. */
export interface Occasion { readonly cause: EndCause, readonly request?: FastifyRequest | null }

/** The access token of who asks for an end, or which is itself to end. `expiresAt` in seconds, its `exp`. */
export type RevocableToken = Omit<RevocableUser, 'issuedAt' | 'provider' | 'subject'> & { readonly expiresAt: number }

/** What every end is made of. */
export interface EndStep {
  /** @param at milliseconds @default now */
  entry (kind: Revocation['kind'], id: string, at?: number): Revocation
  /** @param expiry of the token, seconds */
  tokenEntry (tokenId: string, expiry: number): Revocation
  /** Ends the sessions, and has the entries refused. */
  end (ask: Ask, sessionIds: readonly string[], entries: readonly Revocation[]): Promise<void>
  /** Tells of sessions that went on until now. */
  tell (ended: readonly ListedSession[], on: Occasion): void
}

export interface EndStepParts {
  readonly issuer: string
  /** Seconds that an access token can live, tolerance included. */
  readonly tokenLifetime: number
  readonly clock: Pick<StoreClock, 'now'>
  readonly revocations: Pick<Revocations, 'own' | 'add'>
  readonly behind: Pick<EndsBehind, 'brokenOff'>
  readonly events: Events
}

export function createEndStep (parts: EndStepParts): EndStep {
  const { issuer, tokenLifetime, clock, revocations, behind, events } = parts

  function entry (kind: Revocation['kind'], id: string, at = clock.now()): Revocation {
    return { kind, issuer, id, at, expiresAt: clock.now() + tokenLifetime * 1000 + skew }
  }

  function tokenEntry (tokenId: string, expiry: number): Revocation {
    const ofToken = entry('token', tokenId)
    return { ...ofToken, expiresAt: Math.max(ofToken.expiresAt, expiry * 1000 + skew) }
  }

  // The list first: once the row has ended nothing would remind us of its access tokens.
  // This server's own list last: as long as the caller is told 503, its token must be good for another attempt.
  async function end (ask: Ask, sessionIds: readonly string[], entries: readonly Revocation[]): Promise<void> {
    entries.forEach(revocations.own)
    try {
      if (sessionIds.length > 0) await ask(store => store.end(sessionIds, entries))
      else if (entries.length > 0) await ask(store => store.revoke(entries))
    } catch (error) {
      behind.brokenOff(sessionIds)
      throw error
    }
    entries.forEach(revocations.add)
  }

  function tell (ended: readonly ListedSession[], { cause, request = null }: Occasion): void {
    if (!events.isHeard()) return
    for (const { id, userId, clientId } of ended) {
      const client = clientId === undefined ? {} : { clientId }
      events.publish({ type: 'session.ended', cause, sessionId: id, userId, ...client }, request)
    }
  }

  return { entry, tokenEntry, end, tell }
}
