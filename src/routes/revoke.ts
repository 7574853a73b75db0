import type { FastifyInstance } from 'fastify'
import { codeOf, errors } from '../errors.js'
import type { Sessions } from '../sessions/sessions.js'
import type { User } from '../tokens/claims.js'
import { bodyLimit, membersOf } from './bodies.js'
import { text } from './token.js'

export interface RevokeRouteParts {
  sessions: Pick<Sessions, 'revokeRefreshToken' | 'revokeToken'>
  /** The user of an access token. */
  verify: (token: string) => User
  /** `config` of the route. */
  config: object
}

/**
 * `POST /revoke`: RFC 7009, for public clients: who has a token may end it. A refresh token ends its session, an access
 * token itself. One that is none is answered alike (2.2).
 */
export function revokeRoute (scope: FastifyInstance, { sessions, verify, config }: RevokeRouteParts): void {
  scope.post('/revoke', { bodyLimit, config }, async (request, reply) => {
    const token = text(membersOf(request.body), 'token')
    if (token.includes('.')) await revokeAccessToken(token)
    else await sessions.revokeRefreshToken(token).catch(passOver)
    return await reply.code(200).send()
  })

  async function revokeAccessToken (token: string): Promise<void> {
    try {
      const { tokenId, expiresAt } = verify(token)
      await sessions.revokeToken(tokenId, expiresAt)
    } catch (thrown) {
      passOver(thrown)
    }
  }
}

function passOver (thrown: unknown): void {
  if (codeOf(thrown) === errors.StoreUnavailableError.code) throw thrown
}
