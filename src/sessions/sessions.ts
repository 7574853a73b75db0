import { createDeadlines } from '../deadline.js'
import { errors } from '../errors.js'
import { isTraced, traced, type Events } from '../events.js'
import { createArrivals } from './arrivals.js'
import { createSessionChain, type SessionChain } from './chain.js'
import { createEnding } from './ending.js'
import type { Occasion, RevocableToken } from './end-step.js'
import { counterOf, createRefreshTokens } from './refresh-token.js'
import { createRevocationFeed } from './revocation-feed.js'
import { createRevocations, type RevocableUser } from './revocations.js'
import { requireOperations, type ResolvedSessionOptions } from './session-options.js'
import { identityKeyOf, providerSessionOf, requireKey, usedAt } from './session.js'
import type { ListedSession, SessionStore, SpentKey } from './store.js'
import { createStoreCalls, createStoreClock } from './store-calls.js'

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
  readonly events: Events
}

/** Whether the store answers, as this server has last seen it. Milliseconds. */
export interface StoreHealth {
  readonly ok: boolean
  /** When that began, since the epoch. */
  readonly since: number
  /** Since this server has last read what was revoked. */
  readonly lag: number
}

/** Everything rejects with errors.StoreUnavailableError, within a second, when the store cannot be reached. */
export interface Sessions extends SessionChain {
  /** Reads what was revoked, for a few seconds at most, and follows it. Does not reject: a store may come later. */
  open (): Promise<void>
  /**
   * For each request, synchronous.
   * @throws errors.TokenRevokedError, errors.StoreUnavailableError (with `whenStale: 'refuse'`)
   * @throws errors.TokenExpiredError when nobody can tell any more whether it was revoked: a refresh helps
   */
  check (user: RevocableUser): void
  /** This server has seen a good access token for the first time: its refresh token has arrived. Returns at once. */
  seen (user: RevocableUser): void
  /** The user's sessions, the last used first. */
  list (userId: string, currentId: string | null): Promise<SessionEntry[]>
  /** @param on `@default` the operator revokes it */
  revokeSession (sessionId: string, on?: Occasion): Promise<void>
  /** All sessions of the user but `currentId`. */
  revokeOthers (userId: string, currentId: string | null, on?: Occasion): Promise<void>
  /** All sessions of the user, and all its access tokens up to now; `current` is that of who asks for it. */
  revokeUser (userId: string, on?: Occasion, current?: RevocableToken): Promise<void>
  /**
   * All sessions that an identity of a provider began until `before`, and all access tokens that it has of then.
   * @param before milliseconds @default now
   * @throws errors.OptionInvalidError where the application's own store is older than that
   */
  endIdentity (provider: string, subject: string, before?: number, on?: Occasion): Promise<void>
  /** All sessions that began until then in one session at the provider, by its `sid`. @throws as `endIdentity` */
  endProviderSession (provider: string, sid: string, before?: number, on?: Occasion): Promise<void>
  /** One access token. */
  revokeToken (token: RevocableToken, on?: Occasion): Promise<void>
  /**
   * RFC 7009: ends the session of a refresh token, of an old one too.
   *
   * @param jkt of the key that came with it
   * @throws errors.RefreshInvalidError; KeyMissing for a bound one without its key
   */
  revokeRefreshToken (refreshToken: string, on?: Occasion, jkt?: string | null): Promise<void>
  /** By the store's clock, which all its servers go by. Milliseconds. */
  now (): number
  /** All of `keys`, or none and false. `expiresAt` in milliseconds. */
  spend (keys: readonly SpentKey[]): Promise<boolean>
  /** Keeps a value for `lifetime` milliseconds, on every server of the store. */
  keep (key: string, value: string, lifetime: number): Promise<void>
  /** Takes a kept value away, once; null where there is none any more. */
  take (key: string): Promise<string | null>
  /** Asks nobody. */
  health (): StoreHealth
  /** Waits until what is written behind the requests is written, or has to wait for the store. Does not reject. */
  flush (): Promise<void>
  /** Stops following, and lets go of what it holds of the store's connections, before their owner closes them. */
  unfollow (): void
  /** Writes what waits, for two seconds at most, and gives up what is under way. */
  close (): Promise<void>
}

const byOperator: Occasion = { cause: 'revoked' }
const byProvider: Occasion = { cause: 'provider' }

/** Sessions beyond `perUser` that are looked at: those of logins at the same moment, and expired ones. */
const overlap = 1000
/** Milliseconds between two rounds of upkeep, and for a sweep. */
const upkeepInterval = 600_000
const sweepTime = 30_000
/**
 * Milliseconds for the first contact, in which a store may have to start up and make its tables, and for reading what
 * was revoked, after it. Fastify gives a plugin 10 s.
 */
const firstContact = 4_000
const firstReading = 5_000
/** Milliseconds that are left on close for what waits to be written. */
const lastWrites = 2_000

