import { clientError } from './client-error.js'
import type { Fetch, OwnRequest } from './calls.js'

/** Where the server is. */
export interface Address {
  /** Of its routes, without a slash at the end. */
  readonly base: string
  readonly origin: string
  /** What is stored for this server is stored by this name. */
  readonly name: string
}

/** @throws ClientError */
export function readAddress (url: string): Address {
  // By hand: in React Native a URL has no origin.
  const [base, origin] = /^(https?:\/\/[^/?#\\@\s]+)(?:\/[^?#\s]*?)??(?=\/*$)/.exec(hrefOf(url)) ?? []
  if (base === undefined || origin === undefined) throw clientError('CLIENT_ERR_OPTION_INVALID', 'url')
  // In characters that every storage takes in a name.
  return { base, origin, name: `fastify-token-exchange.${base.replace(/[^\w.-]/g, '_')}` }
}

function hrefOf (url: string): string {
  try {
    return new URL(url).href
  } catch {
    return ''
  }
}

/** A request of the application's, if it goes to the server's origin. */
export function ownRequest (
  { base, origin }: Address,
  fetch: Fetch,
  input: Parameters<Fetch>[0],
  init: RequestInit = {}
): OwnRequest | null {
  const whole = typeof input === 'object' && 'url' in input ? input : null
  const href = new URL(whole?.url ?? String(input), `${base}/`).href
  if (!href.startsWith(`${origin}/`)) return null
  const method = (init.method ?? whole?.method ?? 'GET').toUpperCase()
  return {
    href,
    method,
    headers: new Headers(init.headers ?? whole?.headers),
    isRepeatable: !isStream(init.body),
    send: headers => fetch(whole?.clone() ?? href, { ...init, method, headers })
  }
}

function isStream (body: unknown): boolean {
  const { getReader, [Symbol.asyncIterator]: iterate } = Object(body)
  return (getReader ?? iterate) !== undefined
}
