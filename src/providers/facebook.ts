import type { IdentityProvider } from '../identity.js'
import { createKeySet } from '../http/key-set.js'
import { configuration, ID_TOKEN_OPTIONS, type IdTokenOptions } from './configuration.js'
import { entering } from './define.js'
import { graphLogin, verifyClassicToken } from './facebook-graph.js'
import { verifyIdToken, type IdTokenRules } from './id-token.js'
import { standardIdentity } from './id-token-provider.js'
import { refuseWithoutNonce } from './nonce.js'
import { readRedirect, type RedirectOptions } from './redirect.js'

export interface FacebookOptions extends IdTokenOptions {
  appId: string
  appSecret: string
  /** `graph` is the base of the Graph API, version included. @default those below; `token`: '{graph}/oauth/access_token' */
  endpoints?: { graph?: string, jwks?: string, authorize?: string, token?: string }
  /** Logins by redirect. `scope` @default 'public_profile email' */
  redirect?: Pick<RedirectOptions, 'scope'>
}

const ENDPOINTS = {
  graph: 'https://graph.facebook.com/v23.0',
  jwks: 'https://limited.facebook.com/.well-known/oauth/openid/jwks/',
  authorize: 'https://www.facebook.com/v23.0/dialog/oauth',
  token: ''
}

/**
 * Facebook Login: the classic access token, and the ID token of Limited Login, which is all that iOS gives without
 * tracking consent. Both have the same subject. A JWT that an app posts as `access_token` is understood.
 *
 * @throws errors.OptionInvalidError
 * @see https://developers.facebook.com/docs/facebook-login/limited-login/token/validating
 */
export function facebook (options: FacebookOptions): IdentityProvider {
  const given = configuration('facebook', options, ['appId', 'appSecret', 'redirect', ...ID_TOKEN_OPTIONS], ENDPOINTS)
  const app = {
    graph: given.endpoints.graph.replace(/\/+$/, ''),
    appId: given.text('appId'),
    appSecret: given.text('appSecret')
  }
  const limitedLogin: IdTokenRules = {
    algorithms: ['RS256'],
    issuers: ['https://www.facebook.com', 'https://facebook.com'],
    clientIds: [app.appId],
    nonce: given.nonce,
    nonceForms: ['raw'],
    keys: createKeySet(given.endpoints.jwks)
  }
  const redirect = readRedirect('facebook', options.redirect, {
    clientIds: [app.appId],
    secret: { own: app.appSecret },
    scope: 'public_profile email',
    openid: false
  })
  return entering({
    ...(redirect !== null && graphLogin(app, redirect, given.endpoints, given.nonce)),
    accepts: ['access_token', 'id_token'],
    nonce: given.nonce,
    replay: given.replay,
    async verify (grant, context) {
      // Classic tokens are letters and digits, without a dot.
      if (grant.type === 'id_token' || grant.token.split('.').length === 3) {
        return { ...standardIdentity(await verifyIdToken(limitedLogin, grant, context)), emailVerified: 'unknown' }
      }
      refuseWithoutNonce(given.nonce)
      return await verifyClassicToken(app, grant.token, context)
    }
  })
}
