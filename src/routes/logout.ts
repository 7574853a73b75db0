import type { FastifyInstance, onRequestHookHandler } from 'fastify'
import { errors } from '../errors.js'
import type { Sessions } from '../sessions/sessions.js'
import type { User } from '../tokens/claims.js'
import { bodyLimit, membersOf } from './bodies.js'

type Ending = Pick<Sessions, 'revokeSession' | 'revokeOthers' | 'revokeUser' | 'revokeToken'>

export interface LogoutRouteParts {
  sessions: Ending
  requireUser: onRequestHookHandler
  /** `config` of the route. */
  config: object
}

/** `POST /logout`: ends this session of the caller, its others, or all. */
export function logoutRoute (scope: FastifyInstance, { sessions, requireUser, config }: LogoutRouteParts): void {
  scope.post('/logout', { bodyLimit, config, onRequest: requireUser }, async (request, reply) => {
    const { user } = request.auth
    if (user === null) throw new errors.CredentialMissingError()
    const { scope: ending = 'this' } = membersOf(request.body)
    await end(sessions, user, ending)
    return await reply.code(204).send()
  })
}

function end (sessions: Ending, user: User, scope: unknown): Promise<void> {
  if (scope === 'all') return sessions.revokeUser(user.id, user)
  if (scope === 'others') return sessions.revokeOthers(user.id, user.sessionId)
  if (scope !== 'this') throw new errors.RequestInvalidError("scope must be 'this', 'others' or 'all'")
  // A token of the application's own issuing has no session: it is itself what ends.
  return user.sessionId === null
    ? sessions.revokeToken(user.tokenId, user.expiresAt)
    : sessions.revokeSession(user.sessionId)
}
