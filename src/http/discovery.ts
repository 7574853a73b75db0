import { enteringByItself, type Asking } from '../deadline.js'
import { errors } from '../errors.js'
import { isSecure } from '../options/values.js'
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

/**
 * The configuration document of an issuer, which must name exactly that issuer.
 *
 * @see https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfigurationValidation
 */
export function discover (issuer: string): Discovery {
  const url = `${withoutSlash(issuer)}/.well-known/openid-configuration`
  const configuration = new CachedDocument(url, body => readMetadata(body, issuer))
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

function readMetadata (document: unknown, issuer: string): Metadata {
  if (!isObject(document)) throw new errors.ProviderUnavailableError('the discovery document cannot be read')
  if (document.issuer !== issuer) throw new errors.ProviderUnavailableError(differenceOf(document.issuer, issuer))
  const endpoint = (name: string): string => {
    const url = document[name]
    if (isCallable(url, issuer)) return url
    throw new errors.ProviderUnavailableError(`the discovery document has no usable ${name}`)
  }
  endpoint('jwks_uri')
  return { document, endpoint }
}

function differenceOf (found: unknown, issuer: string): string {
  return typeof found === 'string' && withoutSlash(found) === withoutSlash(issuer)
    ? 'configuration: the issuer of the discovery document differs by the slash at its end'
    : 'the discovery document is of another issuer'
}

function withoutSlash (url: string): string {
  return url.endsWith('/') ? url.slice(0, -1) : url
}

/** Whether an address in a pinned issuer's document may be called: any https host; http only beside a http issuer. */
function isCallable (value: unknown, issuer: string): value is string {
  if (typeof value !== 'string' || !URL.canParse(value)) return false
  const url = new URL(value)
  const isPlain = url.username === '' && url.password === '' && !value.includes('#')
  return isPlain && isSecure(url) && (url.protocol === 'https:' || issuer.startsWith('http:'))
}
