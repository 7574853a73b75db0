import { createPublicKey, type KeyObject } from 'node:crypto'
import { enteringByItself } from '../deadline.js'
import { errors, rejected } from '../errors.js'
import type { VerifyContext } from '../identity.js'
import { isObject, type JsonObject } from '../strict-json.js'
import { after, CachedDocument } from './cached-document.js'

/** A public key of a provider, and the JWK it was published as. */
export interface PublishedKey { readonly publicKey: KeyObject, readonly jwk: JsonObject }

export interface KeySet {
  /**
   * The key of that id which suits the algorithm: at once where it is known.
   *
   * @throws errors.GrantRejectedError when the provider has none
   * @throws errors.ProviderUnavailableError when nobody can tell at the moment
   */
  key (kid: string, algorithm: string, context: VerifyContext): PublishedKey | Promise<PublishedKey>
  /** Milliseconds since it was fetched; null before that. */
  age? (): number | null
}

// What keeps a flood out is the size of an answer; this keeps the map small where the keys are short.
const mostKeys = 1000
const rsaBits = { least: 2048, most: 8192 }

/** RFC 7518, 3.1 and RFC 8037, 3.1: the kind of key that an algorithm asks for. Symmetric ones are not among them. */
const keyTypes = new Map<string, { kty: string, crv?: string }>([
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'].map(algorithm => [algorithm, { kty: 'RSA' }] as const),
  ['ES256', { kty: 'EC', crv: 'P-256' }],
  ['ES384', { kty: 'EC', crv: 'P-384' }],
  ['ES512', { kty: 'EC', crv: 'P-521' }],
  ['EdDSA', { kty: 'OKP', crv: 'Ed25519' }]
])

/** The algorithms of which a key set can hold keys. */
export const asymmetricAlgorithms: readonly string[] = [...keyTypes.keys()]

/** The keys published at a pinned address (RFC 7517, 5). */
export function createKeySet (url: string): KeySet {
  const published = new CachedDocument(url, readKeys)
  return {
    key: enteringByItself((kid, algorithm, context) => after(published.find(keys => keys.get(kid), context), key => {
      if (key === undefined || !suits(key.jwk, algorithm)) throw rejected('key', 'kid')
      return key.imported()
    })),
    age: () => published.age()
  }
}

class Entry {
  readonly jwk: JsonObject
  #imported: PublishedKey | undefined

  constructor (jwk: JsonObject) {
    this.jwk = jwk
  }

  /** At its first use, and once. */
  imported (): PublishedKey {
    this.#imported ??= { publicKey: importKey(this.jwk), jwk: this.jwk }
    return this.#imported
  }
}

function readKeys (body: unknown): Map<string, Entry> {
  const keys = isObject(body) ? body.keys : undefined
  if (!Array.isArray(keys) || keys.length > mostKeys) {
    throw new errors.ProviderUnavailableError('the key set cannot be read')
  }
  const usable = new Map<string, Entry>()
  for (const jwk of keys.filter(isUsable)) {
    if (usable.has(jwk.kid)) throw new errors.ProviderUnavailableError('the key set has a kid twice')
    usable.set(jwk.kid, new Entry(jwk))
  }
  return usable
}

/** Public signature keys of a good size; the others of a set are none of our business (RFC 7517, 5: "ignore"). */
function isUsable (jwk: unknown): jwk is JsonObject & { kid: string } {
  if (!isObject(jwk) || typeof jwk.kid !== 'string' || jwk.kid === '') return false
  if (jwk.use !== undefined && jwk.use !== 'sig') return false
  if (jwk.key_ops !== undefined && !(Array.isArray(jwk.key_ops) && jwk.key_ops.includes('verify'))) return false
  if (jwk.d !== undefined || jwk.k !== undefined) return false
  if (jwk.kty !== 'RSA') return jwk.kty === 'EC' || jwk.kty === 'OKP'
  const bits = sizeOf(jwk.n)
  return bits >= rsaBits.least && bits <= rsaBits.most
}

function sizeOf (modulus: unknown): number {
  if (typeof modulus !== 'string') return 0
  const bytes = Buffer.from(modulus, 'base64url')
  const first = bytes.findIndex(byte => byte !== 0)
  return first === -1 ? 0 : (bytes.length - first) * 8 - Math.clz32(bytes[first] ?? 0) + 24
}

function suits (jwk: JsonObject, algorithm: string): boolean {
  const type = keyTypes.get(algorithm)
  return type !== undefined && jwk.kty === type.kty && (type.crv === undefined || jwk.crv === type.crv) &&
    (jwk.alg === undefined || jwk.alg === algorithm)
}

function importKey ({ kty, n, e, crv, x, y }: JsonObject): KeyObject {
  const members = Object.entries({ kty, n, e, crv, x, y }).filter(([, value]) => typeof value === 'string')
  try {
    return createPublicKey({ key: Object.fromEntries(members), format: 'jwk' })
  } catch {
    throw new errors.ProviderUnavailableError('the key cannot be read')
  }
}
