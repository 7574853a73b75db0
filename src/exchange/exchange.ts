import { randomUUID } from 'node:crypto'
import type { FastifyBaseLogger, FastifyRequest } from 'fastify'
import { errors } from '../errors.js'
import type { AuthorizationGrant, GrantType, Identity } from '../identity.js'
import type { GuardedLookup } from '../permissions/lookup.js'
import type { GrantedPermissions } from '../permissions/permissions.js'
import type { Issuer, TokenAnswer } from '../tokens/issuer.js'
import type { Verification } from './verification.js'

/** One provider of this server, as the exchange sees it. */
export interface ExchangeProvider {
  readonly accepts: readonly GrantType[]
  readonly verify: Verification
}

export interface ExchangeParts {
  providers: ReadonlyMap<string, ExchangeProvider>
  lookup: GuardedLookup
  issue: Issuer
}

/** The main job: a provider's token for one of ours. */
export interface Exchange {
  /** @throws errors.ProviderUnknownError */
  provider (name: string): ExchangeProvider
  /** Verifies the grant, asks what its identity may do here, and answers with an access token. */
  login (provider: ExchangeProvider, grant: AuthorizationGrant, request: FastifyRequest): Promise<TokenAnswer>
}

export function createExchange ({ providers, lookup, issue }: ExchangeParts): Exchange {
  function provider (name: string): ExchangeProvider {
    const found = providers.get(name)
    if (found === undefined) throw new errors.ProviderUnknownError()
    return found
  }

  async function login ({ verify }: ExchangeProvider, grant: AuthorizationGrant, request: FastifyRequest): Promise<TokenAnswer> {
    const { identity, providerTokens } = await verify(grant, request.log)
    const granted = await lookup(identity, { request, reason: 'login', providerTokens })
    return mint(identity, granted, request.log)
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
