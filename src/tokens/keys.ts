import { createHmac, createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { calculateJwkThumbprint, type JWK } from 'jose'
import { errors } from '../errors.js'
import { isWellKnownSecret } from '../options/well-known-secrets.js'

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
  /** What every token of this key starts with: its header `{ alg, typ: "at+jwt", kid }` (RFC 9068, 2.1), and the dot. */
  readonly start: string
}

const leastSecretBytes = 32
const members = new Set(['kid', 'algorithm', 'secret', 'privateKey', 'publicKey'])

/**
 * Checks the `keys` option. The first key that can sign, signs; all verify.
 *
 * @throws errors.OptionInvalidError naming the key and what is wrong with it, never its value
 */
export async function readKeys (keys: unknown): Promise<readonly ServerKey[]> {
  if (typeof keys === 'string') return [await readKey({ algorithm: 'HS256', secret: keys }, 'keys')]
  if (!Array.isArray(keys) || keys.length === 0) {
    throw refused('keys', 'must be a secret of at least 32 bytes or a non-empty list of keys')
  }
  const read = await Promise.all(Array.from(keys, (key: unknown, index) => readKey(key, `keys[${index}]`)))
  refuseDuplicates(read)
  return read
}

async function readKey (key: unknown, path: string): Promise<ServerKey> {
  if (typeof key !== 'object' || key === null) throw refused(path, 'must be an object')
  const unknown = Object.keys(key).find(name => !members.has(name))
  if (unknown !== undefined) throw refused(`${path}.${unknown}`, 'is not a member of a key')
  const { kid, algorithm, secret, privateKey, publicKey }: Record<string, unknown> = { ...key }
  if (kid !== undefined && (typeof kid !== 'string' || kid === '' || kid.length > 200)) {
    throw refused(`${path}.kid`, 'must be a non-empty string')
  }
  if (algorithm === 'HS256') return readSecret(secret, { path, kid, others: [privateKey, publicKey] })
  if (algorithm === 'ES256' || algorithm === 'EdDSA' || algorithm === 'RS256') {
    if (secret !== undefined) throw refused(`${path}.secret`, `does not go with ${algorithm}`)
    return readPair(privateKey, publicKey, { path, kid, algorithm })
  }
  throw refused(`${path}.algorithm`, "must be 'HS256', 'ES256', 'EdDSA' or 'RS256'")
}

function readSecret (
  secret: unknown,
  { path, kid, others }: { path: string, kid: string | undefined, others: unknown[] }
): ServerKey {
  const name = path === 'keys' ? path : `${path}.secret`
  if (others.some(other => other !== undefined)) throw refused(path, 'HS256 takes a secret and nothing else')
  if (typeof secret !== 'string' || Buffer.byteLength(secret) < leastSecretBytes) {
    throw refused(name, `must be a secret of at least ${leastSecretBytes} bytes`)
  }
  if (isWellKnownSecret(secret)) throw refused(name, 'is printed in public documentation, anybody could sign with it')
  // An RSA public key taken for an HMAC secret is the oldest confusion of all (RFC 8725, 2.1).
  if (secret.includes('-----BEGIN')) throw refused(name, 'is a PEM key, not a secret')
  return complete({
    kid: kid ?? kidOfSecret(secret),
    algorithm: 'HS256',
    signWith: secret,
    verifyWith: secret,
    jwk: null
  })
}

async function readPair (
  privatePem: unknown,
  publicPem: unknown,
  { path, kid, algorithm }: { path: string, kid: string | undefined, algorithm: SigningAlgorithm }
): Promise<ServerKey> {
  const privateKey = privatePem === undefined ? null : parse(privatePem, `${path}.privateKey`, createPrivateKey)
  const givenPublic = publicPem === undefined ? null : parse(publicPem, `${path}.publicKey`, createPublicKey)
  const publicKey = privateKey === null ? givenPublic : createPublicKey(privateKey)
  if (publicKey === null) throw refused(path, 'needs a privateKey or a publicKey')
  if (givenPublic !== null && !givenPublic.equals(publicKey)) {
    throw refused(`${path}.publicKey`, 'is not the public part of privateKey')
  }
  refuseWeak(publicKey, algorithm, path)
  const jwk = publicKey.export({ format: 'jwk' })
  return complete({
    kid: kid ?? (await calculateJwkThumbprint(jwk)),
    algorithm,
    signWith: privateKey === null ? null : privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    verifyWith: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    jwk
  })
}

function complete (key: Omit<ServerKey, 'start'>): ServerKey {
  const header = JSON.stringify({ alg: key.algorithm, typ: 'at+jwt', kid: key.kid })
  return Object.freeze({ ...key, start: `${Buffer.from(header).toString('base64url')}.` })
}

function parse (pem: unknown, path: string, read: (pem: string) => KeyObject): KeyObject {
  if (typeof pem !== 'string') throw refused(path, 'must be a PEM string')
  if (path.endsWith('publicKey') && pem.includes('PRIVATE KEY')) throw refused(path, 'holds a private key')
  try {
    return read(pem)
  } catch {
    throw refused(path, 'is no readable PEM key')
  }
}

function refuseWeak (key: KeyObject, algorithm: SigningAlgorithm, path: string): void {
  const { modulusLength = 0, namedCurve } = key.asymmetricKeyDetails ?? {}
  const fits = {
    HS256: false,
    RS256: key.asymmetricKeyType === 'rsa' && modulusLength >= 2048,
    ES256: key.asymmetricKeyType === 'ec' && namedCurve === 'prime256v1',
    EdDSA: key.asymmetricKeyType === 'ed25519'
  }
  if (!fits[algorithm]) {
    throw refused(
      path,
      `${algorithm} needs ${{ HS256: '', RS256: 'an RSA key of at least 2048 bits', ES256: 'a P-256 key', EdDSA: 'an Ed25519 key' }[algorithm]}`
    )
  }
}

// A keyed hash: the name of the key says nothing about the secret that a dictionary could test cheaply elsewhere.
function kidOfSecret (secret: string): string {
  return createHmac('sha256', secret)
    .update('fastify-token-exchange kid')
    .digest()
    .subarray(0, 16)
    .toString('base64url')
}

function refuseDuplicates (keys: readonly ServerKey[]): void {
  keys.forEach((key, index) => {
    const earlier = keys.slice(0, index)
    if (earlier.some(({ kid }) => kid === key.kid)) throw refused(`keys[${index}].kid`, 'stands twice in the list')
    if (earlier.some(({ verifyWith }) => verifyWith === key.verifyWith)) {
      throw refused(`keys[${index}]`, 'is the same key as an earlier one')
    }
  })
}

function refused (path: string, why: string): Error {
  return new errors.OptionInvalidError(`${path} ${why}`)
}
