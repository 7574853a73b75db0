import { randomBytes } from 'node:crypto'
import { errors } from '../errors.js'
import type { Identity } from '../identity.js'
import type { Arrivals } from './arrivals.js'
import type { RefreshTokens } from './refresh-token.js'
import { judge, requireGoingOn, requireLive, usedAt, type Lifetimes } from './rotation.js'
import type { SessionClock } from './session-clock.js'
import type { SessionEnding } from './session-ending.js'
import { restoreIdentity, storeIdentity } from './session-identity.js'
import type { Session } from './store.js'
import type { Ask, StoreCalls } from './store-calls.js'
import { tokenIdFor } from './token-id.js'

/** What a login or a refresh hands out beside the access token. */
export interface SessionGrant {
  /** The `sid` of the access token. */
  readonly sessionId: string
  /** The `jti` of the access token: it says which refresh token came with it. */
  readonly tokenId: string
  readonly refreshToken: string
}

/** What the lookup made of the identity; the user's id may have changed since the last time. */
export interface Granted { readonly userId: string }

export interface ChainParts {
  readonly issuer: string
  readonly calls: StoreCalls
  readonly clock: SessionClock
  readonly tokens: RefreshTokens
  readonly arrivals: Arrivals
  readonly ending: SessionEnding
  readonly lifetimes: Lifetimes
  /** Milliseconds. */
  readonly retryWindow: number
}

/** One session is one chain of refresh tokens, each with one successor (RFC 9700, 4.14.2). */
export interface SessionChain {
  start(identity: Identity, userId: string): Promise<SessionGrant>
  refresh<T extends Granted>(
    refreshToken: string,
    lookup: (identity: Identity) => Promise<T | null>
  ): Promise<SessionGrant & { granted: T }>
  /** The session is used by an access token of it: its idle time begins again, its refresh token stays as it is. */
  renew<T extends Granted>(sessionId: string, lookup: (identity: Identity) => Promise<T | null>): Promise<T>
}

const ADVANCE_ATTEMPTS = 10

export function createSessionChain ({
  issuer,
  calls,
  clock,
  tokens,
  arrivals,
  ending,
  lifetimes,
  retryWindow
}: ChainParts): SessionChain {
  const advancing = new Map<string, Promise<void>>()

  async function start (identity: Identity, userId: string): Promise<SessionGrant> {
    const session = newSession(identity, userId)
    await calls.open()(store => store.create(session))
    return grantOf(session, session.counter)
  }

  // The lookup runs before anything is written: when it or the store fails, the same token can come again.
  async function refresh<T extends Granted> (
    refreshToken: string,
    lookup: (identity: Identity) => Promise<T | null>
  ): Promise<SessionGrant & { granted: T }> {
    const presented = tokens.read(refreshToken)
    const ask = calls.open()
    const now = clock.now()
    const session = requireLive(await ask(store => store.read(presented.sessionId)), presented, issuer, now)
    if (ending.isListed(session.id)) {
      return await endWith(ask, session, new errors.SessionRevokedError('its end was broken off'))
    }
    const position = judge(session, presented.counter, arrivals.arrivedAt(session), retryWindow, now)
    if (position === 'reused') return await endWith(ask, session, new errors.RefreshReusedError())
    const granted = await lookup(identityOf(session)).catch(error => failedLookup(error, session, presented.counter))
    if (granted === null) {
      return await endWith(ask, session, new errors.AccessDeniedError('the lookup answered null at refresh'))
    }
    if (position === 'retry') return { ...grantOf(session, session.counter), granted }
    await advanceOnce(ask, session, presented.counter, granted.userId)
    return { ...grantOf(session, presented.counter + 1), granted }
  }

  async function renew<T extends Granted> (
    sessionId: string,
    lookup: (identity: Identity) => Promise<T | null>
  ): Promise<T> {
    const ask = calls.open()
    const session = requireGoingOn(await ask(store => store.read(sessionId)), issuer, clock.now())
    const granted = await lookup(identityOf(session))
    if (granted === null) {
      return await endWith(ask, session, new errors.AccessDeniedError('the lookup answered null at refresh'))
    }
    const used = { ...usedAt(session, clock.now(), lifetimes), userId: granted.userId, version: session.version + 1 }
    // Who used it in between has written the same, unless it was ended.
    if (!(await ask(store => store.replace(used)))) {
      requireGoingOn(await ask(store => store.read(sessionId)), issuer, clock.now())
    }
    return granted
  }

  // Callers of this server with one token share one write: a hundred of them would wait for each other at the store's row.
  async function advanceOnce (ask: Ask, seen: Session, counter: number, userId: string): Promise<void> {
    const token = `${seen.id} ${counter}`
    const running = advancing.get(token)
    if (running !== undefined) return await running
    const step = advance(ask, seen, counter, userId).finally(() => advancing.delete(token))
    advancing.set(token, step)
    await step
  }

  // Of all callers with the same token one writes; to the others its outcome is theirs, because the successor is the same.
  async function advance (ask: Ask, seen: Session, counter: number, userId: string): Promise<void> {
    let session = seen
    for (let attempt = 0; attempt < ADVANCE_ATTEMPTS; attempt++) {
      const next = {
        ...usedAt(session, clock.now(), lifetimes),
        userId,
        counter: counter + 1,
        arrivedAt: null,
        version: session.version + 1
      }
      if (await ask(store => store.replace(next))) return
      const current = await ask(store => store.read(seen.id))
      if (current === null || current.ended) throw new errors.SessionRevokedError('ended during the refresh')
      if (current.counter > counter) return
      session = current
    }
    throw new errors.StoreUnavailableError('the session could not be advanced')
  }

  async function endWith (ask: Ask, session: Session, error: Error): Promise<never> {
    await ending.session(ask, session.id)
    throw error
  }

  // The refresh did not happen, but its token had arrived.
  function failedLookup (error: unknown, session: Session, counter: number): never {
    arrivals.note(session.id, counter)
    throw error
  }

  function identityOf (session: Session): Identity {
    const identity = restoreIdentity(session.identity)
    if (identity === null) throw new errors.SessionExpiredError('its row holds no identity')
    return identity
  }

  function grantOf ({ id, secretId }: Session, counter: number): SessionGrant {
    return {
      sessionId: id,
      tokenId: tokenIdFor(counter),
      refreshToken: tokens.make({ sessionId: id, counter, secretId })
    }
  }

  function newSession (identity: Identity, userId: string): Session {
    const now = clock.now()
    const id = randomBytes(16).toString('base64url')
    const counted = { counter: 0, arrivedAt: null, ended: false, version: 0 }
    const timed = { createdAt: now, lastUsedAt: now, expiresAt: now }
    return usedAt(
      { id, issuer, userId, identity: storeIdentity(identity), secretId: tokens.secretId, ...counted, ...timed },
      now,
      lifetimes
    )
  }

  return { start, refresh, renew }
}
