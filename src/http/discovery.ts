import type { Asking } from '../deadline.js'
import { errors } from '../errors.js'
import { CachedDocument } from './cached-document.js'
import { isCallable } from './endpoint.js'
import { isObject, type JsonObject } from '../strict-json.js'
import { createKeySet, type KeySet } from './key-set.js'

/** What a pinned issuer's configuration document says. */
export interface Discovery {
  readonly keys: KeySet
  /** The document. @throws errors.ProviderUnavailableError */
  document (context: Asking): Promise<JsonObject>
  /** An address of the document. @throws errors.ProviderUnavailableError where it names none that may be called */
  endpoint (name: string, context: Asking): Promise<string>
}

/** @see https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfigurationValidation the document's `issuer` must be exactly ours */
export function discover (issuer: string): Discovery {
  const configuration = new CachedDocument(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`, body =>
    readDocument(body, issuer)
  )
  let latest: { url: string, keys: KeySet } | undefined

  async function document (context: Asking): Promise<JsonObject> {
    const found = await configuration.find(found => found, context)
    if (found === undefined) throw new errors.ProviderUnavailableError('discovery')
    return found
  }

  async function endpoint (name: string, context: Asking): Promise<string> {
    return usable(await document(context), name, issuer)
  }

  async function key (kid: string, algorithm: string, context: Asking) {
    const url = await endpoint('jwks_uri', context)
    if (latest?.url !== url) latest = { url, keys: createKeySet(url) }
    return await latest.keys.key(kid, algorithm, context)
  }

  return { keys: { key }, document, endpoint }
}

function readDocument (body: unknown, issuer: string): JsonObject {
  if (!isObject(body)) throw new errors.ProviderUnavailableError('the discovery document is junk')
  if (body.issuer !== issuer) throw new errors.ProviderUnavailableError('the discovery document is of another issuer')
  usable(body, 'jwks_uri', issuer)
  return body
}

function usable (document: JsonObject, name: string, issuer: string): string {
  const url = document[name]
  if (!isCallable(url, issuer)) {
    throw new errors.ProviderUnavailableError(`the discovery document has no usable ${name}`)
  }
  return url
}
