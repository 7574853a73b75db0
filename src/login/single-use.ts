import { createHash } from 'node:crypto'
import { errors } from '../errors.js'
import type { AuthorizationGrant, Identity, IdentityProvider } from '../identity.js'
import type { SpentKey } from '../sessions/store.js'
import type { Nonces } from './nonces.js'

/** Spends all keys in one atomic step, or none of them and answers false: one had been spent. */
export type Spend = (keys: readonly SpentKey[]) => Promise<boolean>

/** What a provider says about using a grant once. */
export type SingleUsePolicy = Pick<IdentityProvider, 'nonce' | 'replay'>

/** Sees to it that what may be used once is used once: nonces of this server, and ID tokens. */
export interface SingleUse {
  /** Before the provider is asked. @throws errors.GrantRejectedError when a nonce is asked for and there is none of ours */
  admit (policy: SingleUsePolicy, grant: AuthorizationGrant): void
  /** After all that could fail has succeeded: an outage spends nothing. @throws errors.GrantRejectedError for the second use */
  spend (policy: SingleUsePolicy, grant: AuthorizationGrant, identity: Identity): Promise<void>
}

export function createSingleUse (nonces: Nonces, spend: Spend): SingleUse {
  function nonceKeys ({ nonce: policy }: SingleUsePolicy, { nonce }: AuthorizationGrant): SpentKey[] {
    if (policy !== 'required') return []
    if (nonce === undefined) throw new errors.GrantRejectedError('the nonce is missing')
    return [{ key: `nonce ${nonce}`, expiresAt: nonces.expiryOf(nonce) }]
  }

  return {
    admit (policy, grant) {
      nonceKeys(policy, grant)
    },

    async spend (policy, grant, identity) {
      const keys = [...nonceKeys(policy, grant), ...tokenKeys(policy, grant, identity)]
      if (keys.length > 0 && !(await spend(keys))) {
        throw new errors.GrantRejectedError('the nonce or the token was used before')
      }
    }
  }
}

// How long after `exp` a verifier may still accept a token, and how long one without `exp` is remembered. Seconds.
const tolerance = 60
const longestUse = 24 * 3600

/**
 * By its claims, never by its text, which has many spellings: `jti`, or issuer, subject and `iat`, of which a user may
 * have two at once for two audiences.
 * What says neither is no ID token; a provider that wants it used once cannot have that.
 */
function tokenKeys (
  { replay }: SingleUsePolicy,
  { type }: AuthorizationGrant,
  { provider, claims }: Identity
): SpentKey[] {
  if (replay !== 'refuse') return []
  const { iss = provider, sub, iat, aud = null, jti, exp } = claims
  const name =
    typeof jti === 'string' && jti !== ''
      ? [iss, 'jti', jti]
      : iat !== undefined && sub !== undefined
        ? [iss, sub, iat, aud]
        : null
  if (name === null) {
    if (type === 'id_token') {
      throw new errors.ProviderUnavailableError("replay: 'refuse' needs claims with jti, or sub and iat")
    }
    return []
  }
  const until = typeof exp === 'number' && Number.isFinite(exp) ? exp : Date.now() / 1000 + longestUse
  return [
    {
      key: `token ${createHash('sha256').update(JSON.stringify(name)).digest('base64url')}`,
      expiresAt: Math.ceil((until + tolerance) * 1000)
    }
  ]
}
