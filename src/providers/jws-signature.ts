import { constants, verify, type KeyObject } from 'node:crypto'

type Scheme = { hash: string | null } & ({ padding: number, saltLength?: number } | { dsaEncoding: 'ieee-p1363' } | object)

/** RFC 7518, 3.3 to 3.5 and RFC 8037, 3.1, in OpenSSL's words. */
const schemes: ReadonlyMap<string, Scheme> = new Map([
  ...['256', '384', '512'].flatMap((bits): Array<[string, Scheme]> => [
    [`RS${bits}`, { hash: `sha${bits}`, padding: constants.RSA_PKCS1_PADDING }],
    [`PS${bits}`, { hash: `sha${bits}`, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }],
    [`ES${bits}`, { hash: `sha${bits}`, dsaEncoding: 'ieee-p1363' }]
  ]),
  ['EdDSA', { hash: null }]
])

/**
 * Whether the key signed a compact JWS (RFC 7515, 5.2) of that algorithm. Synchronous: WebCrypto, which jose is built
 * on, takes a turn of the thread pool that costs as much as the check itself.
 */
export function isSignedBy (publicKey: KeyObject, algorithm: string, jws: string): boolean {
  const scheme = schemes.get(algorithm)
  if (scheme === undefined) return false
  const { hash, ...how } = scheme
  const end = jws.lastIndexOf('.')
  return verify(hash, Buffer.from(jws.slice(0, end), 'latin1'), { key: publicKey, ...how }, Buffer.from(jws.slice(end + 1), 'base64url'))
}
