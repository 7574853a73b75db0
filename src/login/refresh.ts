import type { FastifyRequest } from 'fastify'
import { codeOf, errors } from '../errors.js'
import type { GuardedLookup } from '../permissions/lookup.js'
import type { Claim } from '../sessions/chain.js'
import type { Sessions } from '../sessions/sessions.js'
import type { TokenAnswer } from '../tokens/issuer.js'
import { userIdOf, type Mint, type Proven } from './login.js'

/** A refresh token for an access token and the next refresh token (RFC 6749, 6), the lookup being asked again. */
export type Refresh = (refreshToken: string, request: FastifyRequest) => Promise<TokenAnswer>

/** Another access token of a session, the lookup being asked again; the refresh token stays as it is. */
export type Renewal = (sessionId: string, request: FastifyRequest) => Promise<TokenAnswer>

export interface RefreshParts { sessions: Pick<Sessions, 'present' | 'claim'>, lookup: GuardedLookup, mint: Mint }

export function createRefresh ({ sessions, ...tools }: RefreshParts): Refresh {
  return async (refreshToken, request) => await goOn(await sessions.present(refreshToken), tools, request)
}

export function createRenewal ({ sessions, ...tools }: RefreshParts): Renewal {
  return async (sessionId, request) => await goOn(await sessions.claim(sessionId), tools, request)
}

type Tools = Omit<RefreshParts, 'sessions'>

async function goOn (claim: Claim, { lookup, mint }: Tools, request: FastifyRequest): Promise<TokenAnswer> {
  const proven = await admit(lookup, claim, request)
  return mint(proven, await claim.advance(userIdOf(proven)), request.log)
}

async function admit (lookup: GuardedLookup, claim: Claim, request: FastifyRequest): Promise<Proven> {
  const { identity, sessionId } = claim
  try {
    const occasion = { request, reason: 'refresh', providerTokens: null, user: null, sessionId } as const
    return { identity, granted: await lookup(identity, occasion) }
  } catch (thrown) {
    if (codeOf(thrown) === errors.AccessDeniedError.code) await claim.end()
    else claim.postpone()
    throw thrown
  }
}
