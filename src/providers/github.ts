import { errors } from '../errors.js'
import type { IdentityProvider, VerifiedIdentity } from '../identity.js'
import { requestJson } from '../http/client.js'
import { isObject, type JsonObject } from '../strict-json.js'
import { codeFlow } from '../redirect/code-flow.js'
import { basicAuthorization, exchangeCode } from './authorization-code.js'
import { configuration } from './configuration.js'
import { entering } from './define.js'
import { exactId, standardProfile, textOrNull } from './openid-claims.js'
import { readRedirect, type RedirectOptions } from './redirect.js'

export interface GitHubOptions {
  clientId: string
  clientSecret: string
  endpoints?: { api?: string, token?: string, authorize?: string }
  /** Logins by redirect. `scope` @default 'read:user user:email' */
  redirect?: Pick<RedirectOptions, 'scope'>
}

const ENDPOINTS = {
  api: 'https://api.github.com',
  token: 'https://github.com/login/oauth/access_token',
  authorize: 'https://github.com/login/oauth/authorize'
}

/**
 * GitHub: access tokens of this OAuth or GitHub App, and authorization codes (with PKCE) that are exchanged for one.
 * Deviation: no ID tokens. The token is checked as belonging to this app; `GET /user` would take any app's.
 *
 * @throws errors.OptionInvalidError
 * @see https://docs.github.com/en/rest/apps/oauth-applications#check-a-token
 * @see https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps
 */
export function github (options: GitHubOptions): IdentityProvider {
  const given = configuration('github', options, ['clientId', 'clientSecret', 'redirect'], ENDPOINTS)
  const [clientId, clientSecret] = [given.text('clientId'), given.text('clientSecret')]
  const url = `${given.endpoints.api.replace(/\/+$/, '')}/applications/${encodeURIComponent(clientId)}/token`
  const headers = {
    authorization: basicAuthorization(clientId, clientSecret),
    accept: 'application/vnd.github+json',
    'x-github-api-version': '2022-11-28'
  }
  const provider: IdentityProvider = {
    accepts: ['access_token', 'authorization_code'],
    async verify (grant, context) {
      const client = { client_id: clientId, client_secret: clientSecret }
      const exchanged =
        grant.type === 'authorization_code' && (await exchangeCode(given.endpoints.token, client, grant, context))
      const token = exchanged === false ? grant.token : textOrNull(exchanged.access_token)
      if (token === null) throw new errors.ProviderUnavailableError('token endpoint: no access token')
      const { status, body } = await requestJson(url, { headers, json: { access_token: token }, context })
      if (status === 404 || status === 422) throw new errors.GrantRejectedError(`status ${status}`)
      if (status !== 200 || !isObject(body)) throw new errors.ProviderUnavailableError(`status ${status}`)
      return identityOf(body, clientId)
    }
  }
  const redirect = readRedirect('github', options.redirect, {
    clientIds: [clientId],
    secret: { own: clientSecret },
    scope: 'read:user user:email',
    openid: false
  })
  if (redirect === null) return entering(provider)
  const server = {
    issuer: 'https://github.com/login/oauth',
    authorizationEndpoint: given.endpoints.authorize,
    tokenEndpoint: given.endpoints.token
  }
  return entering({
    ...provider,
    ...codeFlow({ ...redirect, openid: false, server: async () => server }, ({ accessToken: token }, context) =>
      provider.verify({ type: 'access_token', token }, context)
    )
  })
}

function identityOf ({ app, user, scopes, expires_at: expiresAt }: JsonObject, clientId: string): VerifiedIdentity {
  if (!isObject(app) || app.client_id !== clientId) throw new errors.GrantRejectedError('app.client_id')
  if (expiresAt != null && !(typeof expiresAt === 'string' && Date.parse(expiresAt) > Date.now())) {
    throw new errors.GrantRejectedError('expires_at')
  }
  const subject = isObject(user) ? exactId(user.id) : null
  if (!isObject(user) || subject === null || !/^\d{1,255}$/.test(subject)) {
    throw new errors.GrantRejectedError('user.id')
  }
  // The public address of the profile: GitHub does not say here whether it is verified. The token itself stays out of the claims.
  return {
    subject,
    clientId,
    ...standardProfile({ ...user, email_verified: undefined, picture: user.avatar_url }),
    claims: { ...user, scopes }
  }
}
