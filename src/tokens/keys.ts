import { createHmac, createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { calculateJwkThumbprint, type JWK } from 'jose'
import { oneOf, open, refused, secret, type Reader } from '../options/values.js'

/** RFC 7518, 3.1 and RFC 8037, 3.1: what access tokens can be signed with. */
export type SigningAlgorithm = 'HS256' | 'ES256' | 'EdDSA' | 'RS256'

/** One key of the server: `secret` for HS256 (>= 32 bytes), PEM strings for the others. One key, one algorithm. */
export interface SigningKey {
  /** @default the RFC 7638 thumbprint; for HS256 a hash that does not reveal the secret */
  kid?: string
  algorithm: SigningAlgorithm
  secret?: string
  privateKey?: string
  /** Enough to verify. @default derived from `privateKey` */
  publicKey?: string
}

/** A {@link SigningKey}, checked and complete. */
export interface ServerKey {
  readonly kid: string
  readonly algorithm: SigningAlgorithm
  /** The secret, or PKCS #8 PEM; null for a key that only verifies. */
  readonly signWith: string | null
  /** The secret, or SPKI PEM. */
  readonly verifyWith: string
  /** The public part, null for HS256. */
  readonly jwk: JWK | null
  /** The start of every token of this key: its header `{ alg, typ: "at+jwt", kid }` (RFC 9068, 2.1), and the dot. */
  readonly start: string
}

/**
 * Reads the `keys` option. The first key that can sign, signs; all verify.
 *
 * @throws errors.OptionInvalidError naming the key and what is wrong with it, never its value
 */
export const readKeys: Reader<Promise<readonly ServerKey[]>> = async (value, path) => {
  if (typeof value === 'string') return [secretKey(readSecret(value, path), null)]
  if (!Array.isArray(value) || value.length === 0) {
    throw refused(path, 'must be a secret of at least 32 bytes or a non-empty list of keys')
  }
  const keys = await Promise.all(Array.from(value, (key: unknown, index) => readKey(key, `${path}[${index}]`)))
  refuseDuplicates(keys, path)
  return keys
}

async function readKey (value: unknown, path: string): Promise<ServerKey> {
  const given = open(value, path, ['kid', 'algorithm', 'secret', 'privateKey', 'publicKey'])
  const kid = given.read<string | null>('kid', readKid, null)
  const algorithm = given.read('algorithm', oneOf('HS256', 'ES256', 'EdDSA', 'RS256'))
  if (algorithm !== 'HS256') {
    if (given.has('secret')) throw given.refuse('secret', `does not go with ${algorithm}`)
    const privateKey = given.read<KeyObject | null>('privateKey', readPrivateKey, null)
    const publicKey = given.read<KeyObject | null>('publicKey', readPublicKey, null)
    return await keyPair(privateKey, publicKey, { path, kid, algorithm })
  }
  if (given.has('privateKey') || given.has('publicKey')) throw refused(path, 'HS256 takes a secret and nothing else')
  return secretKey(given.read('secret', readSecret), kid)
}

const readKid: Reader<string> = (value, path) => {
  if (typeof value === 'string' && value !== '' && value.length <= 200) return value
  throw refused(path, 'must be a non-empty string of at most 200 characters')
}

const readSecret: Reader<string> = (value, path) => {
  const read = secret(32)(value, path)
  // An RSA public key taken for an HMAC secret is the oldest confusion of all (RFC 8725, 2.1).
  if (read.includes('-----BEGIN')) throw refused(path, 'is a PEM key, not a secret: list it with its algorithm')
  return read
}

const readPrivateKey: Reader<KeyObject> = (value, path) => readPem(value, path, createPrivateKey)

const readPublicKey: Reader<KeyObject> = (value, path) => {
  if (typeof value === 'string' && value.includes('PRIVATE KEY')) throw refused(path, 'holds a private key')
  return readPem(value, path, createPublicKey)
}

function readPem (value: unknown, path: string, read: (pem: string) => KeyObject): KeyObject {
  if (typeof value !== 'string') throw refused(path, 'must be a PEM string')
  try {
    return read(value)
  } catch {
    throw refused(path, whyUnreadable(value))
  }
}

/** What becomes of a PEM on its way through an environment variable. */
function whyUnreadable (text: string): string {
  if (text.includes('\\n')) return "has \\n written out where its lines end: key.replaceAll('\\\\n', '\\n') mends it"
  if (text.includes('-----BEGIN')) return 'is no readable PEM key: are its lines and its end there?'
  const isWrapped = Buffer.from(text, 'base64').includes('-----BEGIN')
  if (isWrapped) return "is a PEM in base64: Buffer.from(key, 'base64').toString() is the key"
  return 'is no PEM: it begins with -----BEGIN … KEY-----, and base64 alone is not enough'
}

function secretKey (secret: string, kid: string | null): ServerKey {
  const parts = { algorithm: 'HS256', signWith: secret, verifyWith: secret, jwk: null } as const
  return complete({ ...parts, kid: kid ?? kidOfSecret(secret) })
}

interface PairContext { path: string, kid: string | null, algorithm: Exclude<SigningAlgorithm, 'HS256'> }

async function keyPair (
  privateKey: KeyObject | null, givenPublic: KeyObject | null, { path, kid, algorithm }: PairContext
): Promise<ServerKey> {
  const publicKey = privateKey === null ? givenPublic : createPublicKey(privateKey)
  if (publicKey === null) {
    throw refused(path, 'needs a privateKey or a publicKey: is the variable set that it comes from?')
  }
  if (givenPublic !== null && !givenPublic.equals(publicKey)) {
    throw refused(`${path}.publicKey`, 'is not the public part of privateKey')
  }
  if (!fits[algorithm](publicKey)) throw refused(path, `${algorithm} needs ${needs[algorithm]}`)
  const jwk = publicKey.export({ format: 'jwk' })
  return complete({
    kid: kid ?? await calculateJwkThumbprint(jwk),
    algorithm,
    signWith: privateKey === null ? null : privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    verifyWith: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    jwk
  })
}

const needs = { RS256: 'an RSA key of at least 2048 bits', ES256: 'a P-256 key', EdDSA: 'an Ed25519 key' }

const fits: Readonly<Record<keyof typeof needs, (key: KeyObject) => boolean>> = {
  RS256: key => key.asymmetricKeyType === 'rsa' && (key.asymmetricKeyDetails?.modulusLength ?? 0) >= 2048,
  ES256: key => key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1',
  EdDSA: key => key.asymmetricKeyType === 'ed25519'
}

function complete (key: Omit<ServerKey, 'start'>): ServerKey {
  const header = JSON.stringify({ alg: key.algorithm, typ: 'at+jwt', kid: key.kid })
  return Object.freeze({ ...key, start: `${Buffer.from(header).toString('base64url')}.` })
}

// A keyed hash: the name of the key says nothing about the secret that a dictionary could test cheaply elsewhere.
function kidOfSecret (secret: string): string {
  const hash = createHmac('sha256', secret).update('fastify-token-exchange kid').digest()
  return hash.subarray(0, 16).toString('base64url')
}

function refuseDuplicates (keys: readonly ServerKey[], path: string): void {
  for (const [index, key] of keys.entries()) {
    const earlier = keys.slice(0, index)
    if (earlier.some(({ kid }) => kid === key.kid)) throw refused(`${path}[${index}].kid`, 'stands twice in the list')
    if (earlier.some(({ verifyWith }) => verifyWith === key.verifyWith)) {
      throw refused(`${path}[${index}]`, 'is the same key as an earlier one')
    }
  }
}
