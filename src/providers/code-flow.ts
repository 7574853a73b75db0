import { errors, rejected } from '../errors.js'
import { requestJson, type JsonAnswer } from '../http/client.js'
import type { AuthorizationAnswer, AuthorizationRequest, VerifyContext } from '../identity.js'
import { endpointUrl, open, text, type Reader } from '../options/values.js'
import { isObject, type JsonObject } from '../strict-json.js'
import { textOrNull } from './openid-claims.js'

/** Where codes are exchanged, and how our client says who it is there (RFC 6749, 2.3). */
export interface TokenClient {
  readonly clientId: string
  /** None: a public client. Of a function, made for each call. */
  readonly clientSecret?: string | (() => string) | null
  readonly tokenEndpoint: string
  /** How a secret is sent. @default 'post' */
  readonly secretIn?: 'basic' | 'post'
  /** The OAuth error that an answer stands for, of a provider with a form of its own; null where it is none. */
  readonly readError?: (answer: JsonObject) => string | null
}

/** A server of logins by redirect. */
export interface AuthorizationServer extends Pick<TokenClient, 'tokenEndpoint' | 'secretIn' | 'readError'> {
  /** Not known of one that speaks for many issuers. */
  readonly issuer: string | null
  readonly authorizationEndpoint: string
  /** It answers browsers with a form that they post (OAuth 2.0 Form Post Response Mode). @default a query */
  readonly responseMode?: 'form_post'
  /** RFC 9207: answers that name no issuer are then refused. */
  readonly namesIssuer?: boolean
}

/** A client of logins by redirect (RFC 6749, 4.1). */
export interface RedirectClient extends Pick<TokenClient, 'clientId' | 'clientSecret'> {
  /** Separated by blanks; with `openid` an ID token comes back. */
  readonly scope: string
  /** Of a function it is asked each time: discovered metadata may change. */
  readonly server: AuthorizationServer | ((context: VerifyContext) => Promise<AuthorizationServer>)
}

/** An authorization code, and what its exchange has to repeat (RFC 6749, 4.1.3; RFC 7636, 4.5). */
export interface CodeGrant { token: string, redirectUri?: string, codeVerifier?: string }

/** What the token endpoint answered. */
export interface Tokens { accessToken: string | null, idToken: string | null, refreshToken: string | null }

/** The option `redirect` of a factory: with it, browsers can be sent to this provider. */
export interface RedirectOptions {
  /** One of `clientIds`. @default the first */
  clientId?: string
  clientSecret?: string
  /** Separated by blanks. */
  scope?: string
}

/** What a provider says of its client: the secret is the app's own, must be given, or may be. */
export interface RedirectRules {
  clientIds: readonly string[]
  secret: { own: string | ((clientId: string) => string) } | 'required' | 'optional'
  /** @default 'openid email profile' */
  scope?: string
}

/** Refuses what an application's own definition of a client lacks. */
export function requireClient (value: unknown, path: string): void {
  const given = open(value, path, ['clientId', 'clientSecret', 'tokenEndpoint', 'secretIn', 'readError'])
  given.read('clientId', text)
  given.read('tokenEndpoint', endpointUrl)
}

export function requireRedirect (value: unknown, path: string): { scope: string } {
  const given = open(value, path, ['clientId', 'clientSecret', 'scope', 'server'])
  given.read('clientId', text)
  given.read('server', (server, path) => typeof server === 'function' ? undefined : requireServer(server, path))
  return { scope: given.read('scope', text) }
}

function requireServer (value: unknown, path: string): void {
  const names = [
    'issuer', 'authorizationEndpoint', 'tokenEndpoint', 'secretIn', 'readError', 'namesIssuer', 'responseMode'
  ] as const
  const given = open(value, path, names)
  given.read('issuer', (issuer, path) => issuer === null ? null : text(issuer, path))
  for (const name of ['authorizationEndpoint', 'tokenEndpoint'] as const) given.read(name, endpointUrl)
}

export function readRedirect (
  server: RedirectClient['server'],
  { clientIds, secret, scope: usual = 'openid email profile' }: RedirectRules
): Reader<RedirectClient | null> {
  return (value, path) => {
    const isOwn = typeof secret === 'object'
    const names = isOwn ? ['clientId', 'scope'] as const : ['clientId', 'clientSecret', 'scope'] as const
    const given = open<keyof RedirectOptions>(value, path, names)
    const clientId = given.read('clientId', text, clientIds[0])
    if (!clientIds.includes(clientId)) throw given.refuse('clientId', 'must be one of clientIds')
    const scope = given.read('scope', text, usual)
    if (!isOwn && !isOpenid(scope)) throw given.refuse('scope', 'must hold openid')
    const isPublic = secret === 'optional' && !given.has('clientSecret')
    const clientSecret = isOwn ? ownSecret(secret, clientId) : isPublic ? null : given.read('clientSecret', text)
    return { server, clientId, clientSecret, scope }
  }
}

