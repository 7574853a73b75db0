import { createDeadlines } from '../deadline.js'
import { errors } from '../errors.js'
import { createArrivals } from './arrivals.js'
import { createRefreshTokens } from './refresh-token.js'
import { createRevocationFeed } from './revocation-feed.js'
import { createRevocations, type RevocableUser } from './revocations.js'
import { usedAt } from './rotation.js'
import { createSessionChain, type SessionChain } from './session-chain.js'
import { createSessionClock } from './session-clock.js'
import { createSessionEnding, type CurrentToken } from './session-ending.js'
import type { ResolvedSessionOptions } from './session-options.js'
import type { ListedSession, SpentKey } from './store.js'
import { createStoreCalls } from './store-calls.js'
import { counterOf } from './token-id.js'
import { createUpkeep } from './upkeep.js'

/** Sessions of one user that are shown to it. */
const LISTED = 1000

/** A session as its user sees it. Times are seconds since the epoch. */
export interface SessionEntry {
  readonly id: string
  readonly createdAt: number
  readonly lastUsedAt: number
  readonly expiresAt: number
  readonly current: boolean
}

export interface SessionsContext {
  readonly issuer: string
  /** Seconds. */
  readonly accessTokenLifetime: number
  /** Seconds. */
  readonly clockTolerance: number
  /** The operator's log: the store has fallen silent, or is back. */
  readonly report: (message: string, error?: unknown) => void
}

/** Everything rejects with errors.StoreUnavailableError, within a second, when the store cannot be reached. */
export interface Sessions extends SessionChain {
  /** Hears of revocations once and begins to follow them. Does not reject: a store may come later. */
  open (): Promise<void>
  /** For each request, synchronous. @throws errors.TokenRevokedError, errors.StoreUnavailableError (with `whenStale: 'refuse'`) */
  check (user: RevocableUser): void
  /** A verified access token was seen for the first time by this server: its refresh token has arrived. Returns at once. */
  seen (user: RevocableUser): void
  /** The user's sessions, the last used first. */
  list (userId: string, currentId: string | null): Promise<SessionEntry[]>
  revokeSession (sessionId: string): Promise<void>
  /** All sessions of the user but `currentId`. */
  revokeOthers (userId: string, currentId: string | null): Promise<void>
  /** All sessions of the user, and all its access tokens up to now; `current` is that of who asks for it. */
  revokeUser (userId: string, current?: CurrentToken): Promise<void>
  /** One access token: `expiresAt` in seconds, its `exp`. */
  revokeToken (tokenId: string, expiresAt: number): Promise<void>
  /** RFC 7009: ends the session of a refresh token, of an old one too. @throws errors.RefreshInvalidError */
  revokeRefreshToken (refreshToken: string): Promise<void>
  /** All of `keys`, or none and false. `expiresAt` in milliseconds. */
  spend (keys: readonly SpentKey[]): Promise<boolean>
  /** Waits until the arrivals that were seen are written, or have to wait for the store. Does not reject. */
  flush (): Promise<void>
  /** Stops following, and lets go of what it holds of the store's connections, before their owner closes them. */
  unfollow (): void
  /** Writes what waits, and gives up what is under way. */
  close (): Promise<void>
}

export function createSessions (
  options: ResolvedSessionOptions,
  { issuer, accessTokenLifetime, clockTolerance, report }: SessionsContext
): Sessions {
  const { store, whenStale } = options
  const tokenLifetime = accessTokenLifetime + clockTolerance
  const lifetimes = { idle: options.idleLifetime * 1000, absolute: options.absoluteLifetime * 1000 }
  const deadlines = createDeadlines()
  const calls = createStoreCalls(store, deadlines)
  const clock = createSessionClock(calls)
  const tokens = createRefreshTokens(options.secrets, issuer)
  const revocations = createRevocations(tokenLifetime)
  const arrivals = createArrivals(calls, clock.now, (session, at) => usedAt(session, at, lifetimes))
  const ending = createSessionEnding(issuer, tokenLifetime, revocations)
  const feed = createRevocationFeed({
    store,
    calls,
    revocations,
    issuer,
    report,
    heard: async () => await ending.finish(calls.open())
  })
  const upkeep = createUpkeep(calls, clock)
  const retryWindow = options.retryWindow * 1000
  const chain = createSessionChain({ issuer, calls, clock, tokens, arrivals, ending, lifetimes, retryWindow })

  async function open (): Promise<void> {
    if (options.isDefaultStore) report('sessions live in the memory of this process: memoryStore() serves one server')
    await upkeep.start()
    await feed.start()
  }

  function check (user: RevocableUser): void {
    if (revocations.isRevoked(user)) throw new errors.TokenRevokedError()
    if (whenStale === 'refuse' && feed.age() > options.maxStaleness * 1000) {
      throw new errors.StoreUnavailableError('no revocations heard of for longer than maxStaleness')
    }
  }

  function seen ({ sessionId, tokenId }: RevocableUser): void {
    const counter = counterOf(tokenId)
    if (sessionId !== null && counter !== null) arrivals.note(sessionId, counter)
  }

  async function list (userId: string, currentId: string | null): Promise<SessionEntry[]> {
    const sessions = await calls.open()(store => store.list(issuer, userId, LISTED))
    const alive = sessions.filter(({ ended, expiresAt }) => !ended && expiresAt > clock.now())
    return alive.toSorted((one, other) => other.lastUsedAt - one.lastUsedAt).map(session => entryOf(session, currentId))
  }

  function unfollow (): void {
    feed.close()
    upkeep.close()
  }

  async function close (): Promise<void> {
    unfollow()
    await arrivals.close()
    deadlines.close()
  }

  return {
    ...chain,
    open,
    check,
    seen,
    list,
    revokeSession: sessionId => ending.session(calls.open(), sessionId),
    revokeOthers: (userId, currentId) => ending.others(calls.open(), userId, currentId),
    revokeUser: (userId, current) => ending.user(calls.open(), userId, current),
    revokeToken: (tokenId, expiresAt) => ending.token(calls.open(), tokenId, expiresAt + clockTolerance),
    revokeRefreshToken: async refreshToken => await ending.session(calls.open(), tokens.read(refreshToken).sessionId),
    spend: keys =>
      calls.open()(store => store.spend(keys.map(({ key, expiresAt }) => ({ key: `${issuer} ${key}`, expiresAt })))),
    flush: arrivals.flush,
    unfollow,
    close
  }
}

function entryOf ({ id, createdAt, lastUsedAt, expiresAt }: ListedSession, currentId: string | null): SessionEntry {
  const inSeconds = (time: number): number => Math.floor(time / 1000)
  return {
    id,
    createdAt: inSeconds(createdAt),
    lastUsedAt: inSeconds(lastUsedAt),
    expiresAt: inSeconds(expiresAt),
    current: id === currentId
  }
}
