import type { FastifyInstance } from 'fastify'
import { codeOf, errors } from '../errors.js'
import { userOf } from '../guards/guards.js'
import { text } from '../login/grant.js'
import type { Server } from '../server.js'
import type { Sessions } from '../sessions/sessions.js'
import type { User } from '../permissions/user.js'
import { bodyLimit, membersOf } from './bodies.js'

/** `POST /logout` and `GET /sessions`, for users, where there are sessions. */
export function sessionRoutes (scope: FastifyInstance, { sessions, guards, routeConfig: config }: Server): void {
  if (sessions === null) return
  const onRequest = guards.requireUser()

  scope.post('/logout', { bodyLimit, config, onRequest }, async (request, reply) => {
    const { scope: ending = 'this' } = membersOf(request.body)
    await end(sessions, userOf(request), ending)
    return await reply.code(204).send()
  })

  scope.get('/sessions', { config, onRequest }, async request => {
    const { id, sessionId } = userOf(request)
    return { sessions: await sessions.list(id, sessionId) }
  })
}

/** Ends this session of the user, its others, or all. */
function end (sessions: Sessions, user: User, scope: unknown): Promise<void> {
  if (scope === 'all') return sessions.revokeUser(user.id, user)
  if (scope === 'others') return sessions.revokeOthers(user.id, user.sessionId)
  if (scope !== 'this') throw new errors.RequestInvalidError("scope must be 'this', 'others' or 'all'")
  return endCurrent(sessions, user)
}

/** A token of the application's own issuing has no session: it is itself what ends. */
export async function endCurrent (sessions: Sessions, user: User): Promise<void> {
  if (user.sessionId === null) await sessions.revokeToken(user)
  else await sessions.revokeSession(user.sessionId)
}

/**
 * `POST /revoke`: RFC 7009, for public clients: who has a token may end it. A refresh token ends its session, an access
 * token itself. One that is none is answered alike (2.2). With a body, because some clients parse every answer.
 */
export function revokeRoute (scope: FastifyInstance, { sessions, authenticator, routeConfig: config }: Server): void {
  if (sessions === null) return
  scope.post('/revoke', { bodyLimit, config }, async request => {
    const token = text(membersOf(request.body), 'token')
    await revoke(sessions, authenticator.verify, token).catch(passOver)
    return {}
  })
}

async function revoke (sessions: Sessions, verify: (token: string) => User, token: string): Promise<void> {
  if (!token.includes('.')) return await sessions.revokeRefreshToken(token)
  await sessions.revokeToken(verify(token))
}

function passOver (thrown: unknown): void {
  if (codeOf(thrown) === errors.StoreUnavailableError.code) throw thrown
}
