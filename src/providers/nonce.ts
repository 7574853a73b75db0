import { createHash } from 'node:crypto'
import { errors } from '../errors.js'
import type { NoncePolicy } from '../identity.js'
import type { JsonObject } from '../strict-json.js'
import { toBoolean } from './openid-claims.js'

/** How a provider's SDK puts the nonce that the app gave it into the ID token. */
export type NonceForm = 'raw' | 'sha256'

/**
 * Compares the nonce that the app posted with the token's (OpenID Connect Core, 3.1.3.7, 11). Whether this server
 * issued it, and that it is used once, is seen to where the login ends.
 *
 * @throws errors.GrantRejectedError
 */
export function checkNonce (
  policy: NoncePolicy,
  forms: readonly NonceForm[],
  posted: string | undefined,
  claims: JsonObject
): void {
  if (policy === 'off') return
  if (posted === undefined) {
    if (policy === 'required') throw new errors.GrantRejectedError('nonce missing')
    return
  }
  // Apple: "nonce_supported: false" is a platform that drops the nonce; then nothing is bound to what the app posted.
  const isDropped = claims.nonce === undefined && toBoolean(claims.nonce_supported) === false
  if (isDropped && policy === 'if-present') return
  if (!formsOf(posted, forms).includes(claims.nonce)) throw new errors.GrantRejectedError('nonce')
}

/** @throws errors.GrantRejectedError where a nonce is asked for and this kind of grant cannot carry one */
export function refuseWithoutNonce (policy: NoncePolicy): void {
  if (policy === 'required') throw new errors.GrantRejectedError('this kind of grant carries no nonce')
}

function formsOf (posted: string, forms: readonly NonceForm[]): unknown[] {
  if (posted === '') return []
  const hash = createHash('sha256').update(posted).digest()
  return forms.flatMap(form => form === 'raw' ? [posted] : [hash.toString('hex'), hash.toString('base64url')])
}
