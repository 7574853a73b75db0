import { errors, rejected } from '../errors.js'
import { requestJson } from '../http/client.js'
import type { IdentityProvider, VerifiedIdentity, VerifyContext } from '../identity.js'
import { open, text, withoutSlash } from '../options/values.js'
import { isObject, type JsonObject } from '../strict-json.js'
import { basicAuthorization, readRedirect, type RedirectOptions } from './code-flow.js'
import { defineProvider } from './define.js'
import { endpoints } from './definition.js'
import { readGitHubEvents, type GitHubEvents } from './github-events.js'
import { exactId, standardIdentity } from './openid-claims.js'

export interface GitHubOptions {
  clientId: string
  clientSecret: string
  endpoints?: { api?: string, token?: string, authorize?: string }
  /** Logins by redirect. `scope` @default 'read:user user:email' */
  redirect?: Pick<RedirectOptions, 'scope'>
  /** Takes the webhook of a GitHub App at `/events/:provider`. @default none */
  events?: GitHubEvents
}

const defaults = {
  api: 'https://api.github.com',
  token: 'https://github.com/login/oauth/access_token',
  authorize: 'https://github.com/login/oauth/authorize'
}

/**
 * GitHub: access tokens of this OAuth or GitHub App, and authorization codes (with PKCE) that are exchanged for one.
 * Deviation: no ID tokens. The token is checked as belonging to this app; `GET /user` would take any app's.
 *
 * @example
 * ```ts
 * const provider = github({ clientId: 'Iv1.0123456789abcdef', clientSecret: process.env.GITHUB_SECRET ?? '' })
 * ```
 * @throws errors.OptionInvalidError
 * @see https://docs.github.com/en/rest/apps/oauth-applications#check-a-token
 * @see https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps
 */
export function github (options: GitHubOptions): IdentityProvider {
  const given = open(options, 'github', ['clientId', 'clientSecret', 'endpoints', 'redirect', 'events'])
  const { api, authorize, token: tokenEndpoint } = given.read('endpoints', endpoints(defaults), defaults)
  const [clientId, clientSecret] = [given.read('clientId', text), given.read('clientSecret', text)]
  const server = { issuer: 'https://github.com/login/oauth', authorizationEndpoint: authorize, tokenEndpoint }
  const client = { clientIds: [clientId], secret: { own: clientSecret }, scope: 'read:user user:email' }
  const check = `${withoutSlash(api)}/applications/${encodeURIComponent(clientId)}/token`
  const headers = {
    authorization: basicAuthorization(clientId, clientSecret),
    accept: 'application/vnd.github+json',
    'x-github-api-version': '2022-11-28'
  }
  return defineProvider({
    async accessToken (token: string, context: VerifyContext) {
      const { status, body } = await requestJson(check, { headers, json: { access_token: token }, context })
      if (status === 404 || status === 422) throw rejected('token', `status ${status}`)
      if (status !== 200 || !isObject(body)) throw new errors.ProviderUnavailableError(`status ${status}`)
      return identityOf(body, clientId)
    },
    code: { clientId, clientSecret, tokenEndpoint },
    redirect: given.read('redirect', readRedirect(server, client), null),
    events: given.read('events', readGitHubEvents, null)
  })
}

function identityOf ({ app, user, scopes, expires_at: expiresAt }: JsonObject, clientId: string): VerifiedIdentity {
  if (!isObject(app) || app.client_id !== clientId) throw rejected('audience', 'app.client_id')
  const isLive = expiresAt == null || (typeof expiresAt === 'string' && Date.parse(expiresAt) > Date.now())
  if (!isLive) throw rejected('time', 'expires_at')
  const id = isObject(user) ? exactId(user.id) : null
  if (!isObject(user) || id === null || !/^\d{1,255}$/.test(id)) throw rejected('subject', 'user.id')
  // The public address of the profile: GitHub does not say here whether it is verified. The token itself stays out.
  const said = { ...user, email_verified: undefined, picture: user.avatar_url }
  return { ...standardIdentity(said, clientId, id), claims: { ...user, scopes } }
}
