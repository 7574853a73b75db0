import { errors } from '../errors.js'
import { CachedDocument } from './cached-document.js'
import { isCallable } from './endpoint.js'
import { isObject } from './json.js'
import { createKeySet, type KeySet } from './key-set.js'

/**
 * The keys of a pinned issuer, at the address its configuration document names.
 *
 * @see https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfigurationValidation the document's
 * `issuer` must be exactly ours
 */
export function discoverKeySet (issuer: string): KeySet {
  const configuration = new CachedDocument(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`, body => readKeySetUrl(body, issuer))
  let latest: { url: string, keys: KeySet } | undefined
  return {
    async key (kid, algorithm, signal) {
      const url = await configuration.find(found => found, signal)
      if (url === undefined) throw new errors.ProviderUnavailableError('discovery')
      if (latest?.url !== url) latest = { url, keys: createKeySet(url) }
      return await latest.keys.key(kid, algorithm, signal)
    }
  }
}

function readKeySetUrl (body: unknown, issuer: string): string {
  if (!isObject(body)) throw new errors.ProviderUnavailableError('the discovery document is junk')
  if (body.issuer !== issuer) throw new errors.ProviderUnavailableError('the discovery document is of another issuer')
  if (!isCallable(body.jwks_uri, issuer)) throw new errors.ProviderUnavailableError('the discovery document has no usable jwks_uri')
  return body.jwks_uri
}
