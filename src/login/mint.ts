import { randomUUID } from 'node:crypto'
import type { FastifyBaseLogger } from 'fastify'
import { errors } from '../errors.js'
import type { Identity } from '../identity.js'
import type { GrantedPermissions } from '../permissions/permissions.js'
import type { SessionGrant } from '../sessions/session-chain.js'
import type { Issuer, TokenAnswer } from '../tokens/issuer.js'

/** A user whom the provider has vouched for and the lookup has let in; nothing is issued yet. */
export interface Proven { identity: Identity, granted: GrantedPermissions }

/** The access token of somebody proven, with the refresh token of its session where there is one. */
export type Mint = (proven: Proven, session: MintedSession | null, log: FastifyBaseLogger) => TokenAnswer

/** The session of an access token, and the refresh token where one goes with it. */
export type MintedSession = Omit<SessionGrant, 'refreshToken'> & Partial<SessionGrant>

/** The id of the user: the application's, else the provider's name and its subject. */
export function userIdOf ({ identity, granted }: Proven): string {
  return granted.userId ?? `${identity.provider}:${identity.subject}`
}

export function createMint (issue: Issuer): Mint {
  return (proven, session, log) => {
    const { identity: vouched, granted } = proven
    const userId = userIdOf(proven)
    try {
      if (session === null) return issue({ userId, granted, vouched, tokenId: randomUUID() })
      const { sessionId, tokenId, refreshToken } = session
      return {
        ...issue({ userId, granted, vouched, sessionId, tokenId }),
        ...(refreshToken !== undefined && { refresh_token: refreshToken })
      }
    } catch (thrown) {
      // Too much for one token: the application's answer was junk.
      log.error({ err: thrown }, 'the access token cannot be issued')
      throw new errors.LookupFailedError(undefined, { cause: thrown })
    }
  }
}
