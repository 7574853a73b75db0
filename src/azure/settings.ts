import { isObject } from '../strict-json.js'
import { members, origin, providerName, refused } from '../option-values.js'
import { readPath, readUri, type Destinations } from './destinations.js'

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

/** {@link AzureMobileServicesOptions}, checked and complete. */
export type Dialect = Destinations

const path = 'azureMobileServices'

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
  const { completionOrigins, redirectUris, paths } = members(value === true ? {} : value, path, [
    'completionOrigins',
    'redirectUris',
    'paths'
  ])
  for (const name of providers) {
    if (providerName(name) === 'done') {
      throw refused('providers.done', 'is a page of the login under azureMobileServices')
    }
  }
  return Object.freeze({
    completionOrigins:
      completionOrigins === undefined ? corsOrigins : list(completionOrigins, `${path}.completionOrigins`, origin),
    redirectUris: redirectUris === undefined ? [] : list(redirectUris, `${path}.redirectUris`, readUri),
    paths: paths === undefined ? [] : list(paths, `${path}.paths`, readPath)
  })
}

function list (value: unknown, name: string, read: (entry: unknown, name: string) => string): readonly string[] {
  if (!Array.isArray(value)) throw refused(name, 'must be a list')
  return value.map((entry: unknown, index) => read(entry, `${name}[${index}]`))
}
