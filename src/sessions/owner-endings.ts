import type { EndStep, Occasion, RevocableToken } from './end-step.js'
import { chunk, chunksOf, idsOf, listOf, type EndsBehind, type Owner } from './ends-behind.js'
import { beganAt } from './refresh-token.js'
import type { Revocations } from './revocations.js'
import type { ListedSession, Revocation } from './store.js'
import type { Ask, StoreCalls, StoreClock } from './store-calls.js'

/** Ends of many sessions: of a user, of an identity, of a session at the provider. */
export interface OwnerEndings {
  /** Some of a user's, whose rows have just been read. */
  each (ask: Ask, userId: string, sessions: readonly ListedSession[], on: Occasion): Promise<void>
  /** Whether the user has had so many entries that one for all its sessions is shorter. @param number that come */
  isTooMany (userId: string, number: number): boolean
  others (ask: Ask, userId: string, current: string | null, on: Occasion): Promise<void>
  user (ask: Ask, userId: string, on: Occasion, current?: RevocableToken): Promise<void>
  identity (ask: Ask, identityKey: string, before: number, on: Occasion): Promise<void>
  providerSession (name: string, before: number, on: Occasion): Promise<void>
  surplus (ask: Ask, userId: string): Promise<void>
}

export interface OwnerEndingsParts {
  readonly issuer: string
  /** Seconds that an access token can live, tolerance included. */
  readonly tokenLifetime: number
  /** Sessions that a user may have. */
  readonly perUser: number
  readonly calls: StoreCalls
  readonly clock: Pick<StoreClock, 'now'>
  readonly revocations: Revocations
}

/** By the entry of an owner, and by the sessions that the store knows. Milliseconds. */
interface Bounds { readonly at: number, readonly before: number, readonly on: Occasion }

/** Sessions that are listed, and ended, while somebody waits. */
const page = 100

export function createOwnerEndings (
  { issuer, tokenLifetime, perUser, calls, clock, revocations }: OwnerEndingsParts,
  { entry, tokenEntry, end, tell }: EndStep,
  behind: EndsBehind
): OwnerEndings {
  const counts = createCounts(tokenLifetime * 1000, clock.now)

  const isTooMany = (userId: string, number: number): boolean => counts.add(userId, number) > 10 * perUser

  async function each (
    ask: Ask,
    userId: string,
    sessions: readonly ListedSession[],
    on: Occasion
  ): Promise<void> {
    const ids = idsOf(sessions)
    // So many of one user would fill the list of every server: one entry is for all that are not newer.
    if (isTooMany(userId, ids.length)) return await until(ask, userId, Math.max(...ids.map(beganAt)), sessions, on)
    for (const some of chunksOf(ids)) await end(ask, some, some.map(id => entry('session', id)))
    tell(sessions, on)
  }

  async function until (
    ask: Ask,
    userId: string,
    time: number,
    known: readonly ListedSession[],
    on: Occasion
  ): Promise<void> {
    await end(ask, idsOf(known).slice(0, chunk), [entry('sessions', userId, time)])
    tell(known, on)
    behind.leave({ kind: 'user', id: userId }, time)
    behind.goOn()
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
    const entries = [entry('user', userId, at)]
    const sessionId = current?.sessionId ?? null
    const isAhead = sessionId !== null && beganAt(sessionId) > at
    if (isAhead) entries.push(entry('session', sessionId))
    if (current?.sessionId === null) entries.push(tokenEntry(current.tokenId, current.expiresAt))
    await end(ask, isAhead ? [sessionId] : [], entries)
    await endRows(ask, { kind: 'user', id: userId }, { at, before: Infinity, on })
  }

  async function identity (ask: Ask, identityKey: string, before: number, on: Occasion): Promise<void> {
    const now = revocations.next(null, identityKey)
    const at = Math.min(before, now)
    await end(ask, [], [entry('identity', identityKey, at)])
    await endRows(ask, { kind: 'identity', id: identityKey }, { at, before: limitOf(before, now), on })
  }

  // What has ended by an entry is refused already. A page of the rows ends before the caller is answered.
  async function endRows (ask: Ask, owner: Owner, bounds: Bounds): Promise<void> {
    behind.leave(owner, bounds.at)
    await endKnown(ask, owner, bounds).catch(() => {})
    behind.goOn()
  }

  async function endKnown (ask: Ask, owner: Owner, { at, before, on }: Bounds): Promise<void> {
    const listed = await ask(listOf(issuer, owner))
    const known = listed.filter(({ id }) => beganAt(id) <= before)
    const ahead = known.filter(({ id, userId, identityKey }) => !revocations.isEnded(id, userId, identityKey))
    if (known.length > 0) await end(ask, idsOf(known), ahead.map(({ id }) => entry('session', id)))
    tell(known, on)
    if (listed.length < chunk) behind.done(owner, at)
  }

  // The entry is for logins that are under way. Its sessions have one each, as their tokens do not name it.
  async function providerSession (name: string, before: number, on: Occasion): Promise<void> {
    const now = revocations.next(null)
    await end(calls.open(), [], [entry('provider-session', name, Math.min(before, now))])
    for (let last: string | undefined, isMore = true; isMore;) {
      const ask = calls.open()
      const listed = await ask(store => store.listByProviderSession(issuer, name, page))
      const known = listed.filter(({ id }) => beganAt(id) <= limitOf(before, now))
      // The same again: a store that lists what it has ended must not keep this going for ever.
      if (known[0] === undefined || known[0].id === last) return
      last = known[0].id
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
    const mark = last === undefined ? [] : [entry('sessions', userId, last.createdAt)]
    return [...mark, ...ended.filter(session => !isOlder(session)).map(({ id }) => entry('session', id))]
  }

  return { each, isTooMany, others, user, identity, providerSession, surplus }
}

/** Sessions that began later go on. None do where all of now have to end: the clocks of servers differ. */
function limitOf (before: number, now: number): number {
  return before < now ? before : Infinity
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
