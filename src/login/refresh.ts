import type { FastifyRequest } from 'fastify'
import { codeOf, errors } from '../errors.js'
import type { Events } from '../events.js'
import type { GuardedLookup } from '../permissions/lookup.js'
import type { AccessGrant, Claim, RefreshGrant } from '../sessions/chain.js'
import type { Sessions } from '../sessions/sessions.js'
import type { TokenAnswer } from '../tokens/issuer.js'
import type { Possession } from './possession.js'
import { userIdOf, type Mint, type Proven } from './login.js'

/** A refresh token for an access token and the next refresh token (RFC 6749, 6), the lookup being asked again. */
export type Refresh = (refreshToken: string, request: FastifyRequest) => Promise<TokenAnswer>

/** Another access token of a session, the lookup being asked again; the refresh token stays as it is. */
export type Renewal = (sessionId: string, request: FastifyRequest) => Promise<TokenAnswer>

export interface RefreshParts {
  events: Events
  sessions: Pick<Sessions, 'present' | 'claim'>
  lookup: GuardedLookup
  mint: Mint
  possession: Possession
}

export function createRefresh ({ events, sessions, possession, ...tools }: RefreshParts): Refresh {
  const underWay = new Map<string, number>()

  // A second request with the token of one that is under way comes too early to have lost an answer.
  async function alone<T> (refreshToken: string, work: (isAlone: boolean) => Promise<T>): Promise<T> {
    const others = underWay.get(refreshToken) ?? 0
    underWay.set(refreshToken, others + 1)
    try {
      return await work(others === 0)
    } finally {
      const left = (underWay.get(refreshToken) ?? 1) - 1
      if (left === 0) underWay.delete(refreshToken)
      else underWay.set(refreshToken, left)
    }
  }

  return (refreshToken, request) => alone(refreshToken, async isAlone => {
    const startedAt = performance.now()
    let claim: Claim<RefreshGrant> | null = null
    try {
      claim = await sessions.present(refreshToken, request, possession.keyOf(request))
      const { proven, grant, answer } = await goOn(tools, claim, request)
      const { identity: { provider, subject } } = proven
      const facts = { provider, subject, userId: userIdOf(proven), sessionId: claim.sessionId, ...clientOf(grant) }
      const milliseconds = performance.now() - startedAt
      const retry = isAlone || grant.retry === 'none' ? grant.retry : 'concurrent'
      events.publish({ type: 'session.refreshed', retry, ...facts, milliseconds }, request)
      return answer
    } catch (thrown) {
      const code = codeOf(thrown) ?? ''
      if (refusals.includes(code)) events.publish({ type: 'refresh.refused', code, ...factsOf(claim) }, request)
      throw thrown
    }
  })
}

/** Not an outage, and not a request that is none. */
const refusals: readonly string[] = [
  errors.RefreshInvalidError.code,
  errors.RefreshReusedError.code,
  errors.SessionExpiredError.code,
  errors.SessionRevokedError.code,
  errors.AccessDeniedError.code
]

export function createRenewal ({ sessions, possession, ...tools }: RefreshParts): Renewal {
  return async (sessionId, request) => {
    const claim = await sessions.claim(sessionId, request, possession.keyOf(request))
    return (await goOn(tools, claim, request)).answer
  }
}

async function goOn<Grant extends AccessGrant> (
  { lookup, mint }: Pick<RefreshParts, 'lookup' | 'mint'>,
  claim: Claim<Grant>,
  request: FastifyRequest
): Promise<{ proven: Proven, grant: Grant, answer: TokenAnswer }> {
  const proven = await admit(lookup, claim, request)
  const grant = await claim.advance(userIdOf(proven))
  return { proven, grant, answer: mint(proven, grant, request.log) }
}

/** Of a session that has been found. */
function factsOf (claim: Claim | null) {
  if (claim === null) return {}
  const { sessionId, identity: { provider, subject } } = claim
  return { provider, subject, sessionId }
}

function clientOf ({ clientId }: AccessGrant): { clientId?: string } {
  return clientId === undefined ? {} : { clientId }
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
