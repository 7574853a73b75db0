import { createHash } from 'node:crypto'
import { rejected } from '../errors.js'
import type { KeySet } from '../http/key-set.js'
import { isId, type AuthorizationGrant, type GrantType, type NoncePolicy, type VerifyContext } from '../identity.js'
import type { JsonObject } from '../strict-json.js'
import { standardIdentity, toBoolean, type StandardIdentity } from './openid-claims.js'
import {
  checkExpiry, checkIssued, checkIssuer, isTime, matchAudience, readToken, requireSignature, tolerance
} from './signed-token.js'

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
  const { algorithm, kid, plain, exact } = readToken(token, rules.algorithms)
  checkKind(plain)
  checkIssuer(plain, rules.issuers)
  const clientId = matchAudience(plain, rules.clientIds)
  if (!isId(plain.sub)) throw rejected('subject', 'sub')
  checkTimes(plain)
  checkNonce(policy, rules.nonceForms, nonce, plain)
  const verified = requireSignature(rules.keys, { token, algorithm, kid }, context)
  const jwk = verified instanceof Promise ? await verified : verified
  rules.check?.(plain, jwk)
  const identity = standardIdentity(exact, clientId)
  return rules.identity?.(identity) ?? identity
}

/**
 * OpenID Connect Back-Channel Logout 1.0, 2.4 and 2.6: a logout token has the issuer, the audience and the keys of an
 * ID token, and a `typ` of its own is only recommended. Its `events` claim is what it is known by.
 */
function checkKind ({ events }: JsonObject): void {
  if (events !== undefined) throw rejected('claims', 'events')
}

function checkTimes ({ exp, iat, nbf }: JsonObject): void {
  checkExpiry(exp)
  checkIssued(iat)
  if (nbf !== undefined && (!isTime(nbf) || nbf > Date.now() / 1000 + tolerance)) throw rejected('time', 'nbf')
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
