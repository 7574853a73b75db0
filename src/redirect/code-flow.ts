import * as oauth from 'oauth4webapi'
import { codeOf, errors } from '../errors.js'
import type {
  AuthorizationAnswer,
  AuthorizationRequest,
  IdentityProvider,
  VerifiedIdentity,
  VerifyContext
} from '../identity.js'
import { guardedFetch, type ReadError } from './guarded-fetch.js'

/** A client of the authorization-code flow (RFC 6749, 4.1 with PKCE) at one provider. */
export interface CodeClient {
  clientId: string
  /** Null for a public client. */
  clientSecret: string | null
  scope: string
  /** Whether an ID token comes back: with a nonce of ours, from `issuer`. */
  openid: boolean
  /** Asked each time: discovered metadata may change. */
  server (context: VerifyContext): Promise<AuthorizationServer>
  /** Where a provider says its refusals in a form of its own. */
  readError?: ReadError
}

export interface AuthorizationServer {
  readonly issuer: string
  readonly authorizationEndpoint: string
  readonly tokenEndpoint: string
  /** How a client secret is sent. @default 'post' */
  readonly secretIn?: 'basic' | 'post'
  /** RFC 9207: answers that name no issuer are then refused. */
  readonly namesIssuer?: boolean
  /** Of ID tokens. */
  readonly algorithms?: readonly string[]
}

/** What the token endpoint answered. */
export interface RedeemedTokens { accessToken: string, idToken: string | null, nonce: string }

/** Seconds: the clocks of some providers need it. */
const tolerance = 30

/** The two members of a provider that offers logins by redirect. @param identify verifies, as a login with these tokens would */
export function codeFlow (
  client: CodeClient,
  identify: (tokens: RedeemedTokens, context: VerifyContext) => Promise<VerifiedIdentity>
): Required<Pick<IdentityProvider, 'authorizationUrl' | 'redeem'>> {
  return {
    async authorizationUrl (request, context = { signal: new AbortController().signal }) {
      const server = await client.server(context)
      return authorizationUrl(client, server, request)
    },

    async redeem (answer, context) {
      const server = await client.server(context)
      return await identify(await redeem(client, server, answer, context), context)
    }
  }
}

function authorizationUrl (
  { clientId, scope, openid }: CodeClient,
  { authorizationEndpoint }: AuthorizationServer,
  request: AuthorizationRequest
): string {
  const url = new URL(authorizationEndpoint)
  const parameters = {
    client_id: clientId,
    redirect_uri: request.redirectUri,
    response_type: 'code',
    scope,
    state: request.state,
    code_challenge: request.codeChallenge,
    code_challenge_method: 'S256',
    ...(openid && { nonce: request.nonce })
  }
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value)
  return url.href
}

async function redeem (
  client: CodeClient,
  server: AuthorizationServer,
  answer: AuthorizationAnswer,
  context: VerifyContext
): Promise<RedeemedTokens> {
  const metadata = metadataOf(server)
  const registration: oauth.Client = { client_id: client.clientId, [oauth.clockTolerance]: tolerance }
  const parameters = new URLSearchParams({ code: answer.code, ...(answer.iss !== undefined && { iss: answer.iss }) })
  try {
    // The state was compared where the browser came back; here the issuer is (RFC 9207, 2.4).
    const checked = oauth.validateAuthResponse(metadata, registration, parameters, oauth.expectNoState)
    const response = await oauth.authorizationCodeGrantRequest(
      metadata,
      registration,
      authentication(client, server),
      checked,
      answer.redirectUri,
      answer.codeVerifier,
      {
        [oauth.customFetch]: guardedFetch(context, client.readError),
        // Endpoints are of our configuration or of a pinned issuer's document, and http for loopback hosts only.
        [oauth.allowInsecureRequests]: true
      }
    )
    const tokens = await oauth.processAuthorizationCodeResponse(
      metadata,
      registration,
      response,
      client.openid ? { expectedNonce: answer.nonce, requireIdToken: true } : {}
    )
    return { accessToken: tokens.access_token, idToken: tokens.id_token ?? null, nonce: answer.nonce }
  } catch (thrown) {
    throw refusalOf(thrown)
  }
}

function metadataOf ({
  issuer,
  authorizationEndpoint,
  tokenEndpoint,
  namesIssuer = false,
  algorithms
}: AuthorizationServer): oauth.AuthorizationServer {
  return {
    issuer,
    authorization_endpoint: authorizationEndpoint,
    token_endpoint: tokenEndpoint,
    authorization_response_iss_parameter_supported: namesIssuer,
    ...(algorithms !== undefined && { id_token_signing_alg_values_supported: [...algorithms] })
  }
}

function authentication ({ clientSecret }: CodeClient, { secretIn = 'post' }: AuthorizationServer): oauth.ClientAuth {
  if (clientSecret === null) return oauth.None()
  return secretIn === 'basic' ? oauth.ClientSecretBasic(clientSecret) : oauth.ClientSecretPost(clientSecret)
}

/** Refusals of what the browser brought (RFC 6749, 5.2), in the words of OAuth and of GitHub. All others are about our own configuration. */
const refusals = ['invalid_grant', 'bad_verification_code', 'redirect_uri_mismatch', 'unverified_user_email']

/** What the library says about a login that is not one: a claim that is not the expected one, an answer of another issuer. */
const mismatches: readonly unknown[] = [oauth.JWT_CLAIM_COMPARISON, oauth.JWT_TIMESTAMP_CHECK]

function refusalOf (thrown: unknown): unknown {
  if (thrown instanceof oauth.ResponseBodyError) {
    return refusals.includes(thrown.error)
      ? new errors.GrantRejectedError(thrown.error)
      : new errors.ProviderUnavailableError(`token endpoint: ${nameOf(thrown.error)}`)
  }
  const code = codeOf(thrown)
  if (code?.startsWith('AUTH_ERR_') === true) return thrown
  const isOfBrowser = thrown instanceof oauth.OperationProcessingError && isMismatch(thrown)
  return isOfBrowser
    ? new errors.GrantRejectedError(thrown.message)
    : new errors.ProviderUnavailableError(`token endpoint: ${code ?? 'unreadable'}`)
}

function isMismatch ({ code, message }: oauth.OperationProcessingError): boolean {
  return mismatches.includes(code) || message.includes('"iss" (issuer)')
}

function nameOf (error: string): string {
  return /^[a-z_]{1,40}$/.test(error) ? error : 'an error without a name'
}
