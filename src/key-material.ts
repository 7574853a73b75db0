import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto'

/** Keys of their own for each use, made of the secrets that all servers of an application share. */
export interface KeyMaterial {
  /**
   * One key for each secret, in their order: the first makes, all verify.
   * RFC 5869, 3.2: `use` separates these keys from those of every other use.
   *
   * @param bytes of each key, @default 32
   */
  keysFor (use: string, bytes?: number): readonly Buffer[]
}

/**
 * @param secrets the raw material
 * @param issuer binds the keys to one application, should two share a secret
 */
export function createKeyMaterial (secrets: readonly (string | Uint8Array)[], issuer: string): KeyMaterial {
  return {
    keysFor (use, bytes = 32) {
      const info = `fastify-token-exchange ${use} ${issuer}`
      return secrets.map(secret => Buffer.from(hkdfSync('sha256', secret, '', info, bytes)))
    }
  }
}

/** An id and a number that only a holder of the key can have put together. */
export interface Stamp {
  /** {@link idBytes} of them. */
  readonly id: Buffer
  /** At most 48 bits: a counter, or a time. */
  readonly number: number
}

/** Of a stamp. */
export const idBytes = 16
const signedBytes = idBytes + 6

/** How many bytes of its HMAC-SHA-256 a stamp carries. With both the whole is a multiple of three: no spare bits. */
export type MacBytes = 20 | 32

/**
 * The text of a stamp: id, number and MAC in base64url, of one spelling. The same stamp always has the same text.
 *
 * @param boundTo what the stamp is good for, and does not hold
 */
export function writeStamp ({ id, number }: Stamp, key: Buffer, macBytes: MacBytes, boundTo = ''): string {
  const signed = Buffer.alloc(signedBytes)
  id.copy(signed)
  signed.writeUIntBE(number, idBytes, 6)
  return Buffer.concat([signed, macOf(signed, key, macBytes, boundTo)]).toString('base64url')
}

/** What a text says, and which of the keys made it; null where none did. */
export function readStamp (
  text: string,
  keys: readonly Buffer[],
  macBytes: MacBytes,
  boundTo = ''
): Stamp & { readonly keyIndex: number } | null {
  if (text.length !== (signedBytes + macBytes) * 4 / 3 || !/^[A-Za-z0-9_-]+$/.test(text)) return null
  const bytes = Buffer.from(text, 'base64url')
  const signed = bytes.subarray(0, signedBytes)
  const mac = bytes.subarray(signedBytes)
  const keyIndex = keys.findIndex(key => timingSafeEqual(macOf(signed, key, macBytes, boundTo), mac))
  if (keyIndex === -1) return null
  return { id: signed.subarray(0, idBytes), number: signed.readUIntBE(idBytes, 6), keyIndex }
}

// What is signed has one length, so that no other split of the two reads alike.
function macOf (signed: Buffer, key: Buffer, macBytes: MacBytes, boundTo: string): Buffer {
  return createHmac('sha256', key).update(signed).update(boundTo).digest().subarray(0, macBytes)
}
