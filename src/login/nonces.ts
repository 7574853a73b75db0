import { createHmac, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto'
import { errors } from '../errors.js'

/** What an app puts into its login at the provider, so that the ID token is good for this one login only. */
export interface NonceAnswer {
  nonce: string
  /** Seconds. */
  expires_in: number
}

/**
 * Nonces that carry their own expiry and proof: nothing is stored until one is spent, and every server with the same
 * keys knows them.
 */
export interface Nonces {
  issue (): NonceAnswer
  /** When a nonce of ours expires, in milliseconds. @throws errors.GrantRejectedError for any other, or an expired one */
  expiryOf (nonce: string): number
}

const lifetime = 600
// random (16) + expiry (6) + MAC (20): 42 bytes are 56 characters of base64url without a spare bit, so each has one spelling.
const signedBytes = 22
const macBytes = 20
const shape = /^[A-Za-z0-9_-]{56}$/

/**
 * @param material the private parts of the server's keys: the first makes, all verify
 * @param issuer binds the nonces to one application, should two share a key
 */
export function createNonces (material: readonly string[], issuer: string): Nonces {
  const keys = material.map(secret =>
    Buffer.from(hkdfSync('sha256', secret, '', `fastify-token-exchange nonce ${issuer}`, 32))
  )

  function issue (): NonceAnswer {
    const [key] = keys
    if (key === undefined) throw new errors.OptionInvalidError('keys holds none that can sign')
    const signed = Buffer.concat([randomBytes(16), Buffer.alloc(6)])
    signed.writeUIntBE(Math.floor(Date.now() / 1000) + lifetime, 16, 6)
    return { nonce: Buffer.concat([signed, mac(signed, key)]).toString('base64url'), expires_in: lifetime }
  }

  function expiryOf (nonce: string): number {
    const bytes = Buffer.from(shape.test(nonce) ? nonce : '', 'base64url')
    const signed = bytes.subarray(0, signedBytes)
    const isOurs = bytes.length > 0 && keys.some(key => timingSafeEqual(mac(signed, key), bytes.subarray(signedBytes)))
    if (!isOurs) throw new errors.GrantRejectedError('the nonce is none of this server')
    const expiry = signed.readUIntBE(16, 6) * 1000
    if (expiry <= Date.now()) throw new errors.GrantRejectedError('the nonce has expired')
    return expiry
  }

  return { issue, expiryOf }
}

function mac (signed: Uint8Array, key: Buffer): Buffer {
  return createHmac('sha256', key).update(signed).digest().subarray(0, macBytes)
}
