import type { StoreCalls } from './store-calls.js'

// Servers that differ by seconds are usual and need a common clock; one that differs by more than this is set
// to another time on purpose, and its word counts.
const AGREES = 1_000
const PLAUSIBLE = 120_000

/** The time of sessions: the store's, so that a retry window begun on one server ends at the same time on another. */
export interface SessionClock {
  /** Milliseconds since the epoch. */
  now (): number
  /**
   * Measures by how much this server differs from the store. Keeps what it knows when the store is down.
   * @throws errors.StoreUnavailableError
   */
  align (milliseconds?: number): Promise<void>
}

export function createSessionClock (calls: StoreCalls): SessionClock {
  let offset = 0

  async function align (milliseconds?: number): Promise<void> {
    const before = Date.now()
    const theirs = await calls.open(milliseconds)(async store => store.now === undefined ? null : await store.now())
    if (theirs === null) return
    const difference = Math.round(theirs - (before + Date.now()) / 2)
    const size = Math.abs(difference)
    offset = size > AGREES && size <= PLAUSIBLE ? difference : 0
  }

  return { now: () => Date.now() + offset, align }
}
