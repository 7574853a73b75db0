import type { SessionClock } from './session-clock.js'
import type { StoreCalls } from './store-calls.js'

/** Milliseconds between two rounds, and for one sweep. */
const INTERVAL = 600_000
const SWEEP_TIME = 30_000
/** Milliseconds for the first contact: a store may have to start up and make its tables. Fastify allows a plugin 10 s. */
const FIRST_CONTACT = 6_000

/** What has to be done now and then: delete what has expired, compare the clocks. */
export interface Upkeep {
  /** Compares the clocks and begins the rounds. Does not reject. */
  start (): Promise<void>
  close (): void
}

export function createUpkeep (calls: StoreCalls, clock: SessionClock): Upkeep {
  let timer: NodeJS.Timeout | undefined

  // An outage is reported by the feed, which asks far more often; the next round makes up for this one.
  async function round (): Promise<void> {
    await clock.align().catch(() => {})
    await calls.open(SWEEP_TIME)(store => store.sweep(Date.now())).catch(() => {})
  }

  async function start (): Promise<void> {
    timer = setInterval(round, INTERVAL).unref()
    await clock.align(FIRST_CONTACT).catch(() => {})
  }

  return { start, close: () => clearInterval(timer) }
}
