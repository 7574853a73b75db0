import { setImmediate as afterPolling } from 'node:timers/promises'
import { DeadlineExceeded, type Deadlines } from '../deadline.js'
import { codeOf, errors } from '../errors.js'
import type { SessionStore } from './store.js'

/** Milliseconds that one request may wait for the store in all, so that it is answered within a second. */
const BUDGET = 800
// Clients of a store that is gone queue commands (ioredis, pg): past this many unanswered ones we do not add to it.
const UNANSWERED_LIMIT = 100
const UNANSWERED_FOR = 10_000

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
    const timer = setTimeout(forget, UNANSWERED_FOR).unref()
    function forget (): void {
      clearTimeout(timer)
      if (counted) unanswered--
      counted = false
    }
    call.then(forget, forget)
  }

  // A process that was held up runs its timers before it reads its sockets: what has come by then counts as in time.
  async function inTime<T> (answer: Promise<T>, milliseconds: number): Promise<T> {
    try {
      return await deadlines.within(milliseconds, () => answer)
    } catch (error) {
      if (!(error instanceof DeadlineExceeded)) throw error
      await afterPolling()
      return await Promise.race([answer, Promise.reject(error)])
    }
  }

  function open (milliseconds = BUDGET): Ask {
    let left = milliseconds
    return async call => {
      if (unanswered >= UNANSWERED_LIMIT) throw new errors.StoreUnavailableError('too many calls are unanswered')
      const started = performance.now()
      const answer = (async () => await call(store))()
      try {
        return await inTime(answer, Math.max(1, left))
      } catch (error) {
        if (error instanceof DeadlineExceeded) abandon(answer)
        throw unavailable(error)
      } finally {
        left -= performance.now() - started
      }
    }
  }

  return { open }
}

// Neither the message nor the error itself is kept: clients attach the command with its arguments, and those hold e-mails.
function unavailable (error: unknown): Error {
  if (error instanceof Error && codeOf(error) === errors.StoreUnavailableError.code) return error
  if (error instanceof DeadlineExceeded) return new errors.StoreUnavailableError(error.message)
  const name = error instanceof Error ? error.name : typeof error
  const word = error instanceof Error ? /^[A-Z]{3,}\b/.exec(error.message)?.[0] : undefined
  return new errors.StoreUnavailableError(['the store failed:', name, codeOf(error), word].filter(Boolean).join(' '))
}