export function createSessions (
  options: ResolvedSessionOptions,
  { issuer, accessTokenLifetime, clockTolerance, report, events }: SessionsContext
): Sessions {
  const { whenStale, perUser, revocationLimit } = options
  const tokenLifetime = accessTokenLifetime + clockTolerance
  const lifetimes = { idle: options.idleLifetime * 1000, absolute: options.absoluteLifetime * 1000 }
  const retryWindow = options.retryWindow * 1000
  const deadlines = createDeadlines()
  const store = traceable(options.store)
  const calls = createStoreCalls(store, deadlines)
  const clock = createStoreClock(calls)
  const tokens = createRefreshTokens(options.secrets, issuer)
  const revocations = createRevocations({ tokenLifetime, limit: revocationLimit, clock, report })
  const arrivals = createArrivals(calls, clock.now, (session, at) => usedAt(session, at, lifetimes))
  const ending = createEnding({ issuer, tokenLifetime, perUser, calls, clock, revocations, events })
  const parts = { issuer, calls, revocations, ending, events }
  const feed = createRevocationFeed({ store, calls, clock, revocations, issuer, report, events, heard })
  const chain =
    createSessionChain({ ...parts, clock, tokens, arrivals, readOn: feed.readOn, lifetimes, retryWindow })
  let upkeep: NodeJS.Timeout | undefined

  async function open (): Promise<void> {
    if (options.isDefaultStore) report('sessions live in the memory of this process: memoryStore() serves one server')
    upkeep = setInterval(() => { keepUp().catch(() => {}) }, upkeepInterval).unref()
    await clock.align(firstContact).catch(() => {})
    await feed.start(firstReading)
  }

  function heard (): void {
    ending.goOn()
    // The store was down when this server started.
    if (!clock.isAligned()) clock.align().catch(() => {})
  }

  // An outage is reported by the feed, which asks far more often; the next round makes up for this one.
  async function keepUp (): Promise<void> {
    await clock.align().catch(() => {})
    await calls.open(sweepTime)(store => store.sweep(Date.now())).catch(() => {})
  }

  function check (user: RevocableUser): void {
    if (revocations.isRevoked(user)) throw new errors.TokenRevokedError()
    if (revocations.isDoubtful(user)) throw new errors.TokenExpiredError('revocationLimit passed')
    if (whenStale === 'refuse' && feed.age() > options.maxStaleness * 1000) {
      throw new errors.StoreUnavailableError('for longer than maxStaleness nothing was learned of what was revoked')
    }
  }

  function seen ({ sessionId, tokenId }: RevocableUser): void {
    const counter = counterOf(tokenId)
    if (sessionId !== null && counter !== null) arrivals.note(sessionId, counter)
  }

  async function list (userId: string, currentId: string | null): Promise<SessionEntry[]> {
    const listed = await calls.open()(store => store.list(issuer, userId, perUser + overlap))
    const going = listed.filter(({ id, expiresAt, identityKey }) =>
      expiresAt > clock.now() && !revocations.isEnded(id, userId, identityKey))
    const lastUsed = going.sort((one, other) => other.lastUsedAt - one.lastUsedAt).slice(0, perUser)
    return lastUsed.map(session => entryOf(session, currentId))
  }

  async function revokeRefreshToken (
    refreshToken: string,
    on = byOperator,
    jkt: string | null = null
  ): Promise<void> {
    const { sessionId } = tokens.read(refreshToken)
    await ending.session(calls.open(), sessionId, on, session => requireKey(session, jkt))
  }

  async function flush (): Promise<void> {
    await Promise.all([arrivals.flush(), ending.settled()])
  }

  function unfollow (): void {
    feed.close()
    clearInterval(upkeep)
  }

  async function close (): Promise<void> {
    unfollow()
    ending.close()
    const limit = setTimeout(deadlines.close, lastWrites)
    await Promise.all([arrivals.close(), ending.settled()])
    clearTimeout(limit)
    deadlines.close()
  }

  return {
    ...chain,
    open,
    check,
    seen,
    list,
    revokeSession: (sessionId, on = byOperator) => ending.session(calls.open(), sessionId, on),
    revokeOthers: (userId, currentId, on = byOperator) => ending.others(calls.open(), userId, currentId, on),
    revokeUser: (userId, on = byOperator, current) => ending.user(calls.open(), userId, on, current),
    async endIdentity (provider, subject, before = Infinity, on = byOperator) {
      requireOperations(store, ['listByIdentity'], 'ending the sessions of an identity')
      await ending.identity(calls.open(), identityKeyOf(provider, subject), clock.latest(before), on)
    },
    async endProviderSession (provider, sid, before = Infinity, on = byProvider) {
      requireOperations(store, ['listByProviderSession'], 'ending the sessions of one at the provider')
      await ending.providerSession(providerSessionOf(provider, sid), clock.latest(before), on)
    },
    revokeToken: (token, on = byOperator) => ending.token(calls.open(), token, on),
    revokeRefreshToken,
    now: clock.now,
    spend: keys =>
      calls.open()(store => store.spend(keys.map(({ key, expiresAt }) => ({ key: `${issuer} ${key}`, expiresAt })))),
    keep: (key, value, lifetime) =>
      calls.open()(store => store.keep(`${issuer} ${key}`, value, clock.now() + lifetime)),
    take: key => calls.open()(store => store.take(`${issuer} ${key}`)),
    health: () => ({ ...feed.state(), lag: feed.age() }),
    flush,
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

/** The same store, whose operations can be traced. */
function traceable (store: SessionStore): SessionStore {
  const operations = new Map<string | symbol, unknown>()
  return new Proxy(store, {
    get (target, operation) {
      if (!operations.has(operation)) operations.set(operation, traceableOperation(target, operation))
      return operations.get(operation)
    }
  })
}

function traceableOperation (store: SessionStore, operation: string | symbol): unknown {
  const method: unknown = Reflect.get(store, operation)
  if (typeof method !== 'function' || typeof operation !== 'string') return method
  const called = (given: unknown[]): unknown => Reflect.apply(method, store, given)
  // It answers at once, with a function that ends it.
  if (operation === 'subscribe') return (...given: unknown[]) => called(given)
  const traceableCall = (given: unknown[]) => traced('store', { operation }, () => Promise.resolve(called(given)))
  return (...given: unknown[]) => isTraced('store') ? traceableCall(given) : called(given)
}
