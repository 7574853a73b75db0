import { errors } from '../errors.js'
import type { AuthorizationGrant, VerifyContext } from '../identity.js'
import { requestJson } from '../http/client.js'
import { isObject, type JsonObject } from '../strict-json.js'

/** Refusals of what the app sent (RFC 6749, 5.2), in the words of OAuth and of GitHub. All others are about our own configuration. */
const REFUSALS: readonly unknown[] = [
  'invalid_grant',
  'invalid_request',
  'bad_verification_code',
  'redirect_uri_mismatch',
  'unverified_user_email'
]

/**
 * Exchanges an authorization code (RFC 6749, 4.1.3; RFC 7636, 4.5). The provider compares `redirect_uri` and
 * `code_verifier` with those of the authorization request, and takes each code once.
 *
 * @param client how this client authenticates itself, in the form
 * @throws errors.GrantRejectedError, errors.ProviderUnavailableError
 */
export async function exchangeCode (
  endpoint: string,
  client: Record<string, string>,
  grant: AuthorizationGrant,
  context: VerifyContext
): Promise<JsonObject> {
  const form = {
    ...client,
    grant_type: 'authorization_code',
    code: grant.token,
    ...(grant.redirectUri !== undefined && { redirect_uri: grant.redirectUri }),
    ...(grant.codeVerifier !== undefined && { code_verifier: grant.codeVerifier })
  }
  return readTokenAnswer(await requestJson(endpoint, { form, context }))
}

/** The body of a token endpoint's answer. GitHub says its errors with status 200. */
export function readTokenAnswer ({ status, body }: { status: number, body: unknown }): JsonObject {
  const error: unknown = isObject(body) ? body.error : undefined
  if (REFUSALS.includes(error)) throw new errors.GrantRejectedError(String(error))
  if (typeof error === 'string' && /^[a-z_]{1,40}$/.test(error)) {
    throw new errors.ProviderUnavailableError(`token endpoint: ${error}`)
  }
  if (status !== 200 || error !== undefined || !isObject(body)) {
    throw new errors.ProviderUnavailableError(`token endpoint: status ${status}`)
  }
  return body
}

/** The `Authorization` header of RFC 6749, 2.3.1. */
export function basicAuthorization (clientId: string, clientSecret: string): string {
  return `Basic ${Buffer.from(`${encodeURIComponent(clientId)}:${encodeURIComponent(clientSecret)}`).toString('base64')}`
}
