import type { IncomingHttpHeaders } from 'node:http'
import type { ProviderClock } from './clock.js'
import { createFaults, type Faults } from './faults.js'

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
