import type { FastifyRequest } from 'fastify'
import { errors } from '../errors.js'
import type { Sessions } from '../sessions/sessions.js'
import type { User } from '../permissions/user.js'
import type { Verifier, VerifiedToken } from '../tokens/verifier.js'
import type { UserAuth } from './decide.js'
import type { Presented } from './presented.js'
import { createTokenCache } from './token-cache.js'
import { BoundTokenUnproven, dpopTokenIn, type TokenKind } from './token-kinds.js'

/** Those who call with an access token. */
export interface Callers {
  /** The caller of a request; null where it carries no token. @throws as an authenticator */
  find (presented: Presented, request: FastifyRequest): UserAuth | null
  /** The user of a token that is good for whoever has it. @throws as an authenticator */
  verify (token: string): User
}

export interface CallerParts {
  verify: Verifier
  /** Seconds. */
  tolerance: number
  /** Null where nothing can be revoked. */
  sessions: Pick<Sessions, 'check' | 'seen'> | null
  /** Bytes of memory for tokens that have proven themselves. */
  cacheBytes: number
}

const bearer = 'Bearer '

/** Callers whose tokens are good for whoever has them. */
export function bearers (kind: TokenKind, { verify, tolerance, sessions, cacheBytes }: CallerParts): Callers {
  const warm = createTokenCache<UserAuth>(cacheBytes)

  function find (presented: Presented, request: FastifyRequest): UserAuth | null {
    const text = usualText(presented)
    const caller = text === null ? undefined : warm.get(text)
    if (caller !== undefined) return checked(caller)
    const token = kind.read(presented, request)?.token
    if (token === undefined) return refuseHolder(presented)
    // Made from the token, wherever it came from: what is remembered is never a text that only stood beside it.
    return proven(token, text?.startsWith(bearer) === true ? bearer + token : token)
  }

  /** Another scheme counts as absent; but what another server has bound to a key is one of ours, and nobody's here. */
  function refuseHolder ([authorization = null]: Presented): null {
    const token = authorization === null ? undefined : dpopTokenIn(authorization)
    if (token !== undefined && isBound(token)) throw new errors.TokenInvalidError('it is bound to a key')
    return null
  }

  function isBound (token: string): boolean {
    try {
      return verify(token).jkt !== null
    } catch {
      return false
    }
  }

  function proven (token: string, text = token): UserAuth {
    requireNoBlank(token)
    return checked(warm.get(text) ?? prove(token, text))
  }

  function checked (caller: UserAuth): UserAuth {
    sessions?.check(caller.user)
    return caller
  }

  function prove (token: string, text: string): UserAuth {
    const { user } = unbound(verify(token))
    const caller = callerOf(user)
    warm.set(text, caller, user.expiresAt + tolerance)
    sessions?.seen(user)
    return caller
  }

  return { find, verify: token => proven(token).user }
}

/**
 * What the one carrier of a request holds, as it is remembered once its token has proven itself: nothing of it need be
 * read again. Only `Authorization` says `Bearer`; other spellings, and two carriers, are read each time.
 */
function usualText ([authorization = null, header = null]: Presented): string | null {
  const text = header === null ? authorization : authorization === null ? header : null
  return text !== null && text.startsWith(bearer) === (header === null) ? text : null
}

// No token has a blank, and what `Authorization` says has one: so neither text is taken for the other.
export function requireNoBlank (token: string): void {
  if (token.includes(' ')) throw new errors.TokenInvalidError('a blank')
}

/** RFC 9449, 7.2: never without its proof. @throws BoundTokenUnproven */
export function unbound (verified: VerifiedToken): VerifiedToken {
  if (verified.jkt !== null) throw new BoundTokenUnproven('it is bound to a key')
  return verified
}

export function callerOf (user: User): UserAuth {
  return Object.freeze({ level: user.level, user, application: null, master: null })
}
