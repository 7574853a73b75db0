import { isObject } from '../json.js'
import { members, origin, providerName, refused } from '../option-values.js'

/** The wire dialect of Azure Mobile Services and Azure Mobile Apps. `true` is `{}`. */
export interface AzureMobileServicesOptions {
  /** Exact origins to which a completion page may post a token. @default `cors.origins`, else none */
  completionOrigins?: readonly string[]
  /** Absolute URIs, compared as written, to which a browser may be sent after login or logout. @default none */
  redirectUris?: readonly string[]
}

/** {@link AzureMobileServicesOptions}, checked and complete. */
export interface Dialect {
  readonly completionOrigins: readonly string[]
  readonly redirectUris: readonly string[]
}

const path = 'azureMobileServices'
// Schemes that a browser runs or reads from the device, instead of going somewhere.
const refusedSchemes = ['javascript:', 'data:', 'vbscript:', 'file:', 'blob:', 'about:']

/**
 * Reads the option `azureMobileServices`; null where the dialect is off.
 *
 * @throws errors.OptionInvalidError
 */
export function readAzureMobileServices (
  value: unknown = false,
  { corsOrigins, providers }: { corsOrigins: readonly string[], providers: Iterable<string> }
): Dialect | null {
  if (value === false) return null
  if (value !== true && !isObject(value)) throw refused(path, 'must be true, false or an object')
  const { completionOrigins, redirectUris } = members(value === true ? {} : value, path, [
    'completionOrigins',
    'redirectUris'
  ])
  for (const name of providers) {
    if (providerName(name) === 'done') {
      throw refused('providers.done', 'is a page of the login under azureMobileServices')
    }
  }
  return Object.freeze({
    completionOrigins:
      completionOrigins === undefined ? corsOrigins : list(completionOrigins, `${path}.completionOrigins`, origin),
    redirectUris: redirectUris === undefined ? [] : list(redirectUris, `${path}.redirectUris`, redirectUri)
  })
}

function list (value: unknown, name: string, read: (entry: unknown, name: string) => string): readonly string[] {
  if (!Array.isArray(value)) throw refused(name, 'must be a list')
  return value.map((entry: unknown, index) => read(entry, `${name}[${index}]`))
}

function redirectUri (value: unknown, name: string): string {
  if (typeof value !== 'string' || !/^[a-z][a-z0-9+.-]*:[!-~]+$/i.test(value) || !URL.canParse(value)) {
    throw refused(name, "must be an absolute URI such as 'myapp://easyauth.callback'")
  }
  if (value.includes('#')) throw refused(name, 'must not have a fragment: the token goes there')
  if (refusedSchemes.includes(new URL(value).protocol)) throw refused(name, 'must not have this scheme')
  return value
}
