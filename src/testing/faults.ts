/**
 * How a provider fails: `down` answers 503, `reset` cuts the connection, `html` answers 200 with a web page
 * (what captive portals and proxies do), `hang` takes the request and never answers.
 */
export type Outage = 'down' | 'reset' | 'html' | 'hang'

/** The switches of one provider, or of the whole server. Both apply: the server's first. */
export interface FaultSwitches {
  /**
   * Begins an outage; `false` ends it.
   * @default 'down'
   */
  outage (kind?: Outage | false): void
  /** Answers this many milliseconds later; `0` ends it. */
  slow (milliseconds: number): void
}

export interface Faults {
  readonly switches: FaultSwitches
  readonly outage: Outage | false
  /** Milliseconds. */
  readonly delay: number
}

const OUTAGES: readonly unknown[] = ['down', 'reset', 'html', 'hang', false]

export function createFaults (): Faults {
  let outage: Outage | false = false
  let delay = 0
  return {
    switches: {
      outage (kind = 'down') {
        if (!OUTAGES.includes(kind)) throw new TypeError("outage takes 'down', 'reset', 'html', 'hang' or false")
        outage = kind
      },
      slow (milliseconds) {
        if (!(Number.isFinite(milliseconds) && milliseconds >= 0)) {
          throw new TypeError('slow takes a number of milliseconds')
        }
        delay = milliseconds
      }
    },
    get outage () { return outage },
    get delay () { return delay }
  }
}
