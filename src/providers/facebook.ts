import type { IdentityProvider } from '../identity.js'
import { open, text, withoutSlash } from '../options/values.js'
import { readRedirect, type RedirectOptions } from './code-flow.js'
import { defineProvider } from './define.js'
import { endpoints, idTokenOptions, readPolicies, type IdTokenOptions } from './definition.js'
import { readFacebookEvents, type FacebookEvents } from './facebook-events.js'
import { readGraphError, verifyClassicToken } from './facebook-graph.js'

export interface FacebookOptions extends IdTokenOptions {
  /** Tokens of other apps are refused. */
  appId: string
  appSecret: string
  /** `graph` is the base of the Graph API, version included. `token` @default '{graph}/oauth/access_token' */
  endpoints?: { graph?: string, jwks?: string, authorize?: string, token?: string }
  /** Logins by redirect. `scope` @default 'public_profile email' */
  redirect?: Pick<RedirectOptions, 'scope'>
  /**
   * Takes the deauthorize callback at `/events/:provider`, and that of data deletion at `/events/:provider/deletion`.
   * @default none
   */
  events?: FacebookEvents
}

const defaults = {
  graph: 'https://graph.facebook.com/v23.0',
  jwks: 'https://limited.facebook.com/.well-known/oauth/openid/jwks/',
  authorize: 'https://www.facebook.com/v23.0/dialog/oauth',
  token: ''
}

/**
 * Facebook Login: the classic access token, and the ID token of Limited Login, which is all that iOS gives without
 * tracking consent. Both have the same subject. A JWT that an app posts as `access_token` is understood.
 *
 * @example
 * ```ts
 * const provider = facebook({ appId: '1234567890', appSecret: process.env.FACEBOOK_APP_SECRET ?? '' })
 * ```
 * @throws errors.OptionInvalidError
 * @see https://developers.facebook.com/docs/facebook-login/limited-login/token/validating
 */
export function facebook (options: FacebookOptions): IdentityProvider {
  const given = open(options, 'facebook', [
    'appId', 'appSecret', 'endpoints', 'redirect', 'events', ...idTokenOptions
  ])
  const { jwks, authorize, ...addresses } = given.read('endpoints', endpoints(defaults), defaults)
  const graph = withoutSlash(addresses.graph)
  const [appId, appSecret] = [given.read('appId', text), given.read('appSecret', text)]
  const server = {
    issuer: 'https://www.facebook.com',
    authorizationEndpoint: authorize,
    tokenEndpoint: addresses.token || `${graph}/oauth/access_token`,
    readError: readGraphError
  }
  const client = { clientIds: [appId], secret: { own: appSecret }, scope: 'public_profile email' }
  return defineProvider({
    ...readPolicies(given),
    idToken: {
      algorithms: ['RS256'],
      issuers: ['https://www.facebook.com', 'https://facebook.com'],
      clientIds: [appId],
      keys: jwks,
      members: ['id_token', 'access_token'],
      nonceForms: ['raw'],
      identity: standard => ({ ...standard, emailVerified: 'unknown' })
    },
    accessToken: (token, context) => verifyClassicToken({ graph, appId, appSecret }, token, context),
    redirect: given.read('redirect', readRedirect(server, client), null),
    events: given.read('events', readFacebookEvents(appSecret), null)
  })
}
