import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import type { AuthenticationResponseJSON, RegistrationResponseJSON } from '@simplewebauthn/server'

/** A passkey in software (W3C Web Authentication, 6), with one key for one site. */
export interface Authenticator {
  create (challenge: string): RegistrationResponseJSON
  /** @param as what is told of the page, where that is not the truth */
  get (challenge: string, as?: { origin?: string, isUserVerified?: boolean }): AuthenticationResponseJSON
}

const flags = { present: 0x01, verified: 0x04, withKey: 0x40 }
const base64url = (bytes: Buffer | string): string => Buffer.from(bytes).toString('base64url')
const sha256 = (bytes: Buffer | string): Buffer => createHash('sha256').update(bytes).digest()

export function createAuthenticator (rpID: string, origin: string): Authenticator {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const { x = '', y = '' } = publicKey.export({ format: 'jwk' })
  const id = randomBytes(16)
  let counter = 0

  function dataOf (bits: number, more = Buffer.alloc(0)): Buffer {
    const count = Buffer.alloc(4)
    count.writeUInt32BE(++counter)
    return Buffer.concat([sha256(rpID), Buffer.from([bits]), count, more])
  }

  const clientData = (type: string, challenge: string, origin: string): Buffer =>
    Buffer.from(JSON.stringify({ type, challenge, origin, crossOrigin: false }))
  const common = { id: base64url(id), rawId: base64url(id), type: 'public-key', clientExtensionResults: {} } as const

  return {
    create (challenge) {
      // RFC 9053, 7.1.1: EC2, ES256, P-256.
      const [first, second] = [x, y].map(coordinate => Buffer.from(coordinate, 'base64url'))
      const key = cbor(mapOf([1, 2], [3, -7], [-1, 1], [-2, first], [-3, second]))
      const credential = Buffer.concat([Buffer.alloc(16), Buffer.from([0, id.length]), id, key])
      const authData = dataOf(flags.present | flags.verified | flags.withKey, credential)
      const attestation = cbor(mapOf(['fmt', 'none'], ['attStmt', mapOf()], ['authData', authData]))
      const response = {
        clientDataJSON: base64url(clientData('webauthn.create', challenge, origin)),
        attestationObject: base64url(attestation)
      }
      return { ...common, response }
    },

    get (challenge, { origin: page = origin, isUserVerified = true } = {}) {
      const data = clientData('webauthn.get', challenge, page)
      const authData = dataOf(flags.present | (isUserVerified ? flags.verified : 0))
      const signature = sign('sha256', Buffer.concat([authData, sha256(data)]), privateKey)
      const response = {
        clientDataJSON: base64url(data),
        authenticatorData: base64url(authData),
        signature: base64url(signature)
      }
      return { ...common, response }
    }
  }
}

const mapOf = (...entries: Array<[unknown, unknown]>): Map<unknown, unknown> => new Map(entries)

/** RFC 8949, of what a passkey writes: short integers, texts, bytes and maps. */
function cbor (value: unknown): Buffer {
  if (typeof value === 'number') return value < 0 ? head(1, -1 - value) : head(0, value)
  if (Buffer.isBuffer(value)) return Buffer.concat([head(2, value.length), value])
  if (value instanceof Map) return Buffer.concat([head(5, value.size), ...[...value].flat().map(cbor)])
  const text = Buffer.from(String(value))
  return Buffer.concat([head(3, text.length), text])
}

function head (kind: number, length: number): Buffer {
  if (length < 24) return Buffer.from([kind << 5 | length])
  return length < 256 ? Buffer.from([kind << 5 | 24, length]) : Buffer.from([kind << 5 | 25, length >> 8, length & 255])
}
