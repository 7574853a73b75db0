import { setImmediate as afterPolling } from 'node:timers/promises'
import { DeadlineExceeded, type Deadlines } from '../deadline.js'
import { codeOf, errors } from '../errors.js'
import type { SessionStore } from './store.js'

/** Milliseconds that one request may wait for the store in all, so that it is answered within a second. */
const budget = 800
// Clients of a store that is gone queue commands (ioredis, pg): past this many unanswered ones we do not add to it.
const unansweredLimit = 100
const unansweredFor = 10_000

/** One call of the store, within what is left of the budget. @throws errors.StoreUnavailableError */
export type Ask = <T> (call: (store: SessionStore) => Promise<T>) => Promise<T>

/** The one way to the store. */
export interface StoreCalls {
  /**
   * Opens a budget for one request; only the time spent in the store counts.
   * @param milliseconds @default 800
   */
  open (milliseconds?: number): Ask
}

/** Every outage, of whatever kind and client, leaves here as errors.StoreUnavailableError, in time. */
export function createStoreCalls (store: SessionStore, deadlines: Deadlines): StoreCalls {
  let unanswered = 0

  function abandon (call: Promise<unknown>): void {
    unanswered++
    let counted = true
    const timer = setTimeout(forget, unansweredFor).unref()
    function forget (): void {
      clearTimeout(timer)
      if (counted) unanswered--
      counted = false
    }
    call.then(forget, forget)
  }

  // A process that was held up runs its timers before it reads its sockets: what has come by then counts as in time.
  async function late<T> (answer: Promise<T>, error: DeadlineExceeded): Promise<T> {
    await afterPolling()
    try {
      return await Promise.race([answer, Promise.reject(error)])
    } catch (error) {
      if (error instanceof DeadlineExceeded) abandon(answer)
      throw unavailable(error)
    }
  }

  function open (milliseconds = budget): Ask {
    let left = milliseconds
    return async call => {
      if (unanswered >= unansweredLimit) throw new errors.StoreUnavailableError('too many calls are unanswered')
      const started = performance.now()
      const answer = asked(call, store)
      try {
        return await deadlines.within(Math.max(1, left), () => answer)
      } catch (error) {
        if (!(error instanceof DeadlineExceeded)) throw unavailable(error)
        return await late(answer, error)
      } finally {
        left -= performance.now() - started
      }
    }
  }

  return { open }
}

// What an own store throws before it answers with a promise is an outage as well.
function asked<T> (call: (store: SessionStore) => Promise<T>, store: SessionStore): Promise<T> {
  try {
    return call(store)
  } catch (error) {
    return Promise.reject(unavailable(error))
  }
}

// Neither the message nor the error itself is kept: clients attach the command with its arguments, which hold e-mails.
function unavailable (error: unknown): Error {
  if (error instanceof Error && codeOf(error) === errors.StoreUnavailableError.code) return error
  if (error instanceof DeadlineExceeded) return new errors.StoreUnavailableError(error.message)
  const name = error instanceof Error ? error.name : typeof error
  const word = error instanceof Error ? /^[A-Z]{3,}\b/.exec(error.message)?.[0] : undefined
  return new errors.StoreUnavailableError(['the store failed:', name, codeOf(error), word].filter(Boolean).join(' '))
}

// Milliseconds. A clock that differs by more was set to another time on purpose, and its word counts.
const plausible = 120_000
/** Of so many the one that was answered first says most: a store that starts up, or a busy process, takes its time. */
const measurements = 3

/** The time of sessions: the store's, so that a retry window begun on one server ends at the same time on another. */
export interface StoreClock {
  /** Milliseconds since the epoch. */
  now (): number
  /** What this server's own clock, which `iat` is taken from, shows at `time` of the store's. */
  ownTime (time: number): number
  /** At `time` of others, on whichever clock is later: nobody knows which of the two they have. */
  latest (time: number): number
  /**
   * Measures by how much this server differs from the store. Keeps what it knows when the store is down.
   * @throws errors.StoreUnavailableError
   */
  align (milliseconds?: number): Promise<void>
  /** Whether the store has been asked since this server started. */
  isAligned (): boolean
}

export function createStoreClock (calls: StoreCalls): StoreClock {
  let offset = 0
  let isAligned = false

  async function align (milliseconds?: number): Promise<void> {
    const ask = calls.open(milliseconds)
    let best = await measure(ask)
    for (let count = 1; count < measurements && best !== null; count++) {
      const next = await measure(ask).catch(() => null)
      if (next !== null && next.uncertainty < best.uncertainty) best = next
    }
    const { difference, uncertainty } = best ?? { difference: 0, uncertainty: 0 }
    const size = Math.abs(difference)
    offset = size > uncertainty && size <= plausible ? Math.round(difference) : 0
    isAligned = true
  }

  return {
    now: () => Date.now() + offset,
    ownTime: time => time - offset,
    latest: time => time + Math.max(0, offset),
    align,
    isAligned: () => isAligned
  }
}

interface Measurement { readonly difference: number, readonly uncertainty: number }

/** By how many milliseconds the store is ahead; null where it has no clock. */
async function measure (ask: Ask): Promise<Measurement | null> {
  const before = Date.now()
  const theirs = await ask(async store => store.now === undefined ? null : await store.now())
  const way = (Date.now() - before) / 2
  // Both clocks tell whole milliseconds.
  return theirs === null ? null : { difference: theirs - before - way, uncertainty: way + 1 }
}
