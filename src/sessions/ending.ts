import type { FastifyRequest } from 'fastify'
import type { EndCause, Events } from '../events.js'
import { skew } from './marks.js'
import { beganAt } from './refresh-token.js'
import type { RevocableUser, Revocations } from './revocations.js'
import type { ListedSession, Revocation, Session, SessionStore } from './store.js'
import type { Ask, StoreCalls, StoreClock } from './store-calls.js'

/** The access token of who asks for an end, or which is itself to end. `expiresAt` in seconds, its `exp`. */
export type RevocableToken = Omit<RevocableUser, 'issuedAt' | 'provider' | 'subject'> & { readonly expiresAt: number }

/** Why something ends, and at whose request. */
export interface Occasion { readonly cause: EndCause, readonly request?: FastifyRequest | null }

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

export interface EndingParts {
  readonly issuer: string
  /** Seconds that an access token can live, tolerance included. */
  readonly tokenLifetime: number
  /** Sessions that a user may have. */
  readonly perUser: number
  readonly calls: StoreCalls
  readonly clock: Pick<StoreClock, 'now'>
  readonly revocations: Revocations
  readonly events: Events
}

/** Whose sessions end together. */
interface Owner { readonly kind: 'user' | 'identity', readonly id: string }

/** By the entry of an owner, and by the sessions that the store knows. Milliseconds. */
interface Bounds { readonly at: number, readonly before: number, readonly on: Occasion }

/** Sessions that are listed, and ended, in one call of the store. */
const chunk = 1000
/** Those that are listed, and ended, while somebody waits. */
const page = 100
/** Milliseconds for a call that no request waits for: a process that is busy reads its sockets late. */
const patience = 10_000
/** Sessions whose end was broken off, and how often the list was read since then without naming them. */
const brokenOffLimit = 10_000
const rounds = 100

