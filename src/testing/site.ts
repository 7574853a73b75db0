import type { IncomingHttpHeaders } from 'node:http'

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

const outages: readonly unknown[] = ['down', 'reset', 'html', 'hang', false]

export function createFaults (): Faults {
  let outage: Outage | false = false
  let delay = 0
  return {
    switches: {
      outage (kind = 'down') {
        if (!outages.includes(kind)) throw new TypeError("outage takes 'down', 'reset', 'html', 'hang' or false")
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

export interface Call {
  readonly query: URLSearchParams
  readonly headers: IncomingHttpHeaders
  readonly body: string
  /** What the groups of the route's path caught, as sent. */
  readonly params: readonly string[]
}

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export type Handler = (call: Call) => Answer | Promise<Answer>

interface Route { method: string, path: RegExp, handler: Handler }

/** Where one vendor lives on the server: everything below its own first path segment. */
export interface Site {
  readonly name: string
  /** Without a trailing slash. */
  readonly url: string
  readonly clock: ProviderClock
  readonly faults: Faults
  /** `path` is matched against what follows the site's segment, from its slash on. */
  get (path: RegExp, handler: Handler): void
  post (path: RegExp, handler: Handler): void
  find (method: string, path: string): { handler: Handler, params: string[] } | undefined
}

export function createSite (server: string, name: string, clock: ProviderClock): Site {
  const routes: Route[] = []
  return {
    name,
    url: `${server}/${name}`,
    clock,
    faults: createFaults(),
    get (path, handler) { routes.push({ method: 'GET', path, handler }) },
    post (path, handler) { routes.push({ method: 'POST', path, handler }) },
    find (method, path) {
      for (const route of routes) {
        const match = route.method === method ? route.path.exec(path) : null
        if (match !== null) return { handler: route.handler, params: match.slice(1) }
      }
      return undefined
    }
  }
}

export function json (status: number, value: unknown, headers: Record<string, string> = {}): Answer {
  return {
    status,
    headers: { 'content-type': 'application/json; charset=utf-8', ...headers },
    body: JSON.stringify(value)
  }
}

/** Id and secret of HTTP Basic (RFC 7617), or undefined. */
export function basicCredentials (headers: IncomingHttpHeaders): { id: string, secret: string } | undefined {
  const encoded = /^basic ([A-Za-z0-9+/]+=*)$/i.exec(headers.authorization ?? '')?.[1]
  if (encoded === undefined) return undefined
  const [, id, secret] = /^([^:]*):(.*)$/s.exec(Buffer.from(encoded, 'base64').toString()) ?? []
  return id === undefined || secret === undefined ? undefined : { id, secret }
}
