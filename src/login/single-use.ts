import { createHash, randomBytes } from 'node:crypto'
import { errors, rejected } from '../errors.js'
import type { AuthorizationGrant, Identity, IdentityProvider } from '../identity.js'
import { readStamp, writeStamp, type KeyMaterial } from '../key-material.js'
import type { SpentKey } from '../sessions/store.js'

/** What an app puts into its login at the provider, so that the ID token is good for this one login only. */
export interface NonceAnswer {
  nonce: string
  /** Seconds. */
  expires_in: number
}

/** What a provider says about using a grant once. */
export type SingleUsePolicy = Pick<IdentityProvider, 'nonce' | 'replay'>

/**
 * Sees to it that what may be used once is used once: nonces of this server, and ID tokens.
 * What a login uses up is a list of keys. It is made on the way, and spent last: an outage spends nothing.
 */
export interface SingleUse {
  /** A nonce with its own expiry and proof: every server of these keys knows it; stored is only a spent one. */
  issueNonce (): NonceAnswer
  /** The nonce that a login uses up. @throws errors.GrantRejectedError where one of ours is asked for and missing */
  nonceKeys (policy: SingleUsePolicy, grant: AuthorizationGrant): readonly SpentKey[]
  /** The ID token that it uses up. @throws errors.ProviderUnavailableError for one without a name */
  tokenKeys (policy: SingleUsePolicy, grant: AuthorizationGrant, identity: Identity): readonly SpentKey[]
  /** Spends all of them in one atomic step, or none. @throws errors.GrantRejectedError if one had been spent */
  spend (keys: readonly SpentKey[]): Promise<void>
}

/** Seconds. */
const nonceLifetime = 600

/** @param spend spends all keys in one atomic step, or none of them and answers false */
export function createSingleUse (
  material: KeyMaterial,
  spend: (keys: readonly SpentKey[]) => Promise<boolean>
): SingleUse {
  const keys = material.keysFor('nonce')

  function issueNonce (): NonceAnswer {
    const [key] = keys
    if (key === undefined) throw new errors.OptionInvalidError('keys holds none that can sign')
    const expiresAt = Math.floor(Date.now() / 1000) + nonceLifetime
    return { nonce: writeStamp({ id: randomBytes(16), number: expiresAt }, key, 20), expires_in: nonceLifetime }
  }

  function nonceKeys ({ nonce: policy }: SingleUsePolicy, { nonce }: AuthorizationGrant): readonly SpentKey[] {
    if (policy !== 'required') return []
    if (nonce === undefined) throw rejected('nonce', 'the nonce is missing')
    const stamp = readStamp(nonce, keys, 20)
    if (stamp === null) throw rejected('nonce', 'the nonce is none of this server')
    const expiresAt = stamp.number * 1000
    if (expiresAt <= Date.now()) throw rejected('nonce', 'the nonce has expired')
    return [{ key: `nonce ${nonce}`, expiresAt }]
  }

  return {
    issueNonce,
    nonceKeys,
    tokenKeys,
    async spend (spent) {
      if (spent.length > 0 && !(await spend(spent))) {
        throw rejected('replay', 'the nonce or the token was used before')
      }
    }
  }
}

// How long after `exp` a verifier may still accept a token, and how long one without `exp` is remembered. Seconds.
const tolerance = 60
const longestUse = 24 * 3600

/** By the claims of a token, never by its text, which has many spellings. */
function tokenKeys (
  { replay }: SingleUsePolicy,
  { type }: AuthorizationGrant,
  { provider, claims }: Identity
): readonly SpentKey[] {
  if (replay !== 'refuse') return []
  const name = nameOf(provider, claims)
  if (name === null && type === 'id_token') {
    throw new errors.ProviderUnavailableError("replay: 'refuse' needs claims with jti, or sub and iat")
  }
  // What has no name is no ID token.
  if (name === null) return []
  const { exp } = claims
  const until = typeof exp === 'number' && Number.isFinite(exp) ? exp : Date.now() / 1000 + longestUse
  const digest = createHash('sha256').update(JSON.stringify(name)).digest('base64url')
  return [{ key: `token ${digest}`, expiresAt: Math.ceil((until + tolerance) * 1000) }]
}

/** `jti`; else issuer, subject and `iat`, with the audience: a user may have two tokens at once, for two of them. */
function nameOf (provider: string, claims: Identity['claims']): unknown[] | null {
  const { iss = provider, sub, iat, aud = null, jti } = claims
  if (typeof jti === 'string' && jti !== '') return [iss, 'jti', jti]
  return iat !== undefined && sub !== undefined ? [iss, sub, iat, aud] : null
}
