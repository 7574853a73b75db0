import type { FastifyInstance, FastifyRequest } from 'fastify'
import { codeOf, errors } from '../errors.js'
import { userOf } from '../guards/request-auth.js'
import { readRedirectUri, type Destinations } from '../login/destinations.js'
import { pathOfIssuer } from '../public-address.js'
import { browserRoute, queryOf, sendPage } from '../routes/redirect.js'
import { endCurrent } from '../routes/sessions.js'
import type { Server } from '../server.js'
import type { User } from '../permissions/user.js'
import { emptyPage } from './completion-page.js'

/** `/.auth/me`, `/.auth/refresh` and `/.auth/logout` of App Service Authentication. */
export function accountRoutes (scope: FastifyInstance, server: Server, destinations: Destinations): void {
  const { options: { issuer }, guards, routeConfig: config } = server
  const options = { config, onRequest: guards.requireUser(), exposeHeadRoute: false }
  scope.get('/.auth/me', options, async request => [describe(userOf(request))])
  scope.get('/.auth/refresh', options, request => refresh(server, request))

  const route = browserRoute(scope, config)
  const donePath = `${pathOfIssuer(issuer)}${scope.prefix}/.auth/logout/done`
  scope.get('/.auth/logout', route, async (request, reply) => {
    const uri = readRedirectUri(queryOf(request), logoutNames, destinations) ?? donePath
    await logOut(server, request)
    return await reply.redirect(uri, 302)
  })
  scope.get('/.auth/logout/done', route, (_request, reply) => sendPage(emptyPage, reply))
}

const logoutNames = ['post_logout_redirect_uri', 'post_logout_redirect_url']

async function refresh ({ renew }: Server, request: FastifyRequest): Promise<object> {
  const { sessionId } = userOf(request)
  if (renew === null) throw new errors.RequestInvalidError('there are no sessions')
  if (sessionId === null) throw new errors.TokenInvalidError('the token belongs to no session')
  const { user: { userId }, authenticationToken } = await renew(sessionId, request)
  return { user: { userId }, authenticationToken }
}

async function logOut (server: Server, request: FastifyRequest): Promise<void> {
  const user = callerOf(server, request)
  if (server.sessions !== null && user !== null) await endCurrent(server.sessions, user, { cause: 'logout', request })
}

/** Who has no token, or no longer a good one, is logged out already: null. */
function callerOf ({ authenticator }: Server, request: FastifyRequest): User | null {
  try {
    return authenticator.findUser(request)
  } catch (thrown) {
    if (codeOf(thrown)?.startsWith('AUTH_ERR_TOKEN_') === true) return null
    throw thrown
  }
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
