import type { FastifyRequest } from 'fastify'
import { errors } from '../errors.js'
import type { User } from '../permissions/user.js'
import type { Sessions } from '../sessions/sessions.js'
import type { Verifier } from '../tokens/verifier.js'
import { createHeaderReader, type CredentialKinds, type Presented } from './credentials.js'
import type { Auth, UserAuth } from './decide.js'
import { createTokenCache } from './token-cache.js'

const bearer = 'Bearer '
const nobody: Auth = Object.freeze({ level: 'everyone', user: null, application: null, master: null })

/** The caller of a request, by its credentials. Synchronous. */
export interface Authenticator {
  /**
   * @throws errors.RequestInvalidError, errors.TokenInvalidError, errors.TokenExpiredError, errors.TokenRevokedError
   */
  authenticate (request: FastifyRequest): Auth
  /** The user whose token a request carries; null without one. @throws as `authenticate` */
  findUser (request: FastifyRequest): User | null
  /** The user of an access token. @throws as `authenticate` */
  verify (token: string): User
}

export interface AuthenticatorParts {
  kinds: CredentialKinds
  verify: Verifier
  /** Seconds. */
  tolerance: number
  /** Null where nothing can be revoked. */
  sessions: Pick<Sessions, 'check' | 'seen'> | null
  /** Bytes of memory for tokens that have proven themselves. */
  cacheBytes: number
}

export function createAuthenticator ({
  kinds: { token: tokenKind, keys },
  verify,
  tolerance,
  sessions,
  cacheBytes
}: AuthenticatorParts): Authenticator {
  const warm = createTokenCache(cacheBytes)
  const read = createHeaderReader([...tokenKind.headers, ...keys.map(({ header }) => header)])
  const firstKey = tokenKind.headers.length

  function authenticate (request: FastifyRequest): Auth {
    const presented = read(request)
    const caller = callerOf(presented, request) ?? nobody
    for (let i = firstKey; i < presented.length; i++) if (presented[i]) return withKeys(caller.user, presented)
    return caller
  }

  function callerOf (presented: Presented, request: FastifyRequest): UserAuth | null {
    const text = usualText(presented)
    const caller = text === null ? undefined : warm.get(text)
    if (caller !== undefined) return checked(caller)
    const token = tokenKind.read(presented, request)
    if (token === null) return null
    // Made from the token, wherever it came from: what is remembered is never a text that only stood beside it.
    return proven(token, text?.startsWith(bearer) === true ? bearer + token : token)
  }

  function proven (token: string, text = token): UserAuth {
    // No token has a blank, and what `Authorization` says has one: so neither text is taken for the other.
    if (token.includes(' ')) throw new errors.TokenInvalidError('a blank')
    return checked(warm.get(text) ?? prove(token, text))
  }

  function checked (caller: UserAuth): UserAuth {
    sessions?.check(caller.user)
    return caller
  }

  function prove (token: string, text: string): UserAuth {
    const user = verify(token)
    const caller: UserAuth = Object.freeze({ level: user.level, user, application: null, master: null })
    warm.set(text, caller, user.expiresAt + tolerance)
    sessions?.seen(user)
    return caller
  }

  function withKeys (user: User | null, presented: Presented): Auth {
    const labels: { application: string | null, master: string | null } = { application: null, master: null }
    for (const [index, { proves, prove }] of keys.entries()) {
      const value = presented[firstKey + index]
      if (value) labels[proves] ??= prove(value)
    }
    return Object.freeze({ level: levelOf(user, labels), user, ...labels })
  }

  return {
    authenticate,
    findUser: request => callerOf(read(request), request)?.user ?? null,
    verify: token => proven(token).user
  }
}

/**
 * What the one carrier of a request holds, as it is remembered once its token has proven itself: nothing of it need be
 * read again. Only `Authorization` says `Bearer`; other spellings, and two carriers, are read each time.
 */
function usualText ([authorization = null, header = null]: Presented): string | null {
  const text = header === null ? authorization : authorization === null ? header : null
  return text !== null && text.startsWith(bearer) === (header === null) ? text : null
}

/** The highest that the credentials reach. */
function levelOf (user: User | null, { application, master }: Pick<Auth, 'application' | 'master'>): Auth['level'] {
  if (master !== null) return 'admin'
  if (user !== null) return user.level
  return application === null ? 'everyone' : 'application'
}
