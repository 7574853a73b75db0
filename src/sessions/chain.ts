import type { FastifyRequest } from 'fastify'
import { errors } from '../errors.js'
import type { Events } from '../events.js'
import type { Identity } from '../identity.js'
import type { Arrivals } from './arrivals.js'
import type { Ending } from './ending.js'
import { sessionIdAt, tokenIdFor, type RefreshTokens } from './refresh-token.js'
import type { Revocations } from './revocations.js'
import {
  judge,
  keysOf,
  requireGoingOn,
  requireKey,
  restoreIdentity,
  storeIdentity,
  usedAt,
  type Lifetimes
} from './session.js'
import type { Session } from './store.js'
import type { Ask, StoreCalls, StoreClock } from './store-calls.js'

/** What an access token says of its session. */
export interface AccessGrant {
  /** Its `sid`. */
  readonly sessionId: string
  /** Its `jti`: it says which refresh token came with it. */
  readonly tokenId: string
  /** When the session's login began. Milliseconds. */
  readonly beganAt: number
  /** The OAuth client that it was begun for, where there is one. */
  readonly clientId?: string | undefined
  /** The thumbprint of the key that its refresh tokens are bound to, where they are. */
  readonly jkt?: string | undefined
}

/** Who goes on with a session: the OAuth client, and the key that it has proven to hold, where there is one. */
export type SessionHolder = Pick<AccessGrant, 'clientId' | 'jkt'>

/** What a login or a refresh hands out beside the access token. */
export interface SessionGrant extends AccessGrant { readonly refreshToken: string }

/**
 * Why a refresh token came: for the first time; while another caller was at it, or within the retry window after its
 * answer had arrived; or because its answer was lost.
 */
export type Retry = 'none' | 'concurrent' | 'lost-answer'

/** What a refresh hands out. */
export interface RefreshGrant extends SessionGrant { readonly retry: Retry }

/** A session that somebody may go on with, as soon as the lookup has said so. One of the three is called, once. */
export interface Claim<Grant extends AccessGrant = AccessGrant> {
  readonly sessionId: string
  /** Whom the lookup is asked about. */
  readonly identity: Identity
  /**
   * The session goes on, for the user that the lookup has named.
   * @throws errors.SessionRevokedError when it or its user has been revoked since
   */
  advance (userId: string): Promise<Grant>
  /** The lookup denies access: the session ends. */
  end (): Promise<void>
  /** The lookup failed: nothing changes but that the refresh token is known to have arrived. Returns at once. */
  postpone (): void
}

/** One session is one chain of refresh tokens, each with one successor (RFC 9700, 4.14.2). */
export interface SessionChain {
  /** When a login begins, before the provider is asked. Milliseconds. */
  mark (): number
  /**
   * A session for a login with this mark.
   * @param holder for whom it is
   * @throws errors.AccessDeniedError when the user, or the identity, has been revoked since
   */
  begin (identity: Identity, userId: string, mark: number, holder?: SessionHolder): Promise<SessionGrant>
  /** Right before the login is answered. @throws as `begin` */
  confirm (identity: Identity, userId: string, mark: number): void
  /** Ends the oldest sessions of a user beyond `perUser`, once a login has succeeded. Does not reject. */
  evict (userId: string): Promise<void>
  /** Ends a session that was begun, and whose tokens nobody was given. */
  discard (sessionId: string): Promise<void>
  /**
   * @param jkt of the key that came with it
   * @throws errors.RefreshInvalidError, errors.RefreshReusedError; KeyMissing for a bound one without its key, which
   * spends and ends nothing
   * @throws errors.SessionExpiredError, errors.SessionRevokedError
   */
  present (refreshToken: string, request?: FastifyRequest | null, jkt?: string | null): Promise<Claim<RefreshGrant>>
  /**
   * The session of an access token: its idle time begins again, its refresh token stays as it is.
   * @throws as `present`
   */
  claim (sessionId: string, request?: FastifyRequest | null, jkt?: string | null): Promise<Claim>
}

