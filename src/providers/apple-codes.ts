import { createPrivateKey, sign, type KeyObject } from 'node:crypto'
import { codeOf, errors } from '../errors.js'
import { requestJson } from '../http/client.js'
import type { AuthorizationGrant, VerifyContext } from '../identity.js'
import { refused, text, type Reader } from '../options/values.js'
import { exchangeCode, readTokenAnswer, type Tokens } from './code-flow.js'

/** The key of a developer team for Sign in with Apple, and its apps. */
export interface AppleTeam { teamId: string, keyId: string, privateKey: KeyObject, clientIds: readonly string[] }

/** The text of the .p8 file. */
export const readPrivateKey: Reader<KeyObject> = (value, path) => {
  const pem = text(value, path)
  if (pem.includes('\\n')) throw refused(path, "holds '\\n' where its lines should break: .replaceAll('\\\\n', '\\n')")
  if (!pem.includes('-----BEGIN')) throw refused(path, 'must be the whole text of the .p8 file, from its first line on')
  try {
    const key = createPrivateKey(pem)
    if (key.asymmetricKeyDetails?.namedCurve === 'prime256v1') return key
  } catch { /* the error of the parser may quote the key */ }
  throw refused(path, 'must be an EC P-256 private key in PEM')
}

/**
 * Exchanges a code. Nothing in it tells which of the clients it was issued to: each is tried until one is taken, as
 * Apple answers `invalid_grant` to the others.
 *
 * @see https://developer.apple.com/documentation/signinwithapplerestapi/generate-and-validate-tokens
 * @see https://developer.apple.com/documentation/technotes/tn3107-resolving-sign-in-with-apple-response-errors
 */
export async function exchangeAppleCode (
  tokenEndpoint: string,
  team: AppleTeam,
  grant: AuthorizationGrant,
  context: VerifyContext
): Promise<Tokens> {
  let refusal: unknown
  for (const clientId of team.clientIds) {
    try {
      return await exchangeCode({ tokenEndpoint, clientId, clientSecret: secretOf(team, clientId) }, grant, context)
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
export async function revokeAppleToken (endpoint: string, team: AppleTeam, token: string): Promise<void> {
  // Apple would answer 200, and an account deletion would look done.
  text(token, 'the refresh token for apple.revoke')
  const refusals: unknown[] = []
  for (const clientId of team.clientIds) {
    const client = { client_id: clientId, client_secret: secretOf(team, clientId) }
    const { status, body } = await requestJson(endpoint, {
      form: { ...client, token, token_type_hint: 'refresh_token' }
    })
    try {
      if (status !== 200) readTokenAnswer({ status, body })
    } catch (error) {
      refusals.push(unlessRejected(error))
    }
  }
  if (refusals.length === team.clientIds.length) throw refusals[0]
}

/**
 * A client's secret is a JWT (ES256). It lives for one call; Apple allows six months.
 *
 * @see https://developer.apple.com/documentation/accountorganizationaldatasharing/creating-a-client-secret
 */
export function secretOf ({ teamId, keyId, privateKey }: AppleTeam, clientId: string): string {
  const now = Math.floor(Date.now() / 1000)
  const claims = { iss: teamId, sub: clientId, aud: 'https://appleid.apple.com', iat: now, exp: now + 300 }
  const signed = [{ alg: 'ES256', kid: keyId }, claims].map(part => base64url(JSON.stringify(part))).join('.')
  return `${signed}.${base64url(sign('sha256', Buffer.from(signed), { key: privateKey, dsaEncoding: 'ieee-p1363' }))}`
}

function base64url (bytes: string | Buffer): string {
  return Buffer.from(bytes).toString('base64url')
}

/** A refusal, to go on with the next client; everything else is thrown. */
function unlessRejected (error: unknown): unknown {
  if (codeOf(error) !== errors.GrantRejectedError.code) throw error
  return error
}
