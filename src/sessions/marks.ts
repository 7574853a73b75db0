import type { StoreClock } from './store-calls.js'

/** Milliseconds by which the clocks of two servers may differ. */
export const skew = 60_000

/** Which came first here, a login or a revocation: times that differ, however quickly one follows the other. */
export interface Marks {
  /** Now, and not before any mark. Milliseconds. */
  now (): number
  /** Now, for a login that begins: later than this server heard of any revocation of somebody. Milliseconds. */
  ofLogin (): number
  /** Now, for a revocation: not earlier than the mark of a login that has begun here. Milliseconds. */
  ofRevocation (): number
  /** Somebody was revoked then. */
  revoked (at: number): void
}

export function createMarks (clock: Pick<StoreClock, 'now'>): Marks {
  let lastMark = 0
  let lastRevoked = 0

  // A clock that is set back by a little must not turn the order round.
  function notBefore (time: number): number {
    const now = clock.now()
    return time > now && time - now <= skew ? time : now
  }

  return {
    now: () => Math.max(clock.now(), lastMark),
    ofLogin () {
      lastMark = notBefore(lastRevoked + 1)
      return lastMark
    },
    ofRevocation: () => notBefore(lastMark),
    revoked (at) { lastRevoked = Math.max(lastRevoked, at) }
  }
}
