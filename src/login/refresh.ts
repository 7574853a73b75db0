import { randomUUID } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import { codeOf, errors } from '../errors.js'
import type { Identity } from '../identity.js'
import type { GuardedLookup } from '../permissions/lookup.js'
import type { Sessions } from '../sessions/sessions.js'
import type { TokenAnswer } from '../tokens/issuer.js'
import { userIdOf, type Mint, type Proven } from './login.js'

/** A refresh token for an access token and the next refresh token (RFC 6749, 6), the lookup being asked again. */
export type Refresh = (refreshToken: string, request: FastifyRequest) => Promise<TokenAnswer>

/** Another access token of a session, the lookup being asked again; the refresh token stays as it is. */
export type Renewal = (sessionId: string, request: FastifyRequest) => Promise<TokenAnswer>

export interface RefreshParts { sessions: Pick<Sessions, 'refresh' | 'renew'>, lookup: GuardedLookup, mint: Mint }

export function createRefresh ({ sessions, lookup, mint }: RefreshParts): Refresh {
  return async (refreshToken, request) => {
    const { granted: proven, ...session } = await sessions.refresh(refreshToken, identity =>
      admit(lookup, identity, request)
    )
    return mint(proven, session, request.log)
  }
}

export function createRenewal ({ sessions, lookup, mint }: RefreshParts): Renewal {
  return async (sessionId, request) => {
    const proven = await sessions.renew(sessionId, identity => admit(lookup, identity, request))
    // Of no refresh token: this access token shows of none that it has arrived.
    return mint(proven, { sessionId, tokenId: randomUUID() }, request.log)
  }
}

async function admit (
  lookup: GuardedLookup,
  identity: Identity,
  request: FastifyRequest
): Promise<(Proven & { userId: string }) | null> {
  const granted = await lookup(identity, { request, reason: 'refresh', providerTokens: null }).catch(nullIfDenied)
  return granted === null ? null : { identity, granted, userId: userIdOf({ identity, granted }) }
}

function nullIfDenied (thrown: unknown): null {
  if (codeOf(thrown) === errors.AccessDeniedError.code) return null
  throw thrown
}
