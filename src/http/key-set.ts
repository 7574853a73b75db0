import { createPublicKey, type KeyObject } from 'node:crypto'
import type { Asking } from '../deadline.js'
import { errors } from '../errors.js'
import { CachedDocument } from './cached-document.js'
import { isObject, type JsonObject } from '../strict-json.js'

/** A public key of a provider, and the JWK it was published as. */
export interface PublishedKey { publicKey: KeyObject, jwk: JsonObject }

export interface KeySet {
  /**
   * The key of that id which suits the algorithm: at once where it is known.
   *
   * @throws errors.GrantRejectedError when the provider has none
   * @throws errors.ProviderUnavailableError when nobody can tell at the moment
   */
  key (kid: string, algorithm: string, context: Asking): PublishedKey | Promise<PublishedKey>
}

// What keeps a flood out is the size of an answer; this keeps the map small where the keys are short.
const MAX_KEYS = 1000
const RSA_BITS = { least: 2048, most: 8192 }

/** RFC 7518, 3.1 and RFC 8037, 3.1: the kind of key that an algorithm asks for. Symmetric ones are not among them. */
const KEY_TYPES = new Map<string, { kty: string, crv?: string }>([
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'].map(algorithm => [algorithm, { kty: 'RSA' }] as const),
  ['ES256', { kty: 'EC', crv: 'P-256' }],
  ['ES384', { kty: 'EC', crv: 'P-384' }],
  ['ES512', { kty: 'EC', crv: 'P-521' }],
  ['EdDSA', { kty: 'OKP', crv: 'Ed25519' }]
])

/** The algorithms of which a key set can hold keys. */
export const ASYMMETRIC_ALGORITHMS: readonly string[] = [...KEY_TYPES.keys()]

/** The keys published at a pinned address (RFC 7517, 5). */
export function createKeySet (url: string): KeySet {
  const published = new CachedDocument(url, readKeys)
  return {
    key (kid, algorithm, context) {
      const found = published.find(keys => keys.get(kid), context)
      return found instanceof Promise ? found.then(entry => keyOf(entry, algorithm)) : keyOf(found, algorithm)
    }
  }
}

function keyOf (entry: Entry | undefined, algorithm: string): PublishedKey {
  if (entry === undefined || !suits(entry.jwk, algorithm)) throw new errors.GrantRejectedError('kid')
  return { publicKey: entry.publicKey(), jwk: entry.jwk }
}

class Entry {
  readonly jwk: JsonObject
  #imported: KeyObject | undefined

  constructor (jwk: JsonObject) {
    this.jwk = jwk
  }

  /** Imported at its first use. */
  publicKey (): KeyObject {
    this.#imported ??= importKey(this.jwk)
    return this.#imported
  }
}

function readKeys (body: unknown): Map<string, Entry> {
  const keys = isObject(body) ? body.keys : undefined
  if (!Array.isArray(keys) || keys.length > MAX_KEYS) throw new errors.ProviderUnavailableError('the key set is junk')
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
  return bits >= RSA_BITS.least && bits <= RSA_BITS.most
}

function sizeOf (modulus: unknown): number {
  if (typeof modulus !== 'string') return 0
  const hex = Buffer.from(modulus, 'base64url').toString('hex').replace(/^0+/, '')
  return hex === '' ? 0 : hex.length * 4 - Math.clz32(parseInt(hex.slice(0, 1), 16)) + 28
}

function suits (jwk: JsonObject, algorithm: string): boolean {
  const type = KEY_TYPES.get(algorithm)
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
