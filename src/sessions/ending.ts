import type { Events } from '../events.js'
import { createEndStep, type Occasion, type RevocableToken } from './end-step.js'
import { createEndsBehind } from './ends-behind.js'
import { createOwnerEndings, type OwnerEndingsParts } from './owner-endings.js'
import type { ListedSession, Session } from './store.js'
import type { Ask } from './store-calls.js'

/**
 * The ways in which sessions end before their time. Refused at once here, within a second on other servers.
 * What has ended, or is listed already, is passed over: nothing is appended to the list for it.
 */
export interface Ending {
  /** @param check throws where it is not the caller's to end */
  session (ask: Ask, sessionId: string, on: Occasion, check?: (session: Session) => void): Promise<void>
  /** A session whose row has just been read. */
  live (ask: Ask, session: ListedSession, on: Occasion): Promise<void>
  /** A session whose tokens nobody has been given. */
  unused (ask: Ask, sessionId: string): Promise<void>
  /** All sessions of the user but one; its tokens that have no session are left alone. */
  others (ask: Ask, userId: string, sessionId: string | null, on: Occasion): Promise<void>
  /**
   * All sessions of the user, and all tokens that it was given until now; `current`, where there is one, whatever its
   * clock says. One entry refuses them all; their rows end behind it, however many there are.
   */
  user (ask: Ask, userId: string, on: Occasion, current?: RevocableToken): Promise<void>
  /** All sessions that an identity began until `before`, and the tokens that it was given until then. Milliseconds. */
  identity (ask: Ask, identityKey: string, before: number, on: Occasion): Promise<void>
  /** All sessions that began until `before` in one session at the provider, in pages with a budget each. */
  providerSession (providerSession: string, before: number, on: Occasion): Promise<void>
  /** The oldest sessions of a user, as many as there are more than `perUser`. */
  surplus (ask: Ask, userId: string): Promise<void>
  /** One access token. */
  token (ask: Ask, token: RevocableToken, on: Occasion): Promise<void>
  /** The access tokens of a session of before this version of its row. */
  earlierTokens (ask: Ask, sessionId: string, version: number): Promise<void>
  /** Goes on with the rows that have to end. To be called while the store answers; returns at once. */
  goOn (): void
  /** Waits for that. Does not reject. */
  settled (): Promise<void>
  close (): void
}

export interface EndingParts extends OwnerEndingsParts {
  readonly events: Events
}

export function createEnding (parts: EndingParts): Ending {
  const { issuer, tokenLifetime, clock, revocations, events } = parts
  const running = new Map<string, Promise<void>>()
  const behind = createEndsBehind(parts)
  const step = createEndStep({ ...parts, behind })
  const { entry, tokenEntry, end } = step
  const { each, isTooMany, ...ofOwners } = createOwnerEndings(parts, step, behind)

  async function session (
    ask: Ask,
    sessionId: string,
    on: Occasion,
    check = (_session: Session): void => {}
  ): Promise<void> {
    if (revocations.isListed(sessionId)) return
    const session = await ask(store => store.read(sessionId))
    if (session === null || session.issuer !== issuer) return
    if (session.ended) return hear(session)
    check(session)
    await live(ask, session, on)
  }

  // Another server has ended it, and this one has not read that yet: who asks here is refused here from now on.
  function hear ({ id, userId, identityKey, lastUsedAt }: ListedSession): void {
    const isAlive = lastUsedAt + tokenLifetime * 1000 > clock.now()
    if (isAlive && !revocations.isEnded(id, userId, identityKey)) revocations.add(entry('session', id))
  }

  // Callers at once share one end: each would append an entry.
  async function live (ask: Ask, session: ListedSession, on: Occasion): Promise<void> {
    const ending = running.get(session.id) ?? endOne(ask, session, on).finally(() => running.delete(session.id))
    running.set(session.id, ending)
    await ending
  }

  async function endOne (ask: Ask, session: ListedSession, on: Occasion): Promise<void> {
    const { id, userId, identityKey, expiresAt } = session
    const isRefused = revocations.isEnded(id, userId, identityKey) || expiresAt + tokenLifetime * 1000 <= clock.now()
    if (isRefused) await end(ask, [id], [])
    else await each(ask, userId, [session], on)
  }

  async function token (
    ask: Ask,
    { id, tokenId, sessionId, expiresAt }: RevocableToken,
    on: Occasion
  ): Promise<void> {
    if (revocations.isTokenListed(tokenId)) return
    if (sessionId !== null && isTooMany(id, 1)) return await session(ask, sessionId, on)
    await end(ask, [], [tokenEntry(tokenId, expiresAt)])
    const facts = { userId: id, ...(sessionId !== null && { sessionId }) }
    events.publish({ type: 'token.revoked', ...facts }, on.request)
  }

  return {
    session,
    live,
    unused: (ask, sessionId) => end(ask, [sessionId], []),
    ...ofOwners,
    token,
    earlierTokens: (ask, sessionId, version) => end(ask, [], [entry('session', `${sessionId}.${version}`)]),
    goOn: behind.goOn,
    settled: behind.settled,
    close: behind.close
  }
}
