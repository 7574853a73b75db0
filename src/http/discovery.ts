import { enteringByItself, type Asking } from '../deadline.js'
import { errors } from '../errors.js'
import { isSecure, withoutSlash } from '../options/values.js'
import { isObject, type JsonObject } from '../strict-json.js'
import { after, CachedDocument } from './cached-document.js'
import { createKeySet, type KeySet } from './key-set.js'

/** What a pinned issuer says of itself. */
export interface Metadata {
  readonly document: JsonObject
  /** An address in it. @throws errors.ProviderUnavailableError where it names none that may be called */
  endpoint (name: string): string
}

export interface Discovery {
  readonly keys: KeySet
  /** @throws errors.ProviderUnavailableError */
  metadata (context: Asking): Metadata | Promise<Metadata>
}

/** Where a configuration document is, and whose it must be. */
export interface Configuration {
  readonly url: string
  readonly issuers: readonly string[]
}

/**
 * The configuration document of an issuer, which must name exactly that issuer.
 *
 * @see https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfigurationValidation
 */
export function discover (issuer: string): Discovery {
  return discoverAt({ url: `${withoutSlash(issuer)}/.well-known/openid-configuration`, issuers: [issuer] })
}

/** The same of a document at a pinned address. */
export function discoverAt (at: Configuration): Discovery {
  const configuration = new CachedDocument(at.url, body => readMetadata(body, at))
  let latest: { url: string, keys: KeySet } | undefined

  function metadata (context: Asking): Metadata | Promise<Metadata> {
    return after(configuration.find(found => found, context), found => {
      if (found === undefined) throw new errors.ProviderUnavailableError('discovery')
      return found
    })
  }

  function keysAt (url: string): KeySet {
    if (latest?.url !== url) latest = { url, keys: createKeySet(url) }
    return latest.keys
  }

  return {
    keys: {
      key: enteringByItself((kid, algorithm, context) =>
        after(metadata(context), ({ endpoint }) => keysAt(endpoint('jwks_uri')).key(kid, algorithm, context))),
      age: () => latest?.keys.age?.() ?? null
    },
    metadata
  }
}

function readMetadata (document: unknown, { url: source, issuers }: Configuration): Metadata {
  if (!isObject(document)) throw new errors.ProviderUnavailableError('the discovery document cannot be read')
  const { issuer } = document
  if (!issuers.some(one => one === issuer)) throw new errors.ProviderUnavailableError(differenceOf(issuer, issuers))
  const endpoint = (name: string): string => {
    const url = document[name]
    if (isCallable(url, source)) return url
    throw new errors.ProviderUnavailableError(`the discovery document has no usable ${name}`)
  }
  endpoint('jwks_uri')
  return { document, endpoint }
}

function differenceOf (found: unknown, issuers: readonly string[]): string {
  return typeof found === 'string' && issuers.some(issuer => withoutSlash(found) === withoutSlash(issuer))
    ? 'configuration: the issuer of the discovery document differs by the slash at its end'
    : 'the discovery document is of another issuer'
}

/** Whether an address in a pinned document may be called: any https host; http only where that came by http. */
function isCallable (value: unknown, source: string): value is string {
  if (typeof value !== 'string' || !URL.canParse(value)) return false
  const url = new URL(value)
  const isPlain = url.username === '' && url.password === '' && !value.includes('#')
  return isPlain && isSecure(url) && (url.protocol === 'https:' || source.startsWith('http:'))
}
