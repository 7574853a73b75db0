import type { FastifyInstance, onRequestHookHandler } from 'fastify'
import { errors } from '../errors.js'
import type { Sessions } from '../sessions/sessions.js'

export interface SessionListParts {
  sessions: Pick<Sessions, 'list'>
  requireUser: onRequestHookHandler
  /** `config` of the route. */
  config: object
}

/** `GET /sessions`: where the caller is logged in. */
export function sessionListRoute (scope: FastifyInstance, { sessions, requireUser, config }: SessionListParts): void {
  scope.get('/sessions', { config, onRequest: requireUser }, async request => {
    const { user } = request.auth
    if (user === null) throw new errors.CredentialMissingError()
    return { sessions: await sessions.list(user.id, user.sessionId) }
  })
}
