import { errors } from '../errors.js'
import type { IdentityProvider, ProviderTokens, VerifiedIdentity } from '../identity.js'
import { createKeySet } from '../http/key-set.js'
import { exchangeAppleCode, readAppleKey, revokeAppleToken } from './apple-token.js'
import { configuration, ID_TOKEN_OPTIONS, type IdTokenOptions } from './configuration.js'
import { entering } from './define.js'
import { idTokenProvider } from './id-token-provider.js'
import { textOrNull } from './openid-claims.js'

export interface AppleOptions extends IdTokenOptions {
  clientIds: readonly string[] // bundle ids and service ids together
  /** With `keyId` and `privateKey` (PEM): authorization codes and `revoke`. All three or none. */
  teamId?: string
  keyId?: string
  privateKey?: string
  /** @default { jwks: 'https://appleid.apple.com/auth/keys', token: '…/auth/token', revoke: '…/auth/revoke' } */
  endpoints?: { jwks?: string, token?: string, revoke?: string }
}

export interface AppleProvider extends IdentityProvider {
  /** Ends the user's authorization at Apple, for account deletion. @throws errors.ProviderUnavailableError, errors.OptionInvalidError without a token */
  revoke (refreshToken: string): Promise<void>
}

const HOST = 'https://appleid.apple.com'
const ENDPOINTS = { jwks: `${HOST}/auth/keys`, token: `${HOST}/auth/token`, revoke: `${HOST}/auth/revoke` }
const KEY = ['teamId', 'keyId', 'privateKey']

/**
 * Sign in with Apple: ID tokens; authorization codes with the team's key.
 *
 * Deviation: no discovery, its issuer changed overnight on 2025-06-11; both are taken. Truth values may be strings. The
 * user's name reaches the app once and unverified, so it is not part of the identity.
 * @throws errors.OptionInvalidError
 * @see https://developer.apple.com/documentation/signinwithapple/verifying-a-user
 */
export function apple (options: AppleOptions): AppleProvider {
  const given = configuration('apple', options, ['clientIds', ...KEY, ...ID_TOKEN_OPTIONS], ENDPOINTS)
  const key = KEY.some(given.has)
    ? readAppleKey(given.text('teamId'), given.text('keyId'), given.text('privateKey'))
    : undefined
  const { endpoints: { token, revoke, jwks }, nonce, replay } = given
  const clientIds = given.list('clientIds')
  const issuers = [HOST, 'https://account.apple.com']
  const idTokens = idTokenProvider({
    algorithms: ['RS256'],
    issuers,
    clientIds,
    nonce,
    replay,
    keys: createKeySet(jwks)
  })
  return entering({
    ...idTokens,
    accepts: key === undefined ? ['id_token'] : ['id_token', 'authorization_code'],
    async verify (grant, context): Promise<VerifiedIdentity & { providerTokens?: ProviderTokens }> {
      if (grant.type !== 'authorization_code' || key === undefined) return await idTokens.verify(grant, context)
      const answer = await exchangeAppleCode(token, key, clientIds, grant, context)
      const idToken = textOrNull(answer.id_token)
      if (idToken === null) throw new errors.ProviderUnavailableError('token endpoint: no ID token')
      const identity = await idTokens.verify({ ...grant, type: 'id_token', token: idToken }, context)
      const refreshToken = textOrNull(answer.refresh_token)
      return refreshToken === null
        ? identity
        : Object.defineProperty(identity, 'providerTokens', { value: Object.freeze({ refreshToken }) })
    },
    async revoke (refreshToken) {
      if (key === undefined) throw new errors.OptionInvalidError('apple.revoke needs teamId, keyId and privateKey')
      await revokeAppleToken(revoke, key, clientIds, refreshToken)
    }
  })
}
