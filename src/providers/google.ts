import { errors } from '../errors.js'
import type { IdentityProvider } from '../identity.js'
import { createKeySet } from '../http/key-set.js'
import { configuration, ID_TOKEN_OPTIONS, type IdTokenOptions } from './configuration.js'
import { idTokenProvider, withRedirect } from './id-token-provider.js'
import { readRedirect, type RedirectOptions } from './redirect.js'

export interface GoogleOptions extends IdTokenOptions {
  /** The client ids of iOS, Android and web together. */
  clientIds: readonly string[]
  /** The Google Workspace domain that users must belong to, as in the claim `hd`. */
  hostedDomain?: string
  /** @default { jwks: 'https://www.googleapis.com/oauth2/v3/certs', authorize: 'https://accounts.google.com/o/oauth2/v2/auth', token: 'https://oauth2.googleapis.com/token' } */
  endpoints?: { jwks?: string, authorize?: string, token?: string }
  /** Logins by redirect, with a web client. `scope` @default 'openid email profile' */
  redirect?: RedirectOptions & { clientSecret: string }
}

const ENDPOINTS = {
  jwks: 'https://www.googleapis.com/oauth2/v3/certs',
  authorize: 'https://accounts.google.com/o/oauth2/v2/auth',
  token: 'https://oauth2.googleapis.com/token'
}

/**
 * Sign in with Google: ID tokens.
 *
 * Deviation: `iss` comes with and without its scheme. The iOS SDK put a nonce of its own into tokens for years, so the
 * token's nonce is compared only when the app posts one (the default of `nonce`).
 *
 * @throws errors.OptionInvalidError
 * @see https://developers.google.com/identity/gsi/web/guides/verify-google-id-token
 */
export function google (options: GoogleOptions): IdentityProvider {
  const given = configuration(
    'google',
    options,
    ['clientIds', 'hostedDomain', 'redirect', ...ID_TOKEN_OPTIONS],
    ENDPOINTS
  )
  const hostedDomain = given.has('hostedDomain') ? given.text('hostedDomain') : undefined
  const clientIds = given.list('clientIds')
  const redirect = readRedirect('google', options.redirect, {
    clientIds,
    secret: 'required',
    scope: 'openid email profile',
    openid: true
  })
  const server = {
    issuer: 'https://accounts.google.com',
    authorizationEndpoint: given.endpoints.authorize,
    tokenEndpoint: given.endpoints.token
  }
  const idTokens = idTokenProvider({
    algorithms: ['RS256'],
    issuers: ['https://accounts.google.com', 'accounts.google.com'],
    clientIds,
    nonce: given.nonce,
    replay: given.replay,
    keys: createKeySet(given.endpoints.jwks),
    check: claims => {
      // The claim, never the domain of the e-mail address: that one anybody may register at Google.
      if (hostedDomain !== undefined && claims.hd !== hostedDomain) throw new errors.GrantRejectedError('hd')
    }
  })
  return withRedirect(idTokens, redirect, async () => server)
}
