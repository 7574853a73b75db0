import { errors } from '../errors.js'
import { hasExpired, type User } from '../tokens/claims.js'
import type { Sessions } from '../sessions/sessions.js'
import type { Verifier } from '../tokens/verifier.js'
import type { Credentials } from './credentials.js'
import type { Auth, UserAuth } from './decide.js'
import type { KeyMatcher } from './keys.js'
import { createWarmTokens } from './warm-tokens.js'

const nobody: Auth = Object.freeze({ level: 'everyone', user: null, application: null, master: null })

/** The caller of a request, by its credentials. Synchronous. */
export interface Authenticator {
  /** @throws errors.TokenInvalidError, errors.TokenExpiredError, errors.TokenRevokedError */
  authenticate (credentials: Credentials): Auth
  /** The user of an access token. @throws as `authenticate` */
  verify (token: string): User
}

export interface AuthenticatorParts {
  verify: Verifier
  /** Seconds. */
  tolerance: number
  /** Null where nothing can be revoked. */
  sessions: Pick<Sessions, 'check' | 'seen'> | null
  matchApplication: KeyMatcher
  matchMaster: KeyMatcher
}

export function createAuthenticator ({
  verify,
  tolerance,
  sessions,
  matchApplication,
  matchMaster
}: AuthenticatorParts): Authenticator {
  const warm = createWarmTokens()

  function authenticate ({ token, applicationKey, masterKey }: Credentials): Auth {
    const caller = token === null ? nobody : callerOf(token)
    if (applicationKey === null && masterKey === null) return caller
    return withKeys(
      caller.user,
      applicationKey === null ? null : matchApplication(applicationKey),
      masterKey === null ? null : matchMaster(masterKey)
    )
  }

  function callerOf (token: string): UserAuth {
    const caller = warm.get(token) ?? prove(token)
    if (hasExpired(caller.user.expiresAt, tolerance, Date.now() / 1000)) {
      warm.delete(token)
      throw new errors.TokenExpiredError()
    }
    sessions?.check(caller.user)
    return caller
  }

  function prove (token: string): UserAuth {
    const user = verify(token)
    const caller: UserAuth = Object.freeze({ level: user.level, user, application: null, master: null })
    warm.set(token, caller)
    sessions?.seen(user)
    return caller
  }

  return { authenticate, verify: token => callerOf(token).user }
}

function withKeys (user: User | null, application: string | null, master: string | null): Auth {
  const level = master !== null ? 'admin' : user?.level ?? (application !== null ? 'application' : 'everyone')
  return Object.freeze({ level, user, application, master })
}
