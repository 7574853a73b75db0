import type { FastifyInstance, FastifyRequest, onRequestHookHandler } from 'fastify'
import { codeOf, errors } from '../errors.js'
import type { Renewal } from '../exchange/refresh.js'
import type { Credentials } from '../guards/credentials.js'
import type { Sessions } from '../sessions/sessions.js'
import type { User } from '../tokens/claims.js'
import type { TokenAnswer } from '../tokens/issuer.js'
import { readRedirectUri } from './destinations.js'
import { createEndings } from './endings.js'
import { ownPaths } from './paths.js'
import { browserRoute, queryOf } from './browser-route.js'
import { asRefusal } from './refusals.js'
import type { Dialect } from './settings.js'

export interface AccountParts {
  dialect: Dialect
  /** The public address of this server. */
  issuer: string
  /** Null where logins start no session. */
  sessions: Pick<Sessions, 'revokeSession' | 'revokeToken'> | null
  /** Null as `sessions`. */
  renew: Renewal | null
  readCredentials: (rawHeaders: readonly string[]) => Credentials
  verify: (token: string) => User
  requireUser: onRequestHookHandler
  /** `config` of the routes. */
  config: object
}

/** `/.auth/me`, `/.auth/refresh` and `/.auth/logout` of App Service Authentication. */
export function accountRoutes (
  scope: FastifyInstance,
  { dialect, issuer, sessions, renew, readCredentials, verify, requireUser, config }: AccountParts
): void {
  const options = { config, onRequest: requireUser, exposeHeadRoute: false }
  for (const url of ownPaths(scope, '/.auth/me')) scope.get(url, options, async request => [describe(userOf(request))])
  for (const url of ownPaths(scope, '/.auth/refresh')) {
    scope.get(url, options, async request => refresh(userOf(request), request))
  }

  async function refresh ({ sessionId }: User, request: FastifyRequest): Promise<object> {
    if (renew === null) throw new errors.RequestInvalidError('there are no sessions')
    if (sessionId === null) throw new errors.TokenInvalidError('the token belongs to no session')
    return clientAnswer(
      await renew(sessionId, request).catch(thrown => {
        throw asRefusal(thrown, [400, 403])
      })
    )
  }

  const endings = createEndings()
  const donePath = `${new URL(issuer).pathname.replace(/\/$/, '')}${scope.prefix}/.auth/logout/done`
  const route = browserRoute(scope, config, endings.policyOf)
  for (const url of ownPaths(scope, '/.auth/logout/done')) {
    scope.get(url, route, (_request, reply) => endings.done(reply))
  }
  for (const url of ownPaths(scope, '/.auth/logout')) {
    scope.get(url, route, async (request, reply) => {
      const uri =
        readRedirectUri(queryOf(request), ['post_logout_redirect_uri', 'post_logout_redirect_url'], dialect) ?? donePath
      await logOut(request)
      return await reply.redirect(uri, 302)
    })
  }

  async function logOut (request: FastifyRequest): Promise<void> {
    const user = callerOf(request)
    if (sessions === null || user === null) return
    // A token of the application's own issuing has no session: it is itself what ends.
    if (user.sessionId === null) await sessions.revokeToken(user.tokenId, user.expiresAt)
    else await sessions.revokeSession(user.sessionId)
  }

  // Who has no token, or no longer a good one, is logged out already.
  function callerOf (request: FastifyRequest): User | null {
    try {
      const { token } = readCredentials(request.raw.rawHeaders)
      return token === null ? null : verify(token)
    } catch (thrown) {
      if (codeOf(thrown)?.startsWith('AUTH_ERR_TOKEN_') === true) return null
      throw thrown
    }
  }
}

function userOf ({ auth: { user } }: FastifyRequest): User {
  if (user === null) throw new errors.CredentialMissingError()
  return user
}

function clientAnswer ({ user: { userId }, authenticationToken }: TokenAnswer): object {
  return { user: { userId }, authenticationToken }
}

const nameIdentifier = 'http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier'

/** What App Service says of a user, from the access token alone: no token of the provider, no e-mail address. */
function describe ({ id, provider, subject, level, permissions, claims, expiresAt }: User): object {
  const extra = Object.entries(claims).map(([typ, value]) => ({
    typ,
    val: typeof value === 'string' ? value : JSON.stringify(value)
  }))
  return {
    // As App Service calls a login that the application did itself.
    provider_name: provider ?? 'custom',
    user_id: id,
    expires_on: new Date(expiresAt * 1000).toISOString(),
    user_claims: [
      { typ: nameIdentifier, val: subject ?? id },
      { typ: 'level', val: level },
      ...permissions.map(val => ({ typ: 'permission', val })),
      ...extra
    ]
  }
}
