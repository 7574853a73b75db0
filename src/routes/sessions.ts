import type { FastifyInstance } from 'fastify'
import { codeOf, errors, RequestMalformed } from '../errors.js'
import { userOf } from '../guards/request-auth.js'
import { text } from '../login/grant.js'
import type { Server } from '../server.js'
import type { Occasion } from '../sessions/end-step.js'
import { KeyMissing } from '../sessions/session.js'
import type { Sessions } from '../sessions/sessions.js'
import type { User } from '../permissions/user.js'
import { bodyLimit, membersOf } from './bodies.js'

/** `POST /logout` and `GET /sessions`, for users, where there are sessions. */
export function sessionRoutes (scope: FastifyInstance, { sessions, guards, routeConfig: config }: Server): void {
  if (sessions === null) return
  const onRequest = guards.requireUser()

  scope.post('/logout', { bodyLimit, config, onRequest }, async (request, reply) => {
    const { scope: ending = 'this' } = membersOf(request.body)
    await end(sessions, userOf(request), ending, { cause: 'logout', request })
    return await reply.code(204).send()
  })

  scope.get('/sessions', { config, onRequest }, async request => {
    const { id, sessionId } = userOf(request)
    return { sessions: await sessions.list(id, sessionId) }
  })
}

/** Ends this session of the user, its others, or all. */
function end (sessions: Sessions, user: User, scope: unknown, on: Occasion): Promise<void> {
  if (scope === 'all') return sessions.revokeUser(user.id, on, user)
  if (scope === 'others') return sessions.revokeOthers(user.id, user.sessionId, on)
  if (scope !== 'this') throw new RequestMalformed("scope must be 'this', 'others' or 'all'")
  return endCurrent(sessions, user, on)
}

/** A token of the application's own issuing has no session: it is itself what ends. */
export async function endCurrent (sessions: Sessions, user: User, on: Occasion): Promise<void> {
  if (user.sessionId === null) await sessions.revokeToken(user, on)
  else await sessions.revokeSession(user.sessionId, on)
}

/**
 * `POST /revoke`: RFC 7009, for public clients: who has a token may end it. A refresh token ends its session, an access
 * token itself. One that is none is answered alike (2.2). With a body, because some clients parse every answer.
 */
export function revokeRoute (scope: FastifyInstance, server: Server): void {
  const { sessions, authenticator, possession, routeConfig: config } = server
  if (sessions === null) return

  async function revoke (sessions: Sessions, token: string, on: Occasion, jkt: string | null): Promise<void> {
    if (!token.includes('.')) return await sessions.revokeRefreshToken(token, on, jkt)
    await sessions.revokeToken(authenticator.identify(token), on)
  }

  scope.post('/revoke', { bodyLimit, config }, async request => {
    const token = text(membersOf(request.body), 'token')
    const on: Occasion = { cause: 'revoked', request }
    await revoke(sessions, token, on, possession.keyOf(request)).catch(passOver)
    return {}
  })
}

// Somebody else's refresh token, bound to its key, is no more to be ended than to be used: that much is said.
function passOver (thrown: unknown): void {
  if (codeOf(thrown) === errors.StoreUnavailableError.code || thrown instanceof KeyMissing) throw thrown
}
