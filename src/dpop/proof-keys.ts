import { createPublicKey, hash, verify } from 'node:crypto'
import { isObject, parseJson, decodeUtf8, type JsonObject } from '../strict-json.js'
import type { ProofAlgorithm } from './dpop-options.js'
import { refused } from './proof-refused.js'

/** What the header of a proof says: whose key it is, by its thumbprint, and whether that key has signed. */
export interface ProofKey {
  /** RFC 7638, of SHA-256. */
  readonly jkt: string
  /** Whether it signed these bytes. */
  signed (bytes: Buffer, signature: Buffer): boolean
}

/** The keys of clients, by the header segment of their proofs. */
export interface ProofKeys {
  /** @throws ProofRefused for a header that no proof may have */
  read (header: string): ProofKey
  /** Remembers the key of a proof that has held. */
  remember (header: string, key: ProofKey): void
}

/** Clients that are remembered. Of each there are about 3 kB. */
const mostKeys = 10_000
/** Characters: an RSA key of 4,096 bits fits. */
const longestRemembered = 1536

/**
 * A client writes the same header into each of its proofs: parsing it and importing its key cost as much as a
 * signature, and are done once. Only proofs that have held are remembered, so garbage pushes nobody out.
 */
export function createProofKeys (algorithms: readonly ProofAlgorithm[]): ProofKeys {
  const known = new Map<string, ProofKey>()
  return {
    read: header => known.get(header) ?? readHeader(header, algorithms),
    remember (header, key) {
      if (header.length > longestRemembered || known.get(header) === key) return
      const [oldest] = known.size < mostKeys ? [] : known.keys()
      if (oldest !== undefined) known.delete(oldest)
      // As a slice it would hold on to the whole proof.
      known.set(Buffer.from(header, 'latin1').toString('latin1'), key)
    }
  }
}

// Each changes what is signed or how it is read (RFC 7515, 4.1.11; RFC 7797, 3).
const refusedMembers = ['crit', 'b64', 'zip']

/** RFC 9449, 4.3, 4 to 6 and 10. */
function readHeader (segment: string, algorithms: readonly ProofAlgorithm[]): ProofKey {
  const { typ, alg, jwk, ...others } = parsed(bytesOf(segment))
  if (typ !== 'dpop+jwt') throw refused('typ')
  const algorithm = algorithms.find(one => one === alg)
  if (algorithm === undefined) throw refused('alg')
  if (refusedMembers.some(name => others[name] !== undefined)) throw refused('crit')
  if (!isObject(jwk)) throw refused('jwk')
  return keyOf(algorithm, publicMembers(jwk, algorithm))
}

/** RFC 7515, 2: base64url in the one spelling that the bytes have. @throws ProofRefused */
export function bytesOf (segment: string): Buffer {
  const bytes = Buffer.from(segment, 'base64url')
  if (segment === '' || bytes.toString('base64url') !== segment) throw refused('form')
  return bytes
}

/** Deeper than any claim of a proof. */
const deepestNesting = 8

/** @throws ProofRefused */
function parsed (bytes: Buffer): JsonObject {
  try {
    const { plain } = parseJson(decodeUtf8(bytes), deepestNesting)
    if (isObject(plain)) return plain
  } catch { /* refused below, like all that is not an object */ }
  throw refused('form')
}

/** The members that make a key, in the order of RFC 7638, 3.2. */
type PublicMembers = Readonly<Record<string, string>>

// RFC 7517, 4.2 to 4.4: what a key is not for. RFC 9449, 4.3, 7: nobody sends a private key.
const privateMembers = ['d', 'k', 'p', 'q', 'dp', 'dq', 'qi', 'oth']

function publicMembers (jwk: JsonObject, algorithm: ProofAlgorithm): PublicMembers {
  if (privateMembers.some(name => jwk[name] !== undefined)) throw refused('jwk')
  const { use = 'sig', key_ops: operations = ['verify'], alg = algorithm } = jwk
  const isSame = alg === algorithm || (isEdwards(alg) && isEdwards(algorithm))
  const isForThis = use === 'sig' && isSame && Array.isArray(operations) && operations.includes('verify')
  if (!isForThis) throw refused('jwk')
  return members[algorithm](jwk)
}

/** RFC 9864, 2.2: two names of one algorithm. */
function isEdwards (alg: unknown): boolean {
  return alg === 'EdDSA' || alg === 'Ed25519'
}

const edwards = ({ kty, crv, x }: JsonObject): PublicMembers => {
  if (kty !== 'OKP' || crv !== 'Ed25519') throw refused('jwk')
  return { crv, kty, x: coordinate(x) }
}

/** RFC 7518, 6.2.1 and 6.3.1; RFC 8037, 2: each value in its one spelling, or a key had many thumbprints. */
const members: Readonly<Record<ProofAlgorithm, (jwk: JsonObject) => PublicMembers>> = {
  ES256 ({ kty, crv, x, y }) {
    if (kty !== 'EC' || crv !== 'P-256') throw refused('jwk')
    return { crv, kty, x: coordinate(x), y: coordinate(y) }
  },
  EdDSA: edwards,
  Ed25519: edwards,
  RS256 ({ kty, n, e }) {
    if (kty !== 'RSA') throw refused('jwk')
    const modulus = numberOf(n)
    const bits = modulus.length * 8 - Math.clz32(modulus[0] ?? 0) + 24
    // A long exponent would make a signature as dear to verify as to make.
    const isUsual = bits >= 2048 && bits <= 4096 && numberOf(e).length <= 4
    if (!isUsual) throw refused('jwk')
    return { e: String(e), kty, n: String(n) }
  }
}

function coordinate (value: unknown): string {
  if (typeof value !== 'string' || bytesOf(value).length !== 32) throw refused('jwk')
  return value
}

function numberOf (value: unknown): Buffer {
  const bytes = typeof value === 'string' ? bytesOf(value) : Buffer.alloc(1)
  if (bytes[0] === 0) throw refused('jwk')
  return bytes
}

function keyOf (algorithm: ProofAlgorithm, members: PublicMembers): ProofKey {
  const jkt = hash('sha256', JSON.stringify(members), 'base64url')
  const hashName = isEdwards(algorithm) ? null : 'sha256'
  const signatureBytes = algorithm === 'RS256' ? null : 64
  let key: { key: ReturnType<typeof createPublicKey>, dsaEncoding: 'ieee-p1363' } | undefined
  return {
    jkt,
    signed (bytes, signature) {
      // At its first use: who shows somebody else's token with a key of its own is refused before that.
      key ??= { key: imported(members), dsaEncoding: 'ieee-p1363' }
      if (signatureBytes !== null && signature.length !== signatureBytes) return false
      return verify(hashName, bytes, key, signature)
    }
  }
}

function imported (members: PublicMembers): ReturnType<typeof createPublicKey> {
  try {
    return createPublicKey({ key: members, format: 'jwk' })
  } catch {
    throw refused('jwk')
  }
}
