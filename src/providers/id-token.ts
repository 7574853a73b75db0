import { errors } from '../errors.js'
import type { AuthorizationGrant, NoncePolicy, VerifyContext } from '../identity.js'
import { decodeUtf8, isObject, parseJson, type JsonObject } from '../strict-json.js'
import type { KeySet, PublishedKey } from '../http/key-set.js'
import { isSignedBy } from './jws-signature.js'
import { checkNonce, type NonceForm } from './nonce.js'

/** What a provider declares of its ID tokens. Everything that is named here is checked. */
export interface IdTokenRules {
  keys: KeySet
  /** Never the token's choice (RFC 8725, 3.1). */
  algorithms: readonly string[]
  /** The exact issuers; or the one that belongs to these claims, for a provider of many issuers. */
  issuers: readonly string[] | ((claims: JsonObject) => string)
  clientIds: readonly string[]
  nonce: NoncePolicy
  nonceForms?: readonly NonceForm[]
  /** What this provider has beyond the rules of all. Throws errors.GrantRejectedError. */
  check?: (claims: JsonObject, key: PublishedKey) => void
}

/** Verified claims, and which of our client ids they were issued to. */
export interface VerifiedIdToken { claims: JsonObject, clientId: string }

const MAX_LENGTH = 16 * 1024
const TOLERANCE = 30
const MAX_AGE = 24 * 3600
const deepestNesting = 32
// Each changes what is signed or how it is read; no provider uses one.
const REFUSED_HEADERS = ['crit', 'b64', 'zip']

/**
 * Verifies an ID token (OpenID Connect Core, 3.1.3.7; RFC 8725) against declared rules, cheap checks first.
 *
 * @throws errors.GrantRejectedError when any check fails; its reason is the name of the check
 * @throws errors.ProviderUnavailableError when the provider's keys cannot be had
 */
export async function verifyIdToken (
  rules: IdTokenRules,
  { token, nonce }: AuthorizationGrant,
  context: VerifyContext
): Promise<VerifiedIdToken> {
  const { header, payload } = decode(token)
  const { algorithm, kid } = readHeader(header, rules.algorithms)
  const { plain, claims } = readClaims(payload)
  checkKind(plain)
  checkIssuer(plain, rules.issuers)
  const clientId = matchAudience(plain, rules.clientIds)
  checkSubject(plain)
  checkTimes(plain)
  checkNonce(rules.nonce, rules.nonceForms ?? ['raw', 'sha256'], nonce, plain)
  const key = await rules.keys.key(kid, algorithm, context)
  if (!(await isSignedBy(key.publicKey, algorithm, token))) throw rejected('signature')
  rules.check?.(plain, key)
  return { claims, clientId }
}

function rejected (reason: string): Error {
  return new errors.GrantRejectedError(reason)
}

/** RFC 7515, 7.1: three parts of base64url, in the one spelling that the bytes have. */
function decode (token: string): { header: Buffer, payload: Buffer } {
  if (token.length > MAX_LENGTH) throw rejected('too long')
  const [header, payload, signature, ...more] = token.split('.').map(part => {
    const bytes = Buffer.from(part, 'base64url')
    if (part === '' || bytes.toString('base64url') !== part) throw rejected('form')
    return bytes
  })
  if (header === undefined || payload === undefined || signature === undefined || more.length > 0) {
    throw rejected('form')
  }
  return { header, payload }
}

function parsePart (bytes: Buffer): { plain: JsonObject, exact: JsonObject } {
  try {
    const { plain, exact } = parseJson(decodeUtf8(bytes), deepestNesting)
    if (isObject(plain) && isObject(exact)) return { plain, exact }
  } catch { /* refused below, like all that is not an object */ }
  throw rejected('form')
}

function readHeader (bytes: Buffer, algorithms: readonly string[]): { algorithm: string, kid: string } {
  const { alg, kid, typ, ...others } = parsePart(bytes).plain
  if (typeof alg !== 'string' || !algorithms.includes(alg)) throw rejected('alg')
  // RFC 8725, 3.11: a logout token or an access token of the same issuer is not an ID token.
  if (typ !== undefined && !(typeof typ === 'string' && typ.toUpperCase() === 'JWT')) throw rejected('typ')
  if (REFUSED_HEADERS.some(name => others[name] !== undefined)) throw rejected('crit')
  if (typeof kid !== 'string' || kid === '') throw rejected('kid')
  return { algorithm: alg, kid }
}

function readClaims (bytes: Buffer): { plain: JsonObject, claims: JsonObject } {
  const { plain, exact } = parsePart(bytes)
  return { plain, claims: exact }
}

/**
 * OpenID Connect Back-Channel Logout 1.0, 2.4 and 2.6: a logout token has the issuer, the audience and the keys of an ID
 * token, and a `typ` of its own is only recommended. Its `events` claim is what it is known by.
 */
function checkKind ({ events }: JsonObject): void {
  if (events !== undefined) throw rejected('events')
}

function checkIssuer (claims: JsonObject, issuers: IdTokenRules['issuers']): void {
  const expected = typeof issuers === 'function' ? [issuers(claims)] : issuers
  if (typeof claims.iss !== 'string' || !expected.includes(claims.iss)) throw rejected('iss')
}

function matchAudience ({ aud, azp }: JsonObject, clientIds: readonly string[]): string {
  const audiences: unknown[] = Array.isArray(aud) ? aud : [aud]
  const clientId = clientIds.find(id => audiences.includes(id))
  if (clientId === undefined || !audiences.every(audience => typeof audience === 'string')) throw rejected('aud')
  if (audiences.length > 1 && azp !== undefined && !(typeof azp === 'string' && clientIds.includes(azp))) {
    throw rejected('azp')
  }
  return clientId
}

function checkSubject ({ sub }: JsonObject): void {
  if (typeof sub !== 'string' || sub === '' || sub.length > 255) throw rejected('sub')
}

function checkTimes ({ exp, iat, nbf }: JsonObject): void {
  const now = Date.now() / 1000
  if (!isTime(exp) || exp <= now - TOLERANCE) throw rejected('exp')
  if (!isTime(iat) || iat > now + TOLERANCE || iat < now - MAX_AGE - TOLERANCE) throw rejected('iat')
  if (nbf !== undefined && (!isTime(nbf) || nbf > now + TOLERANCE)) throw rejected('nbf')
}

function isTime (value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value)
}
