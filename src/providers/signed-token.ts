import { constants, verify, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import { rejected } from '../errors.js'
import { after } from '../http/cached-document.js'
import type { KeySet } from '../http/key-set.js'
import type { VerifyContext } from '../identity.js'
import { decodeUtf8, isObject, parseJson, type JsonObject } from '../strict-json.js'

/** A token as it came: nothing of it is verified yet but its form and its algorithm. */
export interface ReadToken {
  readonly algorithm: string
  readonly kid: string
  /** Its claims, as JSON.parse reads them; and with every integer that a double cannot hold as its digits. */
  readonly plain: JsonObject
  readonly exact: JsonObject
}

const longestToken = 16 * 1024
const deepestNesting = 32
/** Seconds that clocks may differ. */
export const tolerance = 30
const longestAge = 24 * 3600
// Each changes what is signed or how it is read; no provider uses one.
const refusedHeaders = ['crit', 'b64', 'zip']

/**
 * Reads a signed token (RFC 7519) of one of these algorithms.
 *
 * @param types what `typ` may say, in lower case; it may be left out
 * @throws errors.GrantRejectedError
 */
export function readToken (
  token: string,
  algorithms: readonly string[],
  types: readonly string[] = ['jwt']
): ReadToken {
  const [header, payload] = decode(token)
  return { ...readHeader(header, algorithms, types), ...parsePart(payload) }
}

/** RFC 7515, 7.1: three parts of base64url, in the one spelling that the bytes have. */
function decode (token: string): [header: Buffer, payload: Buffer] {
  if (token.length > longestToken) throw rejected('form', 'too long')
  const [header, payload, signature, ...more] = token.split('.').map(part => {
    const bytes = Buffer.from(part, 'base64url')
    if (part === '' || bytes.toString('base64url') !== part) throw rejected('form', 'form')
    return bytes
  })
  if (header === undefined || payload === undefined || signature === undefined || more.length > 0) {
    throw rejected('form', 'form')
  }
  return [header, payload]
}

function parsePart (bytes: Buffer): { plain: JsonObject, exact: JsonObject } {
  try {
    const { plain, exact } = parseJson(decodeUtf8(bytes), deepestNesting)
    if (isObject(plain) && isObject(exact)) return { plain, exact }
  } catch { /* refused below, like all that is not an object */ }
  throw rejected('form', 'form')
}

function readHeader (
  bytes: Buffer,
  algorithms: readonly string[],
  types: readonly string[]
): { algorithm: string, kid: string } {
  const { alg, kid, typ, ...others } = parsePart(bytes).plain
  if (typeof alg !== 'string' || !algorithms.includes(alg)) {
    throw rejected('algorithm', 'alg', { expected: algorithms, got: shown(alg) })
  }
  // RFC 8725, 3.11: a logout token or an access token of the same issuer is not an ID token.
  if (typ !== undefined && !(typeof typ === 'string' && types.includes(mediaType(typ)))) throw rejected('form', 'typ')
  if (refusedHeaders.some(name => others[name] !== undefined)) throw rejected('form', 'crit')
  if (typeof kid !== 'string' || kid === '') throw rejected('key', 'kid')
  return { algorithm: alg, kid }
}

/** RFC 7515, 4.1.9: in any case, and the prefix may be left out. */
function mediaType (typ: string): string {
  return typ.toLowerCase().replace(/^application\//, '')
}

export function checkIssuer (
  claims: JsonObject,
  issuers: readonly string[] | ((claims: JsonObject) => string)
): void {
  const expected = typeof issuers === 'function' ? [issuers(claims)] : issuers
  if (typeof claims.iss !== 'string' || !expected.includes(claims.iss)) {
    throw rejected('issuer', 'iss', { expected, got: shown(claims.iss) })
  }
}

export function matchAudience ({ aud, azp }: JsonObject, clientIds: readonly string[]): string {
  const audiences: unknown[] = Array.isArray(aud) ? aud : [aud]
  const clientId = clientIds.find(id => audiences.includes(id))
  if (clientId === undefined || !audiences.every(audience => typeof audience === 'string')) {
    throw rejected('audience', 'aud', { expected: clientIds, got: shown(aud) })
  }
  const isOurs = azp === undefined || (typeof azp === 'string' && clientIds.includes(azp))
  if (audiences.length > 1 && !isOurs) throw rejected('audience', 'azp')
  return clientId
}

/** @throws errors.GrantRejectedError for a token that has expired, or never does */
export function checkExpiry (exp: unknown): void {
  if (isTime(exp) && exp > Date.now() / 1000 - tolerance) return
  throw rejected('time', 'exp', { expected: 'later than now', got: ageOf(exp) })
}

/** @throws errors.GrantRejectedError for a token that was not issued within the last 24 hours */
export function checkIssued (iat: unknown): asserts iat is number {
  const now = Date.now() / 1000
  if (isTime(iat) && iat <= now + tolerance && iat >= now - longestAge - tolerance) return
  throw rejected('time', 'iat', { expected: 'of the last 24 hours', got: ageOf(iat) })
}

/** How old a time is, in words: what the log shows of a token that came late, or of a clock that is wrong. */
function ageOf (time: unknown): string {
  if (!isTime(time)) return 'no time'
  const age = Math.round(Date.now() / 1000 - time)
  return age < 0 ? `${-age} s ahead` : `${age} s ago`
}

const longestShown = 200

/** A claim as the log may show it: short, and no object. */
function shown (claim: unknown): unknown {
  if (Array.isArray(claim)) return claim.slice(0, 5).map(shown)
  return typeof claim === 'string' ? claim.slice(0, longestShown) : typeof claim
}

export function isTime (value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value)
}

/**
 * The JWK of the key that signed a token: at once where the key is known.
 *
 * @throws errors.GrantRejectedError, errors.ProviderUnavailableError
 */
export function requireSignature (
  keys: KeySet,
  { token, algorithm, kid }: { token: string } & Pick<ReadToken, 'algorithm' | 'kid'>,
  context: VerifyContext
): JsonObject | Promise<JsonObject> {
  return after(keys.key(kid, algorithm, context), ({ publicKey, jwk }) =>
    after(isSignedBy(publicKey, algorithm, token), isSigned => {
      if (!isSigned) throw rejected('signature', 'signature')
      return jwk
    })
  )
}

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
 * Whether the key signed a compact JWS (RFC 7515, 5.2) of that algorithm. RSA at once: it takes 30 µs, less than the
 * way to the thread pool and back; the curves, which take up to 2 ms, there.
 */
export function isSignedBy (publicKey: KeyObject, algorithm: string, jws: string): boolean | Promise<boolean> {
  const scheme = schemes.get(algorithm)
  if (scheme === undefined) return false
  const { hash, ...how } = scheme
  const end = jws.lastIndexOf('.')
  const signed = Buffer.from(jws.slice(0, end), 'latin1')
  const signature = Buffer.from(jws.slice(end + 1), 'base64url')
  const work = publicKey.asymmetricKeyType === 'rsa' ? verify : verifyInPool
  return work(hash, signed, { key: publicKey, ...how }, signature)
}
