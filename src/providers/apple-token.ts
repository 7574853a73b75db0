import { createPrivateKey, type KeyObject } from 'node:crypto'
import { SignJWT } from 'jose'
import { codeOf, errors } from '../errors.js'
import type { AuthorizationGrant, VerifyContext } from '../identity.js'
import { requestJson } from '../http/client.js'
import type { JsonObject } from '../strict-json.js'
import { exchangeCode, readTokenAnswer } from './authorization-code.js'

/** The key of a developer team for Sign in with Apple. */
export interface AppleKey { teamId: string, keyId: string, privateKey: KeyObject }

const AUDIENCE = 'https://appleid.apple.com'

/** @throws errors.OptionInvalidError */
export function readAppleKey (teamId: string, keyId: string, pem: string): AppleKey {
  try {
    const privateKey = createPrivateKey(pem)
    if (privateKey.asymmetricKeyDetails?.namedCurve === 'prime256v1') return { teamId, keyId, privateKey }
  } catch { /* the error of the parser may quote the key */ }
  throw new errors.OptionInvalidError('apple.privateKey must be an EC P-256 private key in PEM')
}

/**
 * Lives for one call; Apple allows six months.
 * @see https://developer.apple.com/documentation/accountorganizationaldatasharing/creating-a-client-secret
 */
function clientSecret ({ teamId, keyId, privateKey }: AppleKey, clientId: string): Promise<string> {
  const now = Math.floor(Date.now() / 1000)
  return new SignJWT({ iss: teamId, sub: clientId, aud: AUDIENCE, iat: now, exp: now + 300 })
    .setProtectedHeader({ alg: 'ES256', kid: keyId })
    .sign(privateKey)
}

/**
 * Exchanges a code. Nothing in it tells which of the clients it was issued to: each is tried until one is taken, as
 * Apple answers `invalid_grant` to the others.
 *
 * @see https://developer.apple.com/documentation/signinwithapplerestapi/generate-and-validate-tokens
 * @see https://developer.apple.com/documentation/technotes/tn3107-resolving-sign-in-with-apple-response-errors
 */
export async function exchangeAppleCode (
  endpoint: string, key: AppleKey, clientIds: readonly string[], grant: AuthorizationGrant, context: VerifyContext
): Promise<JsonObject> {
  let refusal: unknown
  for (const clientId of clientIds) {
    try {
      return await exchangeCode(endpoint, await credentials(key, clientId), grant, context)
    } catch (error) {
      refusal = unlessRejected(error)
    }
  }
  throw refusal
}

/**
 * Revokes for each client, as nothing in a token tells whose it is; Apple answers 200 to tokens it does not know.
 *
 * @see https://developer.apple.com/documentation/signinwithapplerestapi/revoke-tokens
 */
export async function revokeAppleToken (
  endpoint: string,
  key: AppleKey,
  clientIds: readonly string[],
  refreshToken: string
): Promise<void> {
  // Apple would answer 200, and an account deletion would look done.
  if (typeof refreshToken !== 'string' || refreshToken === '') {
    throw new errors.OptionInvalidError('apple.revoke needs a refresh token')
  }
  const refusals: unknown[] = []
  for (const clientId of clientIds) {
    const form = { ...(await credentials(key, clientId)), token: refreshToken, token_type_hint: 'refresh_token' }
    const { status, body } = await requestJson(endpoint, { form })
    try {
      if (status !== 200) readTokenAnswer({ status, body })
    } catch (error) {
      refusals.push(unlessRejected(error))
    }
  }
  if (refusals.length === clientIds.length) throw refusals[0]
}

async function credentials (key: AppleKey, clientId: string): Promise<Record<string, string>> {
  return { client_id: clientId, client_secret: await clientSecret(key, clientId) }
}

/** A refusal, to go on with the next client; everything else is thrown. */
function unlessRejected (error: unknown): unknown {
  if (codeOf(error) !== errors.GrantRejectedError.code) throw error
  return error
}
