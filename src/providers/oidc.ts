import { errors } from '../errors.js'
import type { IdentityProvider } from '../identity.js'
import { discover } from '../http/discovery.js'
import { endpointUrl } from '../http/endpoint.js'
import { ASYMMETRIC_ALGORITHMS, createKeySet } from '../http/key-set.js'
import { configuration, ID_TOKEN_OPTIONS, type IdTokenOptions } from './configuration.js'
import { idTokenProvider, standardIdentity, withRedirect } from './id-token-provider.js'
import { chosenSubject } from './openid-claims.js'
import { authorizationServer } from './openid-server.js'
import { readRedirect, type RedirectOptions } from './redirect.js'

export interface OidcOptions extends IdTokenOptions {
  /** Exactly as in the tokens' `iss`; https (http for loopback hosts only). */
  issuer: string
  /** The client ids of all your apps. */
  clientIds: readonly string[]
  /** Asymmetric ones only. @default ['RS256', 'ES256', 'PS256', 'EdDSA'] */
  algorithms?: readonly string[]
  /** The user's stable id. @default the claim `sub` */
  subject?: (claims: Readonly<Record<string, unknown>>) => string
  /** @default those of the issuer's discovery document */
  endpoints?: { jwks?: string, authorize?: string, token?: string }
  /** Logins by redirect; without a secret as a public client. `scope` @default 'openid email profile' */
  redirect?: RedirectOptions
}

/**
 * Any issuer of OpenID Connect: ID tokens.
 *
 * @throws errors.OptionInvalidError
 * @see https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation
 */
export function oidc (options: OidcOptions): IdentityProvider {
  const given = configuration(
    'oidc',
    options,
    ['issuer', 'clientIds', 'algorithms', 'subject', 'redirect', ...ID_TOKEN_OPTIONS],
    { jwks: '', authorize: '', token: '' }
  )
  const issuer = endpointUrl(given.text('issuer'), 'oidc.issuer')
  const algorithms = given.has('algorithms') ? given.list('algorithms') : ['RS256', 'ES256', 'PS256', 'EdDSA']
  if (!algorithms.every(name => ASYMMETRIC_ALGORITHMS.includes(name))) {
    throw new errors.OptionInvalidError('oidc.algorithms must be asymmetric ones')
  }
  const { subject } = options
  if (subject !== undefined && typeof subject !== 'function') {
    throw new errors.OptionInvalidError('oidc.subject must be a function')
  }
  const clientIds = given.list('clientIds')
  const redirect = readRedirect('oidc', options.redirect, {
    clientIds,
    secret: 'optional',
    scope: 'openid email profile',
    openid: true
  })
  const discovery = discover(issuer)
  const idTokens = idTokenProvider({
    algorithms,
    issuers: [issuer],
    clientIds,
    nonce: given.nonce,
    replay: given.replay,
    keys: given.endpoints.jwks === '' ? discovery.keys : createKeySet(given.endpoints.jwks),
    identity: token => ({
      ...standardIdentity(token),
      ...(subject !== undefined && { subject: chosenSubject(subject, token.claims) })
    })
  })
  return withRedirect(idTokens, redirect, context =>
    authorizationServer({ issuer, algorithms, discovery, endpoints: given.endpoints }, context)
  )
}
