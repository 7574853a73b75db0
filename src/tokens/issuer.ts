import { errors } from '../errors.js'
import { writeClaims, type ClaimRules, type Grantee } from './claims.js'
import type { Signatures } from './signatures.js'

/** What a client is told after a login: RFC 6749, 5.1, and the members that mobile SDKs of the original read. */
export interface TokenAnswer {
  access_token: string
  /** `DPoP` for one that is bound to the client's key (RFC 9449, 5). */
  token_type: 'Bearer' | 'DPoP'
  /** Seconds. */
  expires_in: number
  user: { userId: string, provider: string | null, level: 'authenticated' | 'admin', permissions: readonly string[] }
  /** The same access token. */
  authenticationToken: string
  refresh_token?: string
}

/** Mints access tokens. */
export type Issuer = (grantee: Grantee) => TokenAnswer

/** Servers and proxies refuse requests whose headers exceed 8 to 16 KiB; a token must leave room for the rest. */
export const longestToken = 8192

/**
 * @throws errors.OptionInvalidError when no key can sign, or the token would be longer than 8 KiB
 */
export function createIssuer (signatures: readonly Signatures[], rules: ClaimRules): Issuer {
  const sign = signatures.find(({ sign }) => sign !== null)?.sign ?? null
  return grantee => {
    if (sign === null) throw new errors.OptionInvalidError('keys holds none that can sign')
    const token = sign(writeClaims(grantee, rules, Math.floor(Date.now() / 1000)))
    if (token.length > longestToken) {
      throw new errors.OptionInvalidError(
        `the access token would be longer than ${longestToken} bytes: fewer permissions or claims`
      )
    }
    return answer(token, grantee, rules.lifetime)
  }
}

function answer (token: string, { userId, granted, vouched, jkt }: Grantee, lifetime: number): TokenAnswer {
  return {
    access_token: token,
    token_type: jkt === undefined ? 'Bearer' : 'DPoP',
    expires_in: lifetime,
    user: { userId, provider: vouched?.provider ?? null, level: granted.level, permissions: granted.permissions },
    authenticationToken: token
  }
}
