import { randomUUID } from 'node:crypto'
import { errors } from './errors.js'
import type { Authenticator } from './guards/authenticate.js'
import { readPermissions, type Permissions } from './permissions/permissions.js'
import type { User } from './tokens/claims.js'
import type { Issuer, TokenAnswer } from './tokens/issuer.js'

/** `app.tokenExchange`: access tokens for the application's own code. */
export interface TokenExchange {
  /**
   * The user of an access token, as a guard would see it.
   *
   * @throws errors.TokenInvalidError, errors.TokenExpiredError, errors.TokenRevokedError
   */
  verify (token: string): User
  /**
   * Issues an access token for a login that the application did itself, or for a test. It names no provider and
   * starts no session.
   *
   * @throws errors.OptionInvalidError for an empty `userId`, an unknown level, a reserved claim, or no key to sign with
   */
  issue (grantee: Permissions & { userId: string }): TokenAnswer
}

export function createAdministration (authenticator: Authenticator, issue: Issuer): TokenExchange {
  return Object.freeze({
    verify (token: unknown): User {
      if (typeof token !== 'string') throw new errors.TokenInvalidError('no string')
      return authenticator.verify(token)
    },

    issue (grantee: unknown): TokenAnswer {
      const granted = readPermissions(grantee)
      if (granted.userId === null) throw new errors.OptionInvalidError('userId must be a non-empty string')
      return issue({ userId: granted.userId, granted, tokenId: randomUUID() })
    }
  })
}