function ownSecret ({ own }: { own: string | ((clientId: string) => string) }, clientId: string) {
  return typeof own === 'function' ? () => own(clientId) : own
}

export async function serverOf ({ server }: RedirectClient, context: VerifyContext): Promise<AuthorizationServer> {
  return typeof server === 'function' ? await server(context) : server
}

/** Where a browser is sent to log in. */
export function authorizationUrl (
  { clientId, scope }: RedirectClient,
  { authorizationEndpoint, responseMode }: AuthorizationServer,
  { redirectUri, state, codeChallenge, nonce, loginHint, prompt, maxAge }: AuthorizationRequest
): string {
  const url = new URL(authorizationEndpoint)
  const parameters = {
    client_id: clientId,
    redirect_uri: redirectUri,
    response_type: 'code',
    scope,
    state,
    code_challenge: codeChallenge,
    code_challenge_method: 'S256',
    ...(isOpenid(scope) && { nonce }),
    ...(responseMode !== undefined && { response_mode: responseMode }),
    ...(loginHint !== undefined && { login_hint: loginHint }),
    ...(prompt !== undefined && { prompt }),
    ...(maxAge !== undefined && { max_age: String(maxAge) })
  }
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value)
  return url.href
}

/** OpenID Connect Core, 3.1.2.1: without it no ID token comes back. */
export function isOpenid (scope: string): boolean {
  return scope.split(' ').includes('openid')
}

/** The state was compared where the browser came back; here the issuer is (RFC 9207, 2.4). */
export function checkIssuer ({ issuer, namesIssuer }: AuthorizationServer, { iss }: AuthorizationAnswer): void {
  if (iss === undefined ? namesIssuer === true : issuer !== null && iss !== issuer) {
    throw rejected('issuer', 'iss')
  }
}

/**
 * Exchanges an authorization code. The provider compares redirect URI and verifier with those of the authorization
 * request, and takes each code once.
 *
 * @throws errors.GrantRejectedError, errors.ProviderUnavailableError
 */
export async function exchangeCode (client: TokenClient, grant: CodeGrant, context: VerifyContext): Promise<Tokens> {
  const { headers, form } = authentication(client)
  const answer = await requestJson(client.tokenEndpoint, {
    context,
    headers,
    form: {
      ...form,
      grant_type: 'authorization_code',
      code: grant.token,
      ...(grant.redirectUri !== undefined && { redirect_uri: grant.redirectUri }),
      ...(grant.codeVerifier !== undefined && { code_verifier: grant.codeVerifier })
    }
  })
  const body = readTokenAnswer(answer, client.readError)
  return {
    accessToken: textOrNull(body.access_token),
    idToken: textOrNull(body.id_token),
    refreshToken: textOrNull(body.refresh_token)
  }
}

/** The `Authorization` header of RFC 6749, 2.3.1. */
export function basicAuthorization (clientId: string, clientSecret: string): string {
  const credentials = [clientId, clientSecret].map(encodeURIComponent).join(':')
  return `Basic ${Buffer.from(credentials).toString('base64')}`
}

function authentication ({ clientId, clientSecret = null, secretIn }: TokenClient) {
  if (clientSecret === null) return { headers: {}, form: { client_id: clientId } }
  const secret = typeof clientSecret === 'function' ? clientSecret() : clientSecret
  return secretIn === 'basic'
    ? { headers: { authorization: basicAuthorization(clientId, secret) }, form: {} }
    : { headers: {}, form: { client_id: clientId, client_secret: secret } }
}

/**
 * Refusals of what came with the code (RFC 6749, 5.2), in the words of OAuth and of GitHub. All others are about our
 * own configuration.
 */
const refusals = [
  'invalid_grant',
  'invalid_request',
  'bad_verification_code',
  'redirect_uri_mismatch',
  'unverified_user_email'
]

/** The body of a token endpoint's answer. Some say their errors with status 200. */
export function readTokenAnswer (
  { status, body }: Pick<JsonAnswer, 'status' | 'body'>,
  readError = readOAuthError
): JsonObject {
  const error = isObject(body) ? readError(body) : null
  if (error !== null && refusals.includes(error)) throw rejected('token', error)
  if (error === null && status === 200 && isObject(body)) return body
  // A word of the protocol, and nothing else that the log would repeat.
  const isWord = error !== null && /^[a-z_]{1,40}$/.test(error)
  throw new errors.ProviderUnavailableError(`token endpoint: ${isWord ? error : `status ${status}`}`)
}

function readOAuthError ({ error }: JsonObject): string | null {
  return error === undefined ? null : typeof error === 'string' ? error : ''
}
