import { randomUUID } from 'node:crypto'
import type { FastifyBaseLogger, FastifyRequest } from 'fastify'
import { errors } from '../errors.js'
import type { AuthorizationAnswer, AuthorizationGrant, GrantType, Identity } from '../identity.js'
import type { GuardedLookup } from '../permissions/lookup.js'
import type { GrantedPermissions } from '../permissions/permissions.js'
import type { Issuer, TokenAnswer } from '../tokens/issuer.js'
import type { SingleUse, SingleUsePolicy } from './single-use.js'
import type { Redirection, Verification, Verified } from './verification.js'

/** One provider of this server, as the exchange sees it. */
export interface ExchangeProvider extends SingleUsePolicy {
  readonly accepts: readonly GrantType[]
  readonly verify: Verification
  /** Null where there is no login by redirect. */
  readonly redirection: Redirection | null
}

/** A user whom the provider has vouched for and the lookup has let in; nothing is issued yet. */
export interface Proven { identity: Identity, granted: GrantedPermissions }

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
  /** The same checks and lookup for a browser that came back from the provider. */
  redeem (provider: ExchangeProvider, answer: AuthorizationAnswer, request: FastifyRequest): Promise<Proven>
  /** Answers with an access token. */
  issue (proven: Proven, request: FastifyRequest): Promise<TokenAnswer>
}

export function createExchange ({ providers, lookup, issue, singleUse }: ExchangeParts): Exchange {
  function provider (name: string): ExchangeProvider {
    const found = providers.get(name)
    if (found === undefined) throw new errors.ProviderUnknownError()
    return found
  }

  async function login (provider: ExchangeProvider, grant: AuthorizationGrant, request: FastifyRequest): Promise<TokenAnswer> {
    singleUse.admit(provider, grant)
    const proven = await admit(await provider.verify(grant, request.log), request)
    const answer = mint(proven, request.log)
    await singleUse.spend(provider, grant, proven.identity)
    return answer
  }

  async function redeem (provider: ExchangeProvider, answer: AuthorizationAnswer, request: FastifyRequest): Promise<Proven> {
    if (provider.redirection === null) throw new errors.ProviderUnknownError('no login by redirect')
    const grant: AuthorizationGrant = { type: 'authorization_code', token: answer.code, nonce: answer.nonce }
    singleUse.admit(provider, grant)
    const proven = await admit(await provider.redirection.redeem(answer, request.log), request)
    await singleUse.spend(provider, grant, proven.identity)
    return proven
  }

  async function admit ({ identity, providerTokens }: Verified, request: FastifyRequest): Promise<Proven> {
    return { identity, granted: await lookup(identity, { request, reason: 'login', providerTokens }) }
  }

  function mint ({ identity, granted }: Proven, log: FastifyBaseLogger): TokenAnswer {
    try {
      const userId = granted.userId ?? `${identity.provider}:${identity.subject}`
      return issue({ userId, granted, vouched: identity, tokenId: randomUUID() })
    } catch (thrown) {
      // Too much for one token: the application's answer was junk.
      log.error({ err: thrown }, 'the access token cannot be issued')
      throw new errors.LookupFailedError(undefined, { cause: thrown })
    }
  }

  return { provider, login, redeem, issue: async (proven, request) => mint(proven, request.log) }
}
