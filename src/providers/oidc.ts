import { rejected } from '../errors.js'
import { discover, type Discovery } from '../http/discovery.js'
import { asymmetricAlgorithms, createKeySet } from '../http/key-set.js'
import { isId, type IdentityProvider, type VerifyContext } from '../identity.js'
import type { JsonObject } from '../strict-json.js'
import { callback, endpointUrl, list, oneOf, open, text } from '../options/values.js'
import { readRedirect, type AuthorizationServer, type RedirectOptions } from './code-flow.js'
import { defineProvider } from './define.js'
import { endpoints, idTokenOptions, readPolicies, switchOf, type IdTokenOptions } from './definition.js'
import { oidcEvents } from './oidc-events.js'

export interface OidcOptions extends IdTokenOptions {
  /** Exactly as in the tokens' `iss`; https (http for loopback hosts only). */
  issuer: string
  /** The client ids of all your apps. */
  clientIds: readonly string[]
  /** Asymmetric ones only. @default ['RS256', 'ES256', 'PS256', 'EdDSA'] */
  algorithms?: readonly string[]
  /** The user's stable id. @default the claim `sub` */
  subject?: ChosenSubject
  /** @default those of the issuer's discovery document */
  endpoints?: { jwks?: string, authorize?: string, token?: string }
  /** Logins by redirect; without a secret as a public client. `scope` @default 'openid email profile' */
  redirect?: RedirectOptions
  /** Takes logout tokens (OpenID Connect Back-Channel Logout 1.0) at `/events/:provider`. @default none */
  events?: Readonly<Record<never, never>>
}

type ChosenSubject = (claims: Readonly<Record<string, unknown>>) => string

const usual = ['RS256', 'ES256', 'PS256', 'EdDSA']
const discovered = { jwks: '', authorize: '', token: '' }

/**
 * Any issuer of OpenID Connect: ID tokens.
 *
 * @example
 * ```ts
 * const provider = oidc({ issuer: 'https://id.example.com/realms/main', clientIds: ['mobile-app'] })
 * ```
 * @throws errors.OptionInvalidError
 * @see https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation
 */
export function oidc (options: OidcOptions): IdentityProvider {
  const given = open(options, 'oidc', [
    'issuer', 'clientIds', 'algorithms', 'subject', 'endpoints', 'redirect', 'events', ...idTokenOptions
  ])
  const issuer = given.read('issuer', endpointUrl)
  const clientIds = given.read('clientIds', list(text))
  const subject = given.read('subject', callback(isChosenSubject), null)
  const pinned = given.read('endpoints', endpoints(discovered), discovered)
  const discovery = discover(issuer)
  const server = (context: VerifyContext) => authorizationServer(issuer, pinned, discovery, context)
  const tokens = {
    algorithms: given.read('algorithms', list(oneOf(...asymmetricAlgorithms)), usual),
    issuers: [issuer],
    clientIds,
    keys: pinned.jwks === '' ? discovery.keys : createKeySet(pinned.jwks)
  }
  return defineProvider({
    ...readPolicies(given),
    idToken: {
      ...tokens,
      ...(subject !== null && { identity: standard => ({ ...standard, subject: chosen(subject, standard.claims) }) })
    },
    redirect: given.read('redirect', readRedirect(server, { clientIds, secret: 'optional' }), null),
    events: given.read('events', switchOf(oidcEvents(tokens, logoutSubject(subject))), null)
  })
}

function isChosenSubject (value: unknown): value is ChosenSubject {
  return typeof value === 'function'
}

/** By the same rule, which may find nothing in a logout token: then that names a session. */
function logoutSubject (subject: ChosenSubject | null): ((claims: JsonObject) => unknown) | undefined {
  if (subject === null) return undefined
  return claims => {
    try {
      return subject(claims)
    } catch {
      return null
    }
  }
}

/** The stable id that the application's own rule finds in verified claims. */
function chosen (subject: ChosenSubject, claims: JsonObject): string {
  try {
    const id: unknown = subject(claims)
    if (isId(id)) return id
  } catch (cause) {
    throw rejected('subject', 'subject', { cause })
  }
  throw rejected('subject', 'subject')
}

/** Nothing is discovered where both endpoints are configured. */
async function authorizationServer (
  issuer: string,
  { authorize, token }: Readonly<typeof discovered>,
  discovery: Discovery,
  context: VerifyContext
): Promise<AuthorizationServer> {
  if (authorize !== '' && token !== '') {
    return { issuer, authorizationEndpoint: authorize, tokenEndpoint: token, secretIn: 'basic' }
  }
  const { document, endpoint } = await discovery.metadata(context)
  const methods: unknown = document.token_endpoint_auth_methods_supported
  // OpenID Connect Discovery, 3: without a list it is client_secret_basic.
  const isPostOnly =
    Array.isArray(methods) && methods.includes('client_secret_post') && !methods.includes('client_secret_basic')
  return {
    issuer,
    authorizationEndpoint: authorize || endpoint('authorization_endpoint'),
    tokenEndpoint: token || endpoint('token_endpoint'),
    secretIn: isPostOnly ? 'post' : 'basic',
    namesIssuer: document.authorization_response_iss_parameter_supported === true
  }
}
