import { constants, verify, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'

type Scheme = { hash: string | null } & (
  { padding: number, saltLength?: number } | { dsaEncoding: 'ieee-p1363' } | object
)

/** RFC 7518, 3.3 to 3.5 and RFC 8037, 3.1, in OpenSSL's words. */
const schemes: ReadonlyMap<string, Scheme> = new Map([
  ...['256', '384', '512'].flatMap((bits): Array<[string, Scheme]> => [
    [`RS${bits}`, { hash: `sha${bits}`, padding: constants.RSA_PKCS1_PADDING }],
    [
      `PS${bits}`,
      { hash: `sha${bits}`, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
    ],
    [`ES${bits}`, { hash: `sha${bits}`, dsaEncoding: 'ieee-p1363' }]
  ]),
  ['EdDSA', { hash: null }]
])

const verifyInPool = promisify(verify)

/**
 * Whether the key signed a compact JWS (RFC 7515, 5.2) of that algorithm. In the thread pool, as jose does it, but
 * without WebCrypto, whose way there costs the event loop as much as the check itself.
 */
export async function isSignedBy (publicKey: KeyObject, algorithm: string, jws: string): Promise<boolean> {
  const scheme = schemes.get(algorithm)
  if (scheme === undefined) return false
  const { hash, ...how } = scheme
  const end = jws.lastIndexOf('.')
  return await verifyInPool(
    hash,
    Buffer.from(jws.slice(0, end), 'latin1'),
    { key: publicKey, ...how },
    Buffer.from(jws.slice(end + 1), 'base64url')
  )
}
