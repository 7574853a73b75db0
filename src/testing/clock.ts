/** The provider's clock: what it writes into `iat` and `exp`, and what it takes for expired. */
export interface ProviderClock {
  /**
   * Sets the clock off the real one, in seconds: ahead when positive, behind when negative. `0` sets it right.
   * @throws TypeError for what is not a finite number
   */
  offset (seconds: number): void
  /** Seconds since the epoch, by this clock. */
  now (): number
}

export function createClock (): ProviderClock {
  let ahead = 0
  return {
    offset (seconds) {
      if (!Number.isFinite(seconds)) throw new TypeError('clock.offset takes a number of seconds')
      ahead = seconds
    },
    now: () => Math.floor(Date.now() / 1000 + ahead)
  }
}
