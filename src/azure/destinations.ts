import { refused as refusedOption } from '../option-values.js'
import { TokenExchangeError } from '../errors.js'

/** Where a login or logout may send a browser, and with it a token. */
export interface Destinations {
  /** Origins to which a completion page may post. */
  readonly completionOrigins: readonly string[]
  /** Absolute URIs, compared as written. */
  readonly redirectUris: readonly string[]
  /** Paths of this server: exact, or all below (`/app/*`). */
  readonly paths: readonly string[]
}

/** The value of the one of `names` that the query has; null without. @throws errors with status 401 for what is not allowed */
export function readRedirectUri (query: URLSearchParams, names: readonly string[], to: Destinations): string | null {
  const [uri, another] = names.flatMap(name => query.getAll(name))
  if (another !== undefined) throw refused('Two redirect URIs')
  return uri === undefined ? null : allowedUri(uri, to)
}

/** The URI where it goes: an own path without dot segments, as it was compared. @throws as `readRedirectUri` */
export function allowedUri (uri: string, { redirectUris, paths }: Destinations): string {
  if (redirectUris.includes(uri)) return uri
  const [written = '', ...query] = uri.slice(0, longestUri + 1).split('?')
  const path = uri.length > longestUri || !visible.test(uri) ? null : resolve(written)
  if (path === null || !paths.some(allowed => matches(path, allowed))) throw refused('Not a whitelisted redirect URI')
  return [path, ...query].join('?')
}

/** @throws as `readRedirectUri` */
export function allowedOrigin (origin: string, { completionOrigins }: Destinations): string {
  if (!completionOrigins.includes(origin)) throw refused(`Not a whitelisted origin: ${origin.slice(0, 200)}`)
  return origin
}

export function refused (message: string): Error {
  return new TokenExchangeError('AUTH_ERR_REQUEST_INVALID', 401, message)
}

/** Characters. It travels in a cookie, of which browsers keep 4 KiB. */
const longestUri = 2000
// Browsers take a backslash for a slash, and drop tabs and line ends. A fragment of ours comes after.
const visible = /^[!"$-[\]-~]*$/
// `//` is another host, and an encoded slash one that the router sees and this comparison does not.
const ambiguous = /\/\/|%2f|%5c/i

/** An absolute path without its dot segments (WHATWG URL, 4.4: `%2e` counts as a dot); null for what is none, or ambiguous. */
function resolve (path: string): string | null {
  return path.startsWith('/') && !ambiguous.test(path) ? new URL(path, 'https://this.invalid').pathname : null
}

function matches (path: string, allowed: string): boolean {
  return allowed.endsWith('/*') ? path.startsWith(allowed.slice(0, -1)) : path === allowed
}

/** One of `paths`. @throws errors.OptionInvalidError */
export function readPath (value: unknown, name: string): string {
  const base = typeof value === 'string' ? value.replace(/\/\*$/, '/') : ''
  if (typeof value !== 'string' || /[*?#]/.test(base) || !visible.test(base) || resolve(base) !== base) {
    throw refusedOption(name, "must be a path of this server such as '/home', or '/app/*' for all below '/app/'")
  }
  return value
}

// Schemes that a browser runs or reads from the device, instead of going somewhere.
const refusedSchemes = ['javascript:', 'data:', 'vbscript:', 'file:', 'blob:', 'about:']

/** One of `redirectUris`. @throws errors.OptionInvalidError */
export function readUri (value: unknown, name: string): string {
  if (typeof value !== 'string' || !/^[a-z][a-z0-9+.-]*:[!-~]+$/i.test(value) || !URL.canParse(value)) {
    throw refusedOption(name, "must be an absolute URI such as 'myapp://easyauth.callback'")
  }
  if (value.includes('#')) throw refusedOption(name, 'must not have a fragment: the token goes there')
  if (refusedSchemes.includes(new URL(value).protocol)) throw refusedOption(name, 'must not have this scheme')
  return value
}
