import type { FastifyBaseLogger, FastifyRequest } from 'fastify'
import { codeOf, errors } from '../errors.js'
import type { AuthorizationAnswer, AuthorizationGrant, GrantType } from '../identity.js'
import type { GuardedLookup } from '../permissions/lookup.js'
import type { Sessions } from '../sessions/sessions.js'
import type { TokenAnswer } from '../tokens/issuer.js'
import { userIdOf, type Mint, type Proven } from './mint.js'
import type { SingleUse, SingleUsePolicy } from './single-use.js'
import type { Caller, Redirection, Verification } from './ask-provider.js'
import type { Verified } from './verified-identity.js'

export type { Proven } from './mint.js'

/** One provider of this server, as the exchange sees it. */
export interface ExchangeProvider extends SingleUsePolicy {
  readonly accepts: readonly GrantType[]
  readonly verify: Verification
  /** Null where there is no login by redirect. */
  readonly redirection: Redirection | null
}

/** One that browsers can be sent to. */
export interface RedirectProvider extends SingleUsePolicy { readonly redirection: Redirection }

export interface ExchangeParts {
  providers: ReadonlyMap<string, ExchangeProvider>
  lookup: GuardedLookup
  mint: Mint
  /** Null where logins start no session. */
  sessions: Pick<Sessions, 'start' | 'revokeSession'> | null
  singleUse: SingleUse
}

/** The main job: a provider's token for one of ours. */
export interface Exchange {
  /** @throws errors.ProviderUnknownError */
  provider (name: string): ExchangeProvider
  /** Verifies the grant, asks what its identity may do here, and answers with an access token. */
  login (provider: ExchangeProvider, grant: AuthorizationGrant, request: FastifyRequest): Promise<TokenAnswer>
  /** The same checks of a browser that came back from the provider; its nonce is spent, as its code is. */
  redeem (provider: RedirectProvider, answer: AuthorizationAnswer, caller: Caller): Promise<Verified>
  /** Asks what an identity may do here. */
  admit (verified: Verified, request: FastifyRequest): Promise<Proven>
  /** Answers with an access token. */
  issue (proven: Proven, request: FastifyRequest): Promise<TokenAnswer>
}

export function createExchange ({ providers, lookup, mint, sessions, singleUse }: ExchangeParts): Exchange {
  function provider (name: string): ExchangeProvider {
    const found = providers.get(name)
    if (found === undefined) throw new errors.ProviderUnknownError()
    return found
  }

  async function login (
    provider: ExchangeProvider,
    grant: AuthorizationGrant,
    request: FastifyRequest
  ): Promise<TokenAnswer> {
    singleUse.admit(provider, grant)
    const proven = await admit(await provider.verify(grant, request), request)
    return await begin(proven, request.log, async () => await singleUse.spend(provider, grant, proven.identity))
  }

  async function redeem (
    provider: RedirectProvider,
    answer: AuthorizationAnswer,
    caller: Caller
  ): Promise<Verified> {
    const grant: AuthorizationGrant = { type: 'authorization_code', token: answer.code, nonce: answer.nonce }
    singleUse.admit(provider, grant)
    const verified = await provider.redirection.redeem(answer, caller)
    await singleUse.spend(provider, grant, verified.identity)
    return verified
  }

  async function admit ({ identity, providerTokens }: Verified, request: FastifyRequest): Promise<Proven> {
    return { identity, granted: await lookup(identity, { request, reason: 'login', providerTokens }) }
  }

  // The session before the nonce is spent, because an outage spends nothing. One that nobody was given ends at once;
  // if its store has gone nobody waits for that, and it may stay behind, unused, until it expires.
  async function begin (proven: Proven, log: FastifyBaseLogger, last: () => Promise<void>): Promise<TokenAnswer> {
    const session = sessions === null ? null : await sessions.start(proven.identity, userIdOf(proven))
    try {
      const answer = mint(proven, session, log)
      await last()
      return answer
    } catch (error) {
      const ended = session === null ? undefined : sessions?.revokeSession(session.sessionId).catch(() => {})
      if (codeOf(error) !== errors.StoreUnavailableError.code) await ended
      throw error
    }
  }

  return { provider, login, redeem, admit, issue: (proven, request) => begin(proven, request.log, async () => {}) }
}
