import type { FastifyRequest } from 'fastify'
import { codeOf, errors } from '../errors.js'
import type { Identity } from '../identity.js'
import type { GuardedLookup } from '../permissions/lookup.js'
import type { Sessions } from '../sessions/sessions.js'
import type { TokenAnswer } from '../tokens/issuer.js'
import { userIdOf, type Mint, type Proven } from './mint.js'

/** A refresh token for an access token and the next refresh token (RFC 6749, 6), the lookup being asked again. */
export type Refresh = (refreshToken: string, request: FastifyRequest) => Promise<TokenAnswer>

export interface RefreshParts { sessions: Pick<Sessions, 'refresh'>, lookup: GuardedLookup, mint: Mint }

export function createRefresh ({ sessions, lookup, mint }: RefreshParts): Refresh {
  async function admit (identity: Identity, request: FastifyRequest): Promise<Proven & { userId: string } | null> {
    const granted = await lookup(identity, { request, reason: 'refresh', providerTokens: null }).catch(nullIfDenied)
    return granted === null ? null : { identity, granted, userId: userIdOf({ identity, granted }) }
  }

  return async (refreshToken, request) => {
    const { granted: proven, ...session } = await sessions.refresh(refreshToken, identity => admit(identity, request))
    return mint(proven, session, request.log)
  }
}

function nullIfDenied (thrown: unknown): null {
  if (codeOf(thrown) === errors.AccessDeniedError.code) return null
  throw thrown
}
