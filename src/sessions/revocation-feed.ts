import type { Revocations } from './revocations.js'
import type { SessionStore } from './store.js'
import type { StoreCalls } from './store-calls.js'

/** Milliseconds between two polls: what one server revokes is refused by all others within a second. */
const POLL = 400
const PURGE = 30_000

/** Keeps this server's list of revocations up to date, and knows how old it is. */
export interface RevocationFeed {
  /** Catches up once and begins to follow. Does not reject: a store that is down is asked again. */
  start (): Promise<void>
  /** Reads what is new, now. @throws errors.StoreUnavailableError */
  catchUp (): Promise<void>
  /** Milliseconds since the store was last heard of; Infinity before the first time. */
  age (): number
  close (): void
}

export interface FeedParts {
  readonly store: SessionStore
  readonly calls: StoreCalls
  readonly revocations: Revocations
  readonly issuer: string
  /** Called once when the store falls silent, and once when it is back. */
  readonly report: (message: string, error?: unknown) => void
  /** Called each time that the list is up to date. Does not reject. */
  readonly heard: () => Promise<void>
}

export function createRevocationFeed ({ store, calls, revocations, issuer, report, heard }: FeedParts): RevocationFeed {
  let cursor: string | null = null
  let heardAt = -Infinity
  let heardTick = -Infinity
  let purgedAt = 0
  let timer: NodeJS.Timeout | undefined
  let reading: Promise<void> | undefined
  let unsubscribe: (() => void) | undefined
  let silent = false
  let closed = false

  async function readAll (): Promise<void> {
    const began = [Date.now(), performance.now()] as const
    for (let isNew = true; isNew;) {
      const page = await calls.open()(async store => await store.revocations(cursor, 0))
      for (const revocation of page.revocations) if (revocation.issuer === issuer) revocations.add(revocation)
      isNew = page.revocations.length > 0 && page.cursor !== cursor
      cursor = page.cursor
    }
    [heardAt, heardTick] = began
  }

  // One reader at a time: two would race on the cursor.
  async function catchUp (): Promise<void> {
    reading ??= readAll().finally(() => { reading = undefined })
    await reading
  }

  async function poll (): Promise<void> {
    clearTimeout(timer)
    try {
      await catchUp()
      await heard()
      if (silent) report('the session store answers again')
      silent = false
    } catch (error) {
      if (!silent && !closed) {
        report('the session store does not answer: revocations of other servers are not heard of', error)
      }
      silent = true
    }
    purge()
    clearTimeout(timer)
    if (!closed) timer = setTimeout(poll, POLL).unref()
  }

  function purge (): void {
    if (Math.abs(Date.now() - purgedAt) < PURGE) return
    purgedAt = Date.now()
    revocations.purge(purgedAt)
  }

  // A wake-up that comes while a poll reads may be about something that it has just missed: read again after it.
  function wake (): void {
    if (closed) return
    if (reading === undefined) poll()
    else reading.then(poll, () => {})
  }

  async function start (): Promise<void> {
    await poll()
    if (!closed) unsubscribe = store.subscribe?.(wake)
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

  return { start, catchUp, age, close }
}
