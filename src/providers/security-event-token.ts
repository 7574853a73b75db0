import { rejected } from '../errors.js'
import type { KeySet } from '../http/key-set.js'
import { isId, type VerifyContext } from '../identity.js'
import type { JsonObject } from '../strict-json.js'
import {
  checkExpiry, checkIssued, checkIssuer, matchAudience, readToken, requireSignature
} from './signed-token.js'

/** What a provider declares of the tokens that its events come in. Everything that is named here is checked. */
export interface EventTokenRules {
  readonly keys: KeySet
  /** Never the token's choice (RFC 8725, 3.1). */
  readonly algorithms: readonly string[]
  readonly issuers: readonly string[]
  /** The ids of all your apps there. */
  readonly clientIds: readonly string[]
  /** What `typ` says, where it is not `JWT` or left out. In lower case. */
  readonly type: string
  /** What this provider has beyond the rules of all. Throws errors.GrantRejectedError. */
  readonly check?: (claims: JsonObject) => void
}

/** What a verified token says, and when and under which name it was issued. */
export interface EventToken {
  readonly claims: JsonObject
  readonly jti: string
  /** Milliseconds: the end of the second that `iat` counts. */
  readonly at: number
}

/**
 * Verifies a security event token (RFC 8417) against declared rules, cheap checks first.
 *
 * An event does not expire, so `exp` is looked at only where there is one (RFC 8417, 2.2). What is older than a day is
 * refused all the same: so long its `jti` is remembered.
 *
 * @throws errors.GrantRejectedError when any check fails
 * @throws errors.ProviderUnavailableError when the provider's keys cannot be had
 */
export async function verifyEventToken (
  rules: EventTokenRules,
  token: string,
  context: VerifyContext
): Promise<EventToken> {
  const { algorithm, kid, plain, exact } = readToken(token, rules.algorithms, ['jwt', rules.type])
  const { iat, exp, jti } = plain
  checkIssuer(plain, rules.issuers)
  matchAudience(plain, rules.clientIds)
  checkIssued(iat)
  if (exp !== undefined) checkExpiry(exp)
  if (!isId(jti)) throw rejected('claims', 'jti')
  rules.check?.(plain)
  await requireSignature(rules.keys, { token, algorithm, kid }, context)
  return { claims: exact, jti, at: endOfSecond(iat) }
}

/** A time of whole seconds may be any of its milliseconds. */
export function endOfSecond (seconds: number): number {
  return Math.floor(seconds) * 1000 + 999
}
