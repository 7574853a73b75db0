import { constants, createHash, createHmac, generateKeyPair, randomBytes, sign, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import { json, type Answer } from './site.js'

/** The algorithms that the identity server signs with. */
export type SigningAlgorithm = 'RS256' | 'PS256' | 'ES256' | 'EdDSA'

/**
 * Members of the JWS header that differ from those of a good token; `undefined` leaves one out.
 * `alg` also chooses the key where the issuer has one for it; `none` leaves the signature empty, and `HS256`
 * signs with the public key as the secret (the confusion of RFC 8725, 2.1). Any other value is only claimed.
 */
export type HeaderOverrides = Readonly<Record<string, unknown>>

export interface RotateOptions {
  /**
   * Keep the old keys in the key set, so that tokens signed before remain good.
   * @default false
   */
  keepPublishing?: boolean
}

/** A key that an issuer signs with: one name, one algorithm, and what its JWK says beyond the key itself. */
export interface KeySlot {
  readonly name: string
  readonly algorithm: SigningAlgorithm
  readonly members: Readonly<Record<string, string>>
}

export interface KeyRing {
  sign (claims: Readonly<Record<string, unknown>>, header: HeaderOverrides, slotName?: string): Promise<string>
  /** The key set (RFC 7517, 5) with an ETag, or 304 (RFC 9110, 13.1.2). */
  keySet (ifNoneMatch: string | undefined): Promise<Answer>
  rotate (options?: RotateOptions): Promise<void>
}

interface SlotKey extends KeySlot { kid: string, privateKey: KeyObject, publicKey: KeyObject }

const generate = promisify(generateKeyPair)
const generators: Record<SigningAlgorithm, () => Promise<{ privateKey: KeyObject, publicKey: KeyObject }>> = {
  RS256: () => generate('rsa', { modulusLength: 2048 }),
  PS256: () => generate('rsa', { modulusLength: 2048 }),
  ES256: () => generate('ec', { namedCurve: 'P-256' }),
  EdDSA: () => generate('ed25519')
}

const signers: Record<SigningAlgorithm, (data: Buffer, key: KeyObject) => Buffer> = {
  RS256: (data, key) => sign('sha256', data, key),
  PS256: (data, key) => sign('sha256', data, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }),
  ES256: (data, key) => sign('sha256', data, { key, dsaEncoding: 'ieee-p1363' }),
  EdDSA: (data, key) => sign(null, data, key)
}

/** Keys are made when the issuer first needs them, all of one issuer at once: a start costs no key that none uses. */
export function createKeyRing (first: KeySlot, ...others: readonly KeySlot[]): KeyRing {
  let signing: Promise<[SlotKey, ...SlotKey[]]> | undefined
  let retired: SlotKey[] = []

  async function generateAll (): Promise<[SlotKey, ...SlotKey[]]> {
    return await Promise.all([generateKey(first), ...others.map(generateKey)])
  }

  function keys (): Promise<[SlotKey, ...SlotKey[]]> {
    signing ??= generateAll()
    return signing
  }

  return {
    async sign (claims, header, slotName) {
      const all = await keys()
      const chosen =
        all.find(key => (slotName === undefined ? key.algorithm === header.alg : key.name === slotName)) ?? all[0]
      return signCompact(chosen, claims, header)
    },
    async keySet (ifNoneMatch) {
      const published = [...await keys(), ...retired].map(toJwk)
      const etag = `"${createHash('sha256').update(JSON.stringify(published)).digest('base64url')}"`
      const headers = { etag, 'cache-control': 'public, max-age=600' }
      return ifNoneMatch === etag ? { status: 304, headers, body: '' } : json(200, { keys: published }, headers)
    },
    async rotate ({ keepPublishing = false } = {}) {
      if (signing === undefined) return
      const old = await signing
      retired = keepPublishing ? [...old, ...retired] : []
      signing = generateAll()
      await signing
    }
  }
}

async function generateKey (slot: KeySlot): Promise<SlotKey> {
  return { ...slot, kid: randomBytes(12).toString('base64url'), ...await generators[slot.algorithm]() }
}

function toJwk (key: SlotKey): Record<string, unknown> {
  return { ...key.publicKey.export({ format: 'jwk' }), kid: key.kid, use: 'sig', ...key.members }
}

// By hand and not with jose, which rightly refuses to sign most of what a test wants to show to a verifier.
function signCompact (key: SlotKey, claims: Readonly<Record<string, unknown>>, overrides: HeaderOverrides): string {
  const header = { alg: key.algorithm, typ: 'JWT', kid: key.kid, ...overrides }
  const input = [header, claims].map(part => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
  return `${input}.${signature(key, header.alg, input)}`
}

function signature (key: SlotKey, algorithm: unknown, input: string): string {
  if (algorithm === 'none') return ''
  if (algorithm === 'HS256') {
    return createHmac('sha256', key.publicKey.export({ type: 'spki', format: 'pem' })).update(input).digest('base64url')
  }
  return signers[key.algorithm](Buffer.from(input), key.privateKey).toString('base64url')
}
