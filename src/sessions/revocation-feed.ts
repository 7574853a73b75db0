import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Events } from '../events.js'
import type { Revocations } from './revocations.js'
import type { Revocation, SessionStore } from './store.js'
import type { StoreCalls, StoreClock } from './store-calls.js'

/** Milliseconds between two polls: what one server revokes is refused by all others within a second. */
const pollInterval = 400
const purgeInterval = 30_000

/** Keeps this server's list of revocations up to date, and knows how old it is. */
export interface RevocationFeed {
  /**
   * Begins to follow, and waits until the list has been read, but no longer than that: the rest is read behind.
   * Does not reject: a store that is down is asked again.
   */
  start (milliseconds: number): Promise<void>
  /** Reads what was appended until now. @throws errors.StoreUnavailableError */
  readOn (): Promise<void>
  /** Whether the store answers, and since when (milliseconds since the epoch). */
  state (): { readonly ok: boolean, readonly since: number }
  /** Milliseconds since the list was last read to its end; Infinity before the first time. */
  age (): number
  close (): void
}

export interface FeedParts {
  readonly store: SessionStore
  readonly calls: StoreCalls
  readonly clock: Pick<StoreClock, 'now'>
  readonly revocations: Revocations
  readonly issuer: string
  /** Called once when the store falls silent, and once when it is back. */
  readonly report: (message: string, error?: unknown) => void
  readonly events: Events
  /** Called each time that the list is up to date. */
  readonly heard: () => void
}

export function createRevocationFeed (parts: FeedParts): RevocationFeed {
  const { store, calls, clock, revocations, issuer, report, events, heard } = parts
  let cursor: string | null = null
  let heardAt = -Infinity
  let heardTick = -Infinity
  let purgedAt = 0
  let timer: NodeJS.Timeout | undefined
  let reading: Promise<void> | undefined
  let unsubscribe: (() => void) | undefined
  let silent = false
  let since = Date.now()
  let closed = false

  async function readAll (): Promise<void> {
    const began = [Date.now(), performance.now()] as const
    for (let isNew = true; isNew;) {
      const page = await calls.open()(async store => await store.revocations(cursor, clock.now()))
      for (const revocation of page.revocations) if (revocation.issuer === issuer) hear(revocation)
      isNew = page.revocations.length > 0 && page.cursor !== cursor
      cursor = page.cursor
      // A store in memory answers before anything else gets its turn.
      if (isNew) await nextTurn()
    }
    [heardAt, heardTick] = began
  }

  // The first reading brings what was revoked before this server was there: nothing that has just happened.
  function hear (revocation: Revocation): void {
    const isNews = heardAt !== -Infinity && !revocations.isOwn(revocation)
    revocations.add(revocation)
    if (!isNews || !events.isHeard()) return
    const milliseconds = Math.max(0, clock.now() - revocations.madeAt(revocation))
    events.publish({ type: 'revocation.heard', milliseconds })
  }

  function turn (isSilent: boolean): void {
    if (isSilent === silent) return
    silent = isSilent
    since = Date.now()
    events.publish({ type: silent ? 'store.unavailable' : 'store.recovered' })
  }

  // One reader at a time: two would race on the cursor.
  async function catchUp (): Promise<void> {
    reading ??= readAll().finally(() => { reading = undefined })
    await reading
  }

  // A reading that had begun before may have passed it.
  async function readOn (): Promise<void> {
    await reading?.catch(() => {})
    await catchUp()
  }

  // Runs by itself, from timers and wake-ups: nothing that it does may reject.
  async function poll (): Promise<void> {
    clearTimeout(timer)
    try {
      await catchUp()
      if (silent) report('the session store answers again')
      turn(false)
      purge()
      heard()
    } catch (error) {
      if (!silent && !closed) {
        report('the session store does not answer: this server does not learn what other servers revoke', error)
      }
      if (!closed) turn(true)
    }
    clearTimeout(timer)
    if (!closed) timer = setTimeout(() => { poll().catch(() => {}) }, pollInterval).unref()
  }

  function purge (): void {
    if (Math.abs(Date.now() - purgedAt) < purgeInterval) return
    purgedAt = Date.now()
    revocations.purge()
  }

  // A wake-up that comes while a poll reads may be about something that it has just missed: read again after it.
  function wake (): void {
    if (closed) return
    if (reading === undefined) poll().catch(() => {})
    else reading.then(poll, () => {})
  }

  async function start (milliseconds: number): Promise<void> {
    let limit: NodeJS.Timeout | undefined
    await Promise.race([poll(), new Promise(resolve => { limit = setTimeout(resolve, milliseconds) })])
    clearTimeout(limit)
    if (heardAt === -Infinity && !silent) report('the list of revocations is long: this server goes on reading it')
    if (!closed) unsubscribe = subscribe()
  }

  function subscribe (): (() => void) | undefined {
    try {
      return store.subscribe?.(wake)
    } catch (error) {
      report('the session store wakes nobody for revocations: they are polled for', error)
    }
  }

  // By both clocks: one that was set back must not make an old list look fresh.
  function age (): number {
    return Math.max(Date.now() - heardAt, performance.now() - heardTick)
  }

  function close (): void {
    closed = true
    clearTimeout(timer)
    unsubscribe?.()
  }

  return { start, readOn, state: () => ({ ok: !silent, since }), age, close }
}
