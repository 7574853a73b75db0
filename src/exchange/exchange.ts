import { randomUUID } from 'node:crypto'
import type { FastifyBaseLogger, FastifyRequest } from 'fastify'
import { errors } from '../errors.js'
import type { AuthorizationGrant, GrantType, Identity } from '../identity.js'
import type { GuardedLookup } from '../permissions/lookup.js'
import type { GrantedPermissions } from '../permissions/permissions.js'
import type { Issuer, TokenAnswer } from '../tokens/issuer.js'
import type { SingleUse, SingleUsePolicy } from './single-use.js'
import type { Verification } from './verification.js'

/** One provider of this server, as the exchange sees it. */
export interface ExchangeProvider extends SingleUsePolicy {
  readonly accepts: readonly GrantType[]
  readonly verify: Verification
}

export interface ExchangeParts {
  providers: ReadonlyMap<string, ExchangeProvider>
  lookup: GuardedLookup
  issue: Issuer
  singleUse: SingleUse
}

/** The main job: a provider's token for one of ours. */
export interface Exchange {
  /** @throws errors.ProviderUnknownError */
  provider (name: string): ExchangeProvider
  /** Verifies the grant, asks what its identity may do here, and answers with an access token. */
  login (provider: ExchangeProvider, grant: AuthorizationGrant, request: FastifyRequest): Promise<TokenAnswer>
}

export function createExchange ({ providers, lookup, issue, singleUse }: ExchangeParts): Exchange {
  function provider (name: string): ExchangeProvider {
    const found = providers.get(name)
    if (found === undefined) throw new errors.ProviderUnknownError()
    return found
  }

  async function login (provider: ExchangeProvider, grant: AuthorizationGrant, request: FastifyRequest): Promise<TokenAnswer> {
    singleUse.admit(provider, grant)
    const { identity, providerTokens } = await provider.verify(grant, request.log)
    const granted = await lookup(identity, { request, reason: 'login', providerTokens })
    const answer = mint(identity, granted, request.log)
    await singleUse.spend(provider, grant, identity)
    return answer
  }

  function mint (identity: Identity, granted: GrantedPermissions, log: FastifyBaseLogger): TokenAnswer {
    try {
      const userId = granted.userId ?? `${identity.provider}:${identity.subject}`
      return issue({ userId, granted, vouched: identity, tokenId: randomUUID() })
    } catch (thrown) {
      // Too much for one token: the application's answer was junk.
      log.error({ err: thrown }, 'the access token cannot be issued')
      throw new errors.LookupFailedError(undefined, { cause: thrown })
    }
  }

  return { provider, login }
}
