import type { FastifyInstance, FastifyRequest, onRequestHookHandler } from 'fastify'
import { codeOf, errors } from '../errors.js'
import type { Renewal } from '../login/refresh.js'
import type { Credentials } from '../guards/credentials.js'
import type { Sessions } from '../sessions/sessions.js'
import type { User } from '../tokens/claims.js'
import { browserRoute, queryOf, sendPage } from '../routes/redirect.js'
import { emptyPage } from './completion-page.js'
import { readRedirectUri, type Destinations } from './destinations.js'

export interface AccountParts {
  destinations: Destinations
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
export function accountRoutes (scope: FastifyInstance, parts: AccountParts): void {
  const { issuer, destinations, requireUser, config } = parts
  const options = { config, onRequest: requireUser, exposeHeadRoute: false }
  scope.get('/.auth/me', options, async request => [describe(userOf(request))])
  scope.get('/.auth/refresh', options, request => refresh(parts, request))

  const route = browserRoute(scope, config)
  const donePath = `${new URL(issuer).pathname.replace(/\/$/, '')}${scope.prefix}/.auth/logout/done`
  scope.get('/.auth/logout', route, async (request, reply) => {
    const uri = readRedirectUri(queryOf(request), logoutNames, destinations) ?? donePath
    await logOut(parts, request)
    return await reply.redirect(uri, 302)
  })
  scope.get('/.auth/logout/done', route, (_request, reply) => sendPage(emptyPage, reply))
}

const logoutNames = ['post_logout_redirect_uri', 'post_logout_redirect_url']

async function refresh ({ renew }: AccountParts, request: FastifyRequest): Promise<object> {
  const { sessionId } = userOf(request)
  if (renew === null) throw new errors.RequestInvalidError('there are no sessions')
  if (sessionId === null) throw new errors.TokenInvalidError('the token belongs to no session')
  const { user: { userId }, authenticationToken } = await renew(sessionId, request)
  return { user: { userId }, authenticationToken }
}

async function logOut ({ sessions, ...parts }: AccountParts, request: FastifyRequest): Promise<void> {
  const user = callerOf(parts, request)
  if (sessions === null || user === null) return
  // A token of the application's own issuing has no session: it is itself what ends.
  if (user.sessionId === null) await sessions.revokeToken(user.tokenId, user.expiresAt)
  else await sessions.revokeSession(user.sessionId)
}

/** Who has no token, or no longer a good one, is logged out already: null. */
function callerOf (
  { readCredentials, verify }: Pick<AccountParts, 'readCredentials' | 'verify'>,
  request: FastifyRequest
): User | null {
  try {
    const { token } = readCredentials(request.raw.rawHeaders)
    return token === null ? null : verify(token)
  } catch (thrown) {
    if (codeOf(thrown)?.startsWith('AUTH_ERR_TOKEN_') === true) return null
    throw thrown
  }
}

function userOf ({ auth: { user } }: FastifyRequest): User {
  if (user === null) throw new errors.CredentialMissingError()
  return user
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
