import { constants, createHash, verify, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import { rejected } from '../errors.js'
import type { KeySet } from '../http/key-set.js'
import { isId, type AuthorizationGrant, type GrantType, type NoncePolicy, type VerifyContext } from '../identity.js'
import { decodeUtf8, isObject, parseJson, type JsonObject } from '../strict-json.js'
import { standardIdentity, toBoolean, type StandardIdentity } from './openid-claims.js'

/** What a provider declares of its ID tokens. Everything that is named here is checked. */
export interface IdTokenRules {
  /**
   * The address of the key set (RFC 7517, 5) that signs them; or a set that finds its keys elsewhere, and for which
   * each verification takes one of the provider's places (`concurrency`).
   */
  readonly keys: string | KeySet
  /** Never the token's choice (RFC 8725, 3.1). */
  readonly algorithms: readonly string[]
  /** The exact issuers; or the one that belongs to these claims, for a provider of many issuers. */
  readonly issuers: readonly string[] | ((claims: JsonObject) => string)
  /** Whom they may be issued to: the ids of all your apps there. */
  readonly clientIds: readonly string[]
  /** Members of a login that may carry one. @default ['id_token'] */
  readonly members?: readonly GrantType[]
  /** How the provider's SDKs put an app's nonce into the token. @default ['raw', 'sha256'] */
  readonly nonceForms?: ReadonlyArray<'raw' | 'sha256'>
  /** What this provider has beyond the rules of all. Throws errors.GrantRejectedError. */
  readonly check?: (claims: JsonObject, jwk: JsonObject) => void
  /** What differs from OpenID Connect in what the claims say. */
  readonly identity?: (standard: StandardIdentity) => StandardIdentity
}

/** With its keys at hand. */
export type ResolvedRules = IdTokenRules & { readonly keys: KeySet }

const longestToken = 16 * 1024
const deepestNesting = 32
/** Seconds that clocks may differ. */
const tolerance = 30
const longestAge = 24 * 3600
// Each changes what is signed or how it is read; no provider uses one.
const refusedHeaders = ['crit', 'b64', 'zip']

/**
 * Verifies an ID token (OpenID Connect Core, 3.1.3.7; RFC 8725) against declared rules, cheap checks first.
 *
 * @throws errors.GrantRejectedError when any check fails; its reason is the name of the check
 * @throws errors.ProviderUnavailableError when the provider's keys cannot be had
 */
export async function verifyIdToken (
  rules: ResolvedRules,
  policy: NoncePolicy,
  { token, nonce }: Pick<AuthorizationGrant, 'token' | 'nonce'>,
  context: VerifyContext
): Promise<StandardIdentity> {
  const [header, payload] = decode(token)
  const { algorithm, kid } = readHeader(header, rules.algorithms)
  const { plain, exact } = parsePart(payload)
  checkKind(plain)
  checkIssuer(plain, rules.issuers)
  const clientId = matchAudience(plain, rules.clientIds)
  if (!isId(plain.sub)) throw rejected('subject', 'sub')
  checkTimes(plain)
  checkNonce(policy, rules.nonceForms, nonce, plain)
  const found = rules.keys.key(kid, algorithm, context)
  const { publicKey, jwk } = found instanceof Promise ? await found : found
  const isSigned = isSignedBy(publicKey, algorithm, token)
  if (!(isSigned instanceof Promise ? await isSigned : isSigned)) throw rejected('signature', 'signature')
  rules.check?.(plain, jwk)
  const identity = standardIdentity(exact, clientId)
  return rules.identity?.(identity) ?? identity
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

function readHeader (bytes: Buffer, algorithms: readonly string[]): { algorithm: string, kid: string } {
  const { alg, kid, typ, ...others } = parsePart(bytes).plain
  if (typeof alg !== 'string' || !algorithms.includes(alg)) {
    throw rejected('algorithm', 'alg', { expected: algorithms, got: shown(alg) })
  }
  // RFC 8725, 3.11: a logout token or an access token of the same issuer is not an ID token.
  if (typ !== undefined && !(typeof typ === 'string' && typ.toUpperCase() === 'JWT')) throw rejected('form', 'typ')
  if (refusedHeaders.some(name => others[name] !== undefined)) throw rejected('form', 'crit')
  if (typeof kid !== 'string' || kid === '') throw rejected('key', 'kid')
  return { algorithm: alg, kid }
}

/**
 * OpenID Connect Back-Channel Logout 1.0, 2.4 and 2.6: a logout token has the issuer, the audience and the keys of an
 * ID token, and a `typ` of its own is only recommended. Its `events` claim is what it is known by.
 */
function checkKind ({ events }: JsonObject): void {
  if (events !== undefined) throw rejected('claims', 'events')
}

function checkIssuer (claims: JsonObject, issuers: IdTokenRules['issuers']): void {
  const expected = typeof issuers === 'function' ? [issuers(claims)] : issuers
  if (typeof claims.iss !== 'string' || !expected.includes(claims.iss)) {
    throw rejected('issuer', 'iss', { expected, got: shown(claims.iss) })
  }
}

function matchAudience ({ aud, azp }: JsonObject, clientIds: readonly string[]): string {
  const audiences: unknown[] = Array.isArray(aud) ? aud : [aud]
  const clientId = clientIds.find(id => audiences.includes(id))
  if (clientId === undefined || !audiences.every(audience => typeof audience === 'string')) {
    throw rejected('audience', 'aud', { expected: clientIds, got: shown(aud) })
  }
  const isOurs = azp === undefined || (typeof azp === 'string' && clientIds.includes(azp))
  if (audiences.length > 1 && !isOurs) throw rejected('audience', 'azp')
  return clientId
}

function checkTimes ({ exp, iat, nbf }: JsonObject): void {
  const now = Date.now() / 1000
  if (!isTime(exp) || exp <= now - tolerance) {
    throw rejected('time', 'exp', { expected: 'later than now', got: ageOf(exp) })
  }
  if (!isTime(iat) || iat > now + tolerance || iat < now - longestAge - tolerance) {
    throw rejected('time', 'iat', { expected: 'of the last 24 hours', got: ageOf(iat) })
  }
  if (nbf !== undefined && (!isTime(nbf) || nbf > now + tolerance)) throw rejected('time', 'nbf')
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

function isTime (value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value)
}

/**
 * Compares the nonce that the app posted with the token's (OpenID Connect Core, 3.1.3.7, 11). Whether this server
 * issued it, and that it is used once, is seen to where the login ends.
 */
function checkNonce (
  policy: NoncePolicy,
  forms: IdTokenRules['nonceForms'],
  posted: string | undefined,
  claims: JsonObject
): void {
  if (policy === 'off') return
  if (posted === undefined) {
    if (policy === 'required') throw rejected('nonce', 'nonce missing')
    return
  }
  // Apple: "nonce_supported: false" is a platform that drops the nonce; nothing is then bound to what the app posted.
  const isDropped = claims.nonce === undefined && toBoolean(claims.nonce_supported) === false
  if (isDropped && policy === 'if-present') return
  if (!isNonce(claims.nonce, posted, forms)) throw rejected('nonce', 'nonce')
}

function isNonce (claimed: unknown, posted: string, forms: IdTokenRules['nonceForms'] = ['raw', 'sha256']): boolean {
  if (posted === '') return false
  if (forms.includes('raw') && claimed === posted) return true
  if (!forms.includes('sha256')) return false
  const hash = createHash('sha256').update(posted).digest()
  return claimed === hash.toString('hex') || claimed === hash.toString('base64url')
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
