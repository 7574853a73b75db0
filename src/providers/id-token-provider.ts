import { errors } from '../errors.js'
import type { IdentityProvider, ReplayPolicy, VerifiedIdentity } from '../identity.js'
import { verifyIdToken, type IdTokenRules, type VerifiedIdToken } from './id-token.js'
import { standardProfile } from './openid-claims.js'

/** A provider that takes ID tokens and nothing else: its rules, and what differs from OpenID Connect in what they say. */
export interface IdTokenProvider extends IdTokenRules {
  replay: ReplayPolicy
  /** @default the standard claims of OpenID Connect */
  identity?: (token: VerifiedIdToken) => VerifiedIdentity
}

export function idTokenProvider ({ identity = standardIdentity, replay, ...rules }: IdTokenProvider): IdentityProvider {
  return {
    accepts: ['id_token'],
    nonce: rules.nonce,
    replay,
    async verify (grant, { signal }) {
      if (grant.type !== 'id_token') throw new errors.GrantRejectedError('kind')
      return identity(await verifyIdToken(rules, grant, signal))
    }
  }
}

export function standardIdentity ({ claims, clientId }: VerifiedIdToken): VerifiedIdentity {
  return { subject: String(claims.sub), clientId, ...standardProfile(claims) }
}