export function createEnding (parts: EndingParts): Ending {
  const { issuer, tokenLifetime, perUser, calls, clock, revocations, events } = parts
  const running = new Map<string, Promise<void>>()
  const behind = { user: new Map<string, number>(), identity: new Map<string, number>() }
  const brokenOff = new Map<string, number>()
  const counts = createCounts(tokenLifetime * 1000, clock.now)
  let working: Promise<void> | undefined
  let closed = false

  function revocation (kind: Revocation['kind'], id: string, at = clock.now()): Revocation {
    return { kind, issuer, id, at, expiresAt: clock.now() + tokenLifetime * 1000 + skew }
  }

  function tokenEntry (tokenId: string, expiry: number): Revocation {
    const entry = revocation('token', tokenId)
    return { ...entry, expiresAt: Math.max(entry.expiresAt, expiry * 1000 + skew) }
  }

  // The list first: once the row has ended nothing would remind us of its access tokens.
  // This server's own list last: as long as the caller is told 503, its token must be good for another attempt.
  async function end (ask: Ask, sessionIds: readonly string[], entries: readonly Revocation[]): Promise<void> {
    entries.forEach(revocations.own)
    try {
      if (sessionIds.length > 0) await ask(store => store.end(sessionIds, entries))
      else if (entries.length > 0) await ask(store => store.revoke(entries))
    } catch (error) {
      for (const id of sessionIds) if (brokenOff.size < brokenOffLimit) brokenOff.set(id, 0)
      throw error
    }
    for (const entry of entries) revocations.add(entry)
  }

  /** Of sessions that go on until now. */
  function tell (ended: readonly ListedSession[], { cause, request = null }: Occasion): void {
    if (!events.isHeard()) return
    for (const { id, userId, clientId } of ended) {
      const client = clientId === undefined ? {} : { clientId }
      events.publish({ type: 'session.ended', cause, sessionId: id, userId, ...client }, request)
    }
  }

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
    if (isAlive && !revocations.isEnded(id, userId, identityKey)) revocations.add(revocation('session', id))
  }

  // Callers at once share one end: each would append an entry.
  async function live (ask: Ask, session: ListedSession, on: Occasion): Promise<void> {
    const step = running.get(session.id) ?? endOne(ask, session, on).finally(() => running.delete(session.id))
    running.set(session.id, step)
    await step
  }

  async function endOne (ask: Ask, session: ListedSession, on: Occasion): Promise<void> {
    const { id, userId, identityKey, expiresAt } = session
    const isRefused = revocations.isEnded(id, userId, identityKey) || expiresAt + tokenLifetime * 1000 <= clock.now()
    if (isRefused) await end(ask, [id], [])
    else await each(ask, userId, [session], on)
  }

  async function each (
    ask: Ask,
    userId: string,
    sessions: readonly ListedSession[],
    on: Occasion
  ): Promise<void> {
    const ids = idsOf(sessions)
    // So many of one user would fill the list of every server: one entry is for all that are not newer.
    const isTooMany = counts.add(userId, ids.length) > 10 * perUser
    if (isTooMany) return await until(ask, userId, Math.max(...ids.map(beganAt)), sessions, on)
    for (const some of chunksOf(ids)) await end(ask, some, some.map(id => revocation('session', id)))
    tell(sessions, on)
  }

  async function until (
    ask: Ask,
    userId: string,
    time: number,
    known: readonly ListedSession[],
    on: Occasion
  ): Promise<void> {
    await end(ask, idsOf(known).slice(0, chunk), [revocation('sessions', userId, time)])
    tell(known, on)
    leaveBehind({ kind: 'user', id: userId }, time)
    goOn()
  }

  async function others (ask: Ask, userId: string, current: string | null, on: Occasion): Promise<void> {
    const began = current === null ? clock.now() + 1 : beganAt(current)
    const listed = await ask(store => store.list(issuer, userId, perUser + chunk))
    const found = listed.filter(({ id }) => id !== current)
    const older = found.filter(({ id }) => beganAt(id) < began)
    const newer = found.filter(({ id }) => beganAt(id) >= began)
    if (older.length > 0) await until(ask, userId, began - 1, older, on)
    if (newer.length > 0) await each(ask, userId, newer, on)
  }

  async function user (ask: Ask, userId: string, on: Occasion, current?: RevocableToken): Promise<void> {
    const at = revocations.next(userId)
    const entries = [revocation('user', userId, at)]
    const sessionId = current?.sessionId ?? null
    const isAhead = sessionId !== null && beganAt(sessionId) > at
    if (isAhead) entries.push(revocation('session', sessionId))
    if (current?.sessionId === null) entries.push(tokenEntry(current.tokenId, current.expiresAt))
    await end(ask, isAhead ? [sessionId] : [], entries)
    await endRows(ask, { kind: 'user', id: userId }, { at, before: Infinity, on })
  }

  async function identity (ask: Ask, identityKey: string, before: number, on: Occasion): Promise<void> {
    const now = revocations.next(null, identityKey)
    const at = Math.min(before, now)
    await end(ask, [], [revocation('identity', identityKey, at)])
    const until = before < now ? before : Infinity
    await endRows(ask, { kind: 'identity', id: identityKey }, { at, before: until, on })
  }

  // What has ended by an entry is refused already. A page of the rows ends before the caller is answered.
  async function endRows (ask: Ask, owner: Owner, bounds: Bounds): Promise<void> {
    leaveBehind(owner, bounds.at)
    await endKnown(ask, owner, bounds).catch(() => {})
    goOn()
  }

  // Where all of now have to end, that is those that the store knows, whatever the clock of their server: none began
  // later.
  async function endKnown (ask: Ask, owner: Owner, { at, before, on }: Bounds): Promise<void> {
    const listed = await ask(listOf(owner))
    const known = listed.filter(({ id }) => beganAt(id) <= before)
    const ahead = known.filter(({ id, userId, identityKey }) => !revocations.isEnded(id, userId, identityKey))
    if (known.length > 0) await end(ask, idsOf(known), ahead.map(({ id }) => revocation('session', id)))
    tell(known, on)
    const waiting = behind[owner.kind]
    if (listed.length < chunk && waiting.get(owner.id) === at) waiting.delete(owner.id)
  }

  function listOf ({ kind, id }: Owner): (store: SessionStore) => Promise<readonly ListedSession[]> {
    return store => kind === 'user' ? store.list(issuer, id, chunk) : store.listByIdentity(issuer, id, chunk)
  }

  // The entry is for logins that are under way. Its sessions have one each, as their tokens do not name it.
  async function providerSession (name: string, before: number, on: Occasion): Promise<void> {
    const now = revocations.next(null)
    await end(calls.open(), [], [revocation('provider-session', name, Math.min(before, now))])
    const until = before < now ? before : Infinity
    for (let isMore = true; isMore;) {
      const ask = calls.open()
      const listed = await ask(store => store.listByProviderSession(issuer, name, page))
      const known = listed.filter(({ id }) => beganAt(id) <= until)
      for (const userId of new Set(known.map(({ userId }) => userId))) {
        await each(ask, userId, known.filter(session => session.userId === userId), on)
      }
      isMore = known.length === page
    }
  }

  async function surplus (ask: Ask, userId: string): Promise<void> {
    const listed = await ask(store => store.list(issuer, userId, perUser + chunk))
    if (listed.length <= perUser) return
    const now = clock.now()
    const expired = listed.filter(({ expiresAt }) => expiresAt <= now)
    const going = listed.filter(({ expiresAt }) => expiresAt > now)
    const oldest = going.slice(0, Math.max(0, going.length - perUser))
    const ids = idsOf([...expired, ...oldest]).slice(0, chunk)
    if (ids.length === 0) return
    await end(ask, ids, entriesOf(userId, oldest, going[oldest.length]))
    tell(oldest, { cause: 'revoked' })
  }

  // One entry for all that are older than those that stay; of the same millisecond with them, one each.
  function entriesOf (userId: string, ended: readonly ListedSession[], staying?: ListedSession): Revocation[] {
    const isOlder = ({ id, createdAt }: ListedSession): boolean =>
      beganAt(id) === createdAt && createdAt < (staying?.createdAt ?? Infinity)
    const last = ended.findLast(isOlder)
    const mark = last === undefined ? [] : [revocation('sessions', userId, last.createdAt)]
    return [...mark, ...ended.filter(session => !isOlder(session)).map(({ id }) => revocation('session', id))]
  }

  async function token (
    ask: Ask,
    { id, tokenId, sessionId, expiresAt }: RevocableToken,
    on: Occasion
  ): Promise<void> {
    if (revocations.isTokenListed(tokenId)) return
    if (sessionId !== null && counts.add(id, 1) > 10 * perUser) return await session(ask, sessionId, on)
    await end(ask, [], [tokenEntry(tokenId, expiresAt)])
    const facts = { userId: id, ...(sessionId !== null && { sessionId }) }
    events.publish({ type: 'token.revoked', ...facts }, on.request)
  }

  function leaveBehind ({ kind, id }: Owner, until: number): void {
    behind[kind].set(id, Math.max(until, behind[kind].get(id) ?? 0))
  }

  function goOn (): void {
    if (working !== undefined || closed) return
    working = work().catch(() => {}).finally(() => { working = undefined })
  }

  // What an outage breaks off goes on with a later poll. What is left undone by a process that has gone is done by
  // all others, when they take its entry from their list.
  async function work (): Promise<void> {
    await endAll('user', behind.user)
    await endAll('identity', behind.identity)
    await endBrokenOff()
    const { sessions, users, identities } = revocations.leaving
    for (const ids of chunksOf([...sessions])) {
      await calls.open(patience)(store => store.end(ids, []))
      for (const id of ids) sessions.delete(id)
    }
    await endAll('user', users)
    await endAll('identity', identities)
  }

  async function endAll (kind: Owner['kind'], owners: Map<string, number>): Promise<void> {
    for (const [id, until] of owners) {
      // Behind all others first: one that fails must not keep them from their turn for ever.
      owners.delete(id)
      owners.set(id, until)
      await endUntil({ kind, id }, until)
      if (owners.get(id) === until) owners.delete(id)
    }
  }

  async function endUntil (owner: Owner, until: number): Promise<void> {
    for (let before: string | undefined, isMore = true; isMore;) {
      const listed = await calls.open(patience)(listOf(owner))
      const ids = idsOf(listed.filter(({ createdAt }) => createdAt <= until))
      // The same again: a store that lists what it has ended must not keep this going for ever.
      if (ids[0] === undefined || ids[0] === before) return
      await calls.open(patience)(store => store.end(ids, []))
      before = ids[0]
      isMore = ids.length === chunk
    }
  }

  // A store that goes away may have listed a session without saying so. Its tokens are refused then, the one too that
  // would ask again: its row has to end without that.
  async function endBrokenOff (): Promise<void> {
    const listed = [...brokenOff.keys()].filter(revocations.isListed).slice(0, chunk)
    for (const [id, round] of brokenOff) {
      if (round < rounds) brokenOff.set(id, round + 1)
      else brokenOff.delete(id)
    }
    if (listed.length === 0) return
    await calls.open(patience)(store => store.end(listed, []))
    for (const id of listed) brokenOff.delete(id)
  }

  return {
    session,
    live,
    unused: (ask, sessionId) => end(ask, [sessionId], []),
    others,
    user,
    identity,
    providerSession,
    surplus,
    token,
    earlierTokens: (ask, sessionId, version) => end(ask, [], [revocation('session', `${sessionId}.${version}`)]),
    goOn,
    settled: async () => await working,
    close: () => { closed = true }
  }
}

function idsOf (sessions: readonly ListedSession[]): string[] {
  return sessions.map(({ id }) => id)
}

function chunksOf (ids: readonly string[]): string[][] {
  return Array.from({ length: Math.ceil(ids.length / chunk) }, (_, n) => ids.slice(n * chunk, (n + 1) * chunk))
}

/** Counts by user, in windows of so many milliseconds. */
function createCounts (window: number, now: () => number): { add (userId: string, number: number): number } {
  const counts = new Map<string, number>()
  let began = now()
  return {
    add (userId, number) {
      if (Math.abs(now() - began) > window) {
        counts.clear()
        began = now()
      }
      const count = (counts.get(userId) ?? 0) + number
      counts.set(userId, count)
      return count
    }
  }
}
