import { TokenExchangeError } from '../errors.js'
import { listOrEmpty, open, origin, refused as refusedOption, type Given, type Reader } from '../options/values.js'

/** The wire dialect of Azure Mobile Services and Azure Mobile Apps. `true` is `{}`. */
export interface AzureMobileServicesOptions {
  /** Exact origins to which a completion page may post a token. @default `cors.origins`, else none */
  completionOrigins?: readonly string[]
  /** Absolute URIs, compared as written, to which a browser may be sent after login or logout. @default none */
  redirectUris?: readonly string[]
  /**
   * Paths of this server to which a browser may be sent after login or logout: exact (`/home`), or with all below
   * (`/app/*`, not `/app`). The token goes along, also through redirects of the path's own. @default none
   */
  paths?: readonly string[]
}

/**
 * {@link AzureMobileServicesOptions}, checked and complete: where a browser may be sent after a login, and a token with
 * it. Beside the clients, which say the same for logins by code, and below the options that both are part of.
 */
export type Destinations = Readonly<Required<AzureMobileServicesOptions>>

/**
 * Reads the option `azureMobileServices`; null where the dialect is off.
 *
 * @throws errors.OptionInvalidError
 */
export function readAzureMobileServices (
  options: Given<'azureMobileServices' | 'providers'>,
  { corsOrigins, providers }: { corsOrigins: readonly string[], providers: Iterable<string> }
): Destinations | null {
  const destinations = options.read<Destinations | null>('azureMobileServices', (value, path) => {
    if (value === false) return null
    const given = open(value === true ? {} : value, path, ['completionOrigins', 'redirectUris', 'paths'])
    return Object.freeze({
      completionOrigins: given.read('completionOrigins', listOrEmpty(origin), corsOrigins),
      redirectUris: given.read('redirectUris', listOrEmpty(absoluteUri), []),
      paths: given.read('paths', listOrEmpty(ownPath), [])
    })
  }, null)
  if (destinations !== null && [...providers].includes('done')) {
    throw options.refuse('providers', 'must not have done, which is a page of the login under azureMobileServices')
  }
  return destinations
}

// Schemes that a browser runs or reads from the device, instead of going somewhere.
const refusedSchemes = ['javascript:', 'data:', 'vbscript:', 'file:', 'blob:', 'about:']

const absoluteUri: Reader<string> = (value, path) => {
  if (typeof value !== 'string' || !/^[a-z][a-z0-9+.-]*:[!-~]+$/i.test(value) || !URL.canParse(value)) {
    throw refusedOption(path, "must be an absolute URI such as 'myapp://easyauth.callback'")
  }
  if (value.includes('#')) throw refusedOption(path, 'must not have a fragment: the token goes there')
  if (refusedSchemes.includes(new URL(value).protocol)) throw refusedOption(path, 'must not have this scheme')
  return value
}

const ownPath: Reader<string> = (value, path) => {
  const base = typeof value === 'string' ? value.replace(/\/\*$/, '/') : ''
  if (typeof value !== 'string' || /[*?]/.test(base) || resolve(base) !== base) {
    throw refusedOption(path, "must be a path of this server such as '/home', or '/app/*' for all below '/app/'")
  }
  return value
}

/** The value of the one of `names` that the query has, or null. @throws an error with status 401, where not allowed */
export function readRedirectUri (query: URLSearchParams, names: readonly string[], to: Destinations): string | null {
  const [uri, another] = names.flatMap(name => query.getAll(name))
  if (another !== undefined) throw refused('Two redirect URIs')
  return uri === undefined ? null : allowedUri(uri, to)
}

/** The URI where it goes: an own path without dot segments, as it was compared. @throws as `readRedirectUri` */
export function allowedUri (uri: string, { redirectUris, paths }: Destinations): string {
  if (redirectUris.includes(uri)) return uri
  const [written = '', ...query] = uri.length <= longestUri && visible.test(uri) ? uri.split('?') : []
  const path = resolve(written)
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

/** A path without its dot segments (WHATWG URL, 4.4: `%2e` counts as a dot); null for what is none, or ambiguous. */
function resolve (path: string): string | null {
  const isPath = path.startsWith('/') && visible.test(path) && !ambiguous.test(path)
  return isPath ? new URL(path, 'https://this.invalid').pathname : null
}

function matches (path: string, allowed: string): boolean {
  return allowed.endsWith('/*') ? path.startsWith(allowed.slice(0, -1)) : path === allowed
}
