import { hash } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import { ProofRefused } from '../dpop/proof-refused.js'
import type { Binding, Proofs } from '../dpop/proofs.js'
import { errors } from '../errors.js'
import type { User } from '../permissions/user.js'
import { callerOf, requireNoBlank, unbound, type CallerParts, type Callers } from './bearers.js'
import type { UserAuth } from './decide.js'
import type { Presented } from './presented.js'
import { createTokenCache } from './token-cache.js'
import type { CarriedToken, TokenKind } from './token-kinds.js'

/** A caller, and the key that has to be proven with each request; null where there is none. */
interface Holder {
  readonly user: User
  readonly caller: UserAuth
  readonly binding: Binding | null
}

/** What a holder takes beside its user: two thumbprints, and what holds them. */
const holderBytes = 320
const dpop = 'DPoP '
const bearer = 'Bearer '

/** Callers whose tokens may be bound to a key that they hold (RFC 9449, 7). */
export function holders (
  kind: TokenKind,
  proofs: Pick<Proofs, 'check'>,
  { verify, tolerance, sessions, cacheBytes }: CallerParts
): Callers {
  const warm = createTokenCache<Holder>(cacheBytes, holderBytes)

  function find (presented: Presented, request: FastifyRequest): UserAuth | null {
    const text = usualText(presented)
    const known = text === null ? undefined : warm.get(text)
    if (known !== undefined) return checked(known, presented, request)
    const carried = kind.read(presented, request)
    if (carried === null) return null
    requireNoBlank(carried.token)
    const name = nameOf(carried)
    const remembered = warm.get(name)
    if (remembered !== undefined) return checked(remembered, presented, request)
    const holder = holderOf(carried)
    const caller = checked(holder, presented, request)
    remember(name, holder)
    return caller
  }

  function checked ({ user, caller, binding }: Holder, presented: Presented, request: FastifyRequest): UserAuth {
    sessions?.check(user)
    if (binding !== null) proofs.check(proofIn(presented), request, binding)
    return caller
  }

  // Behind its proof: who has a copy of a token shows nothing by it, not even that its refresh token has arrived.
  function remember (name: string, holder: Holder): void {
    warm.set(name, holder, holder.user.expiresAt + tolerance)
    sessions?.seen(holder.user)
  }

  function holderOf ({ token, isDpop }: CarriedToken): Holder {
    const { user, jkt } = isDpop ? verify(token) : unbound(verify(token))
    if (isDpop && jkt === null) throw new errors.TokenInvalidError('it is bound to no key')
    const ath = jkt === null ? null : hash('sha256', token, 'base64url')
    return { user, caller: callerOf(user), binding: jkt === null || ath === null ? null : { jkt, ath } }
  }

  function verifyBearer (token: string): User {
    requireNoBlank(token)
    const name = nameOf({ token, isDpop: false })
    const known = warm.get(name)
    const holder = known ?? holderOf({ token, isDpop: false })
    sessions?.check(holder.user)
    if (known === undefined) remember(name, holder)
    return holder.user
  }

  return { find, verify: verifyBearer }
}

/** By its scheme and itself: under one it may be good, and not under the other. */
function nameOf ({ token, isDpop }: CarriedToken): string {
  return isDpop ? dpop + token : bearer + token
}

/** `Authorization` as nearly all write it, without another carrier beside it. */
function usualText ([authorization = null, header = null]: Presented): string | null {
  if (header !== null || authorization === null) return null
  return authorization.startsWith(dpop) || authorization.startsWith(bearer) ? authorization : null
}

/** @throws ProofRefused */
function proofIn ([, , proof]: Presented): string {
  if (proof === undefined || proof === null || proof === '') throw new ProofRefused('there is none')
  return proof
}
