import type { FastifyRequest } from 'fastify'
import type { Proofs } from '../dpop/proofs.js'
import type { User } from '../permissions/user.js'
import { bearers, type CallerParts } from './bearers.js'
import type { CredentialKinds } from './credentials.js'
import type { Auth } from './decide.js'
import { holders } from './holders.js'
import { createHeaderReader, type Presented } from './presented.js'

const nobody: Auth = Object.freeze({ level: 'everyone', user: null, application: null, master: null })

/** The caller of a request, by its credentials. Synchronous. */
export interface Authenticator {
  /**
   * @throws errors.RequestInvalidError, errors.TokenInvalidError, errors.TokenExpiredError, errors.TokenRevokedError
   * @throws ProofRefused, errors.OverloadedError for a bound token
   * @throws errors.ApplicationInvalidError
   */
  authenticate (request: FastifyRequest): Auth
  /** The user whose token a request carries; null without one. @throws as `authenticate` */
  findUser (request: FastifyRequest): User | null
  /** The user of an access token that is good for whoever has it. @throws as `authenticate` */
  verify (token: string): User
  /** The user of an access token of this server, whoever has it. @throws as `authenticate` */
  identify (token: string): User
}

export interface AuthenticatorParts extends CallerParts {
  kinds: CredentialKinds
  /** Null where no token is bound to a key. */
  proofs: Pick<Proofs, 'check'> | null
}

export function createAuthenticator (parts: AuthenticatorParts): Authenticator {
  const { kinds: { token: tokenKind, keys }, proofs, verify, sessions } = parts
  const callers = proofs === null ? bearers(tokenKind, parts) : holders(tokenKind, proofs, parts)
  const read = createHeaderReader([...tokenKind.headers, ...keys.map(({ header }) => header)])
  const firstKey = tokenKind.headers.length

  function authenticate (request: FastifyRequest): Auth {
    const presented = read(request)
    const caller = callers.find(presented, request) ?? nobody
    for (let i = firstKey; i < presented.length; i++) if (presented[i]) return withKeys(caller.user, presented, request)
    return caller
  }

  function withKeys (user: User | null, presented: Presented, request: FastifyRequest): Auth {
    const labels: { application: string | null, master: string | null } = { application: null, master: null }
    for (const [index, { proves, prove }] of keys.entries()) {
      const value = presented[firstKey + index]
      // Each of them, the first one's label: a bad attestation is refused beside a good one too.
      const label = value ? prove(value, request) : null
      labels[proves] ??= label
    }
    return Object.freeze({ level: levelOf(user, labels), user, ...labels })
  }

  function identify (token: string): User {
    const { user } = verify(token)
    sessions?.check(user)
    return user
  }

  return {
    authenticate,
    findUser: request => callers.find(read(request), request)?.user ?? null,
    verify: callers.verify,
    identify
  }
}

/** The highest that the credentials reach. */
function levelOf (user: User | null, { application, master }: Pick<Auth, 'application' | 'master'>): Auth['level'] {
  if (master !== null) return 'admin'
  if (user !== null) return user.level
  return application === null ? 'everyone' : 'application'
}