export interface ChainParts {
  readonly issuer: string
  readonly calls: StoreCalls
  readonly clock: Pick<StoreClock, 'now'>
  readonly tokens: RefreshTokens
  readonly arrivals: Arrivals
  readonly revocations: Revocations
  readonly ending: Ending
  /** Reads what has been revoked until now. @throws errors.StoreUnavailableError */
  readonly readOn: () => Promise<void>
  readonly events: Events
  readonly lifetimes: Lifetimes
  /** Milliseconds. */
  readonly retryWindow: number
}

/** A session whose refresh token has been replaced; shared with another caller that had the same one. */
interface Advance { readonly advanced: Session, readonly isShared: boolean }

const writeAttempts = 10

export function createSessionChain (parts: ChainParts): SessionChain {
  const { issuer, calls, clock, tokens, arrivals, revocations, ending, readOn, events, ...durations } = parts
  const { lifetimes, retryWindow } = durations
  const advancing = new Map<string, Promise<Session>>()

  async function begin (
    identity: Identity,
    userId: string,
    mark: number,
    { clientId, jkt }: SessionHolder = {}
  ): Promise<SessionGrant> {
    confirm(identity, userId, mark)
    const ask = calls.open()
    const session = {
      ...newSession(identity, userId, revocations.beginning(userId, mark, keysOf(identity).identityKey)),
      ...(clientId !== undefined && { clientId }),
      ...(jkt !== undefined && { jkt })
    }
    await ask(store => store.create(session))
    // The provider's end of that session writes first and looks second. So does this: at least one sees the other.
    if (session.providerSession !== null) await readOn()
    if (isRevokedSince(identity, userId, mark)) await ending.unused(ask, session.id)
    confirm(identity, userId, mark)
    return refreshable(session, session.counter)
  }

  function isRevokedSince (identity: Identity, userId: string, mark: number): boolean {
    return revocations.isRevokedSince(userId, mark, keysOf(identity))
  }

  function confirm (identity: Identity, userId: string, mark: number): void {
    if (isRevokedSince(identity, userId, mark)) throw new errors.AccessDeniedError('revoked during the login')
  }

  // A store that is down is no reason to refuse a login that has succeeded: the next one makes up for it.
  async function evict (userId: string): Promise<void> {
    await ending.surplus(calls.open(), userId).catch(() => {})
  }

  async function present (
    refreshToken: string,
    request: FastifyRequest | null = null,
    jkt: string | null = null
  ): Promise<Claim<RefreshGrant>> {
    const presented = tokens.read(refreshToken)
    const ask = calls.open()
    const session = await goingOn(ask, presented.sessionId)
    // Before anything else: whoever lacks the key must not be able to end the session by an old token either.
    requireKey(session, jkt)
    const arrivedAt = arrivals.arrivedAt(session)
    const position = judge(session, presented, arrivedAt, retryWindow, clock.now())
    if (position === 'reused') {
      tellReused(session, request)
      await ending.live(ask, session, { cause: 'reused', request })
      throw new errors.RefreshReusedError()
    }
    const retry = position === 'current' ? 'none' : arrivedAt === null ? 'lost-answer' : 'concurrent'
    return {
      sessionId: session.id,
      identity: restoreIdentity(session.identity),
      async advance (userId) {
        const { advanced, isShared } = await advanceOnce(ask, session, presented.counter, userId)
        return { ...refreshable(advanced, presented.counter + 1), retry: isShared ? 'concurrent' : retry }
      },
      end: async () => await ending.live(ask, session, { cause: 'denied', request }),
      postpone: () => arrivals.note(session.id, presented.counter)
    }
  }

  async function claim (
    sessionId: string,
    request: FastifyRequest | null = null,
    jkt: string | null = null
  ): Promise<Claim> {
    const ask = calls.open()
    const session = await goingOn(ask, sessionId)
    requireKey(session, jkt)
    return {
      sessionId,
      identity: restoreIdentity(session.identity),
      async advance (userId) {
        const { version } = await write(ask, session, userId, used => used)
        // It came with no refresh token, so it does not show that one has arrived.
        const { createdAt: beganAt, clientId } = session
        return { sessionId, tokenId: tokenIdFor(null, version), beganAt, clientId, jkt: session.jkt }
      },
      end: async () => await ending.live(ask, session, { cause: 'denied', request }),
      postpone: () => {}
    }
  }

  function tellReused ({ id, userId, identity }: Session, request: FastifyRequest | null): void {
    if (!events.isHeard()) return
    const { provider, subject } = restoreIdentity(identity)
    events.publish({ type: 'session.reused', sessionId: id, userId, provider, subject }, request)
  }

  async function goingOn (ask: Ask, sessionId: string): Promise<Session> {
    const session = await read(ask, sessionId)
    return isEnded(session, session.userId) ? await refuse(ask, session) : session
  }

  async function read (ask: Ask, sessionId: string): Promise<Session> {
    const session = requireGoingOn(await ask(store => store.read(sessionId)), issuer, clock.now())
    return session.identityKey === null ? { ...session, ...keysOf(restoreIdentity(session.identity)) } : session
  }

  // It is listed, or its user is, and its row has not ended yet: the end was broken off, or comes behind.
  async function refuse (ask: Ask, session: Session): Promise<never> {
    await ending.live(ask, session, { cause: 'revoked' })
    throw new errors.SessionRevokedError()
  }

  // Callers of this server with one token share one write: a hundred of them would wait for each other at the row.
  async function advanceOnce (ask: Ask, seen: Session, counter: number, userId: string): Promise<Advance> {
    const name = `${seen.id} ${counter} ${userId}`
    const running = advancing.get(name)
    if (running !== undefined) return { advanced: await running, isShared: true }
    const step = write(ask, seen, userId, used => ({ ...used, counter: counter + 1, arrivedAt: null }), counter)
    advancing.set(name, step)
    try {
      return { advanced: await step, isShared: false }
    } finally {
      advancing.delete(name)
    }
  }

  /**
   * Writes the row as the use makes it, again where somebody else has written it meanwhile. Answers the row written.
   *
   * @param counter of the refresh token that was presented: where another request has presented it too, and has made
   *   its successor, that row is answered
   */
  async function write (
    ask: Ask,
    seen: Session,
    userId: string,
    use: (used: Session) => Session,
    counter = Infinity
  ): Promise<Session> {
    let session = seen
    for (let attempt = 0; attempt < writeAttempts; attempt++) {
      if (isEnded(session, userId)) return await refuse(ask, session)
      const isAdvanced = session.counter > counter
      if (isAdvanced && session.userId === userId) return session
      const version = session.version + 1
      const next = isAdvanced
        ? { ...session, userId, version }
        : { ...use(usedAt(session, clock.now(), lifetimes)), userId, version }
      // A later revocation of the former user no longer finds this session.
      if (userId !== session.userId) await ending.earlierTokens(ask, session.id, version)
      if (await ask(store => store.replace(next))) return isEnded(session, userId) ? await refuse(ask, next) : next
      session = await read(ask, seen.id)
    }
    throw new errors.StoreUnavailableError('the session could not be written: it kept changing')
  }

  function isEnded ({ id, userId, identityKey }: Session, nextUserId: string): boolean {
    if (revocations.isEnded(id, userId, identityKey)) return true
    return nextUserId !== userId && revocations.isEnded(id, nextUserId)
  }

  function refreshable ({ id, secretId, version, createdAt, clientId, jkt }: Session, counter: number): SessionGrant {
    return {
      sessionId: id,
      tokenId: tokenIdFor(counter, version),
      beganAt: createdAt,
      clientId,
      jkt,
      refreshToken: tokens.make({ sessionId: id, counter, secretId })
    }
  }

  function newSession (who: Identity, userId: string, began: number): Session {
    const identity = storeIdentity(who)
    const counted = { counter: 0, arrivedAt: null, ended: false, version: 0 }
    const timed = { createdAt: began, lastUsedAt: began, expiresAt: began }
    const id = sessionIdAt(began)
    const session = { id, issuer, userId, identity, ...keysOf(who), secretId: tokens.secretId, ...counted, ...timed }
    return usedAt(session, began, lifetimes)
  }

  return {
    mark: revocations.mark,
    begin,
    confirm,
    evict,
    discard: async sessionId => await ending.unused(calls.open(), sessionId),
    present,
    claim
  }
}
