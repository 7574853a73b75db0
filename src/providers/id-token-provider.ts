import { errors } from '../errors.js'
import type { IdentityProvider, ReplayPolicy, VerifiedIdentity } from '../identity.js'
import { entering } from './define.js'
import { verifyIdToken, type IdTokenRules, type VerifiedIdToken } from './id-token.js'
import { codeFlow, type CodeClient } from '../redirect/code-flow.js'
import { standardProfile } from './openid-claims.js'
import type { RedirectSettings } from './redirect.js'

/** A provider that takes ID tokens and nothing else: its rules, and what differs from OpenID Connect in what they say. */
export interface IdTokenProvider extends IdTokenRules {
  replay: ReplayPolicy
  /** @default the standard claims of OpenID Connect */
  identity?: (token: VerifiedIdToken) => VerifiedIdentity
}

export function idTokenProvider ({ identity = standardIdentity, replay, ...rules }: IdTokenProvider): IdentityProvider {
  return entering({
    accepts: ['id_token'],
    nonce: rules.nonce,
    replay,
    async verify (grant, context) {
      if (grant.type !== 'id_token') throw new errors.GrantRejectedError('kind')
      return identity(await verifyIdToken(rules, grant, context))
    }
  })
}

/** The same provider with logins by redirect: the ID token that comes back passes the same rules. */
export function withRedirect (
  provider: IdentityProvider,
  redirect: RedirectSettings | null,
  server: CodeClient['server']
): IdentityProvider {
  if (redirect === null) return provider
  const flow = codeFlow({ ...redirect, openid: true, server }, async ({ idToken, nonce }, context) => {
    if (idToken === null) throw new errors.ProviderUnavailableError('token endpoint: no ID token')
    return await provider.verify({ type: 'id_token', token: idToken, nonce }, context)
  })
  return entering({ ...provider, ...flow })
}

export function standardIdentity ({ claims, clientId }: VerifiedIdToken): VerifiedIdentity {
  return { subject: String(claims.sub), clientId, ...standardProfile(claims) }
}
