import { randomUUID } from 'node:crypto'
import type { FastifyBaseLogger, FastifyRequest } from 'fastify'
import { codeOf, errors } from '../errors.js'
import { isId, type AuthorizationAnswer, type AuthorizationGrant, type Identity } from '../identity.js'
import type { GuardedLookup } from '../permissions/lookup.js'
import type { GrantedPermissions } from '../permissions/permissions.js'
import type { AccessGrant, SessionGrant } from '../sessions/chain.js'
import type { Sessions } from '../sessions/sessions.js'
import { authenticationOf } from '../tokens/authentication.js'
import type { User } from '../permissions/user.js'
import type { Issuer, TokenAnswer } from '../tokens/issuer.js'
import type { Redemption } from './authorization-codes.js'
import type { ExchangeProvider, RedirectProvider } from './ask-provider.js'
import type { Caller } from './inquiry.js'
import type { LoggedIn, LoginEvents } from './login-events.js'
import type { Possession } from './possession.js'
import type { SingleUse } from './single-use.js'
import type { Verified, Vouched } from './verified-identity.js'

/** A user whom the provider has vouched for and the lookup has let in; nothing is issued yet. */
export interface Proven { identity: Identity, granted: GrantedPermissions }

/** Somebody proven, and when the login began. */
export interface ProvenLogin extends Proven { mark: number }

/** How a login ends: what it uses up, and for which OAuth client its tokens are. */
interface Conclusion {
  clientId?: string | undefined
  /** The key that its tokens are bound to. */
  jkt: string | null
  /** The last step that may refuse it. @param sessionId that it began */
  conclude (sessionId: string | null): Promise<void>
}

export interface ExchangeParts {
  events: LoginEvents
  providers: ReadonlyMap<string, ExchangeProvider>
  lookup: GuardedLookup
  mint: Mint
  /** Null where logins start no session. */
  sessions: Pick<Sessions, 'mark' | 'begin' | 'confirm' | 'evict' | 'discard'> | null
  singleUse: SingleUse
  possession: Possession
}

/** The main job: a provider's token for one of ours. */
export interface Exchange {
  /** @throws errors.ProviderUnknownError */
  provider (name: string): ExchangeProvider
  /**
   * Verifies the grant, asks what its identity may do here, and answers with an access token.
   *
   * @param user to whose account the identity is to be linked
   */
  login (
    provider: ExchangeProvider,
    grant: AuthorizationGrant,
    request: FastifyRequest,
    user: User | null
  ): Promise<TokenAnswer>
  /** The same for an identity that the application has verified itself. */
  loginAs (verified: Verified, request: FastifyRequest, user: User | null): Promise<TokenAnswer>
  /** The same checks of a browser that came back from the provider; its nonce is spent, as its code is. */
  redeem (provider: RedirectProvider, answer: AuthorizationAnswer, caller: Caller): Promise<Vouched>
  /** Asks what an identity may do here. */
  admit (vouched: Vouched, request: FastifyRequest, user?: User | null): Promise<ProvenLogin>
  /** The login that an authorization code of ours stands for, by a client of ours. */
  redeemed (redemption: Redemption, by: CodeHolder, request: FastifyRequest): Promise<TokenAnswer>
  /** Answers with an access token. */
  issue (proven: ProvenLogin, request: FastifyRequest): Promise<TokenAnswer>
}

/** Who redeems a code: a client of ours, and the key that it has proven to hold. */
export interface CodeHolder { clientId: string, jkt: string | null }

export function createExchange (parts: ExchangeParts): Exchange {
  const { events, providers, lookup, mint, sessions, singleUse, possession } = parts

  function provider (name: string): ExchangeProvider {
    const found = providers.get(name)
    if (found === undefined) throw new errors.ProviderUnknownError()
    return found
  }

  async function login (
    provider: ExchangeProvider,
    grant: AuthorizationGrant,
    request: FastifyRequest,
    user: User | null
  ): Promise<TokenAnswer> {
    return await events.observe(provider.name, request, async () => {
      const jkt = possession.keyOfLogin(request)
      const nonce = singleUse.nonceKeys(provider, grant)
      const mark = begun()
      const proven = await admit({ ...await provider.verify(grant, request), mark }, request, user)
      const token = singleUse.tokenKeys(provider, grant, proven.identity)
      return await begin(proven, request.log, { jkt, conclude: () => singleUse.spend([...nonce, ...token]) })
    })
  }

  async function loginAs (verified: Verified, request: FastifyRequest, user: User | null): Promise<TokenAnswer> {
    return await events.observe(verified.identity.provider, request, async () => {
      const jkt = possession.keyOfLogin(request)
      const proven = await admit({ ...verified, mark: begun() }, request, user)
      return await begin(proven, request.log, { jkt, conclude: async () => {} })
    })
  }

  async function redeem (
    provider: RedirectProvider,
    answer: AuthorizationAnswer,
    caller: Caller
  ): Promise<Vouched> {
    const mark = begun()
    const grant: AuthorizationGrant = { type: 'authorization_code', token: answer.code, nonce: answer.nonce }
    const nonce = singleUse.nonceKeys(provider, grant)
    const verified = await provider.redirection.redeem(answer, caller)
    await singleUse.spend([...nonce, ...singleUse.tokenKeys(provider, grant, verified.identity)])
    return { ...verified, mark }
  }

  // Before the provider is asked: whoever is banned from then on must not be let in by what was true before.
  function begun (): number {
    return sessions?.mark() ?? Date.now()
  }

  async function admit (
    { identity, providerTokens, mark }: Vouched,
    request: FastifyRequest,
    user: User | null = null
  ): Promise<ProvenLogin> {
    const occasion = { request, reason: 'login', providerTokens, user, sessionId: null } as const
    const asked = lookup(identity, occasion)
    return { identity, granted: await asked.catch(thrown => { throw events.about(identity, thrown) }), mark }
  }

  // The session is made before the nonce is spent: an outage of the store then spends nothing. Where the nonce is
  // refused the session ends at once. Where the store is down nobody waits for that: it may stay, unused, until it
  // expires.
  async function begin (
    proven: ProvenLogin,
    log: FastifyBaseLogger,
    { clientId, jkt, conclude }: Conclusion
  ): Promise<LoggedIn> {
    const userId = userIdOf(proven)
    const holder = { clientId, jkt: jkt ?? undefined }
    const session = sessions === null ? null : await sessions.begin(proven.identity, userId, proven.mark, holder)
    try {
      const answer = mint(proven, session ?? { beganAt: proven.mark, ...holder }, log)
      await conclude(session?.sessionId ?? null)
      // Behind all that refuses a login, so that it ends no other session. A ban is looked for last.
      await sessions?.evict(userId)
      sessions?.confirm(proven.identity, userId, proven.mark)
      const { provider, subject } = proven.identity
      return {
        answer,
        facts: {
          provider,
          subject,
          userId,
          ...(session !== null && { sessionId: session.sessionId }),
          ...(clientId !== undefined && { clientId })
        }
      }
    } catch (error) {
      const ended = session === null ? undefined : sessions?.discard(session.sessionId).catch(() => {})
      if (codeOf(error) !== errors.StoreUnavailableError.code) await ended
      throw error
    }
  }

  async function redeemed (
    { vouched, conclude }: Redemption,
    by: CodeHolder,
    request: FastifyRequest
  ): Promise<TokenAnswer> {
    return await events.observe(vouched.identity.provider, request, async () =>
      await begin(await admit(vouched, request), request.log, { ...by, conclude })
    )
  }

  async function issue (proven: ProvenLogin, request: FastifyRequest): Promise<TokenAnswer> {
    return await events.observe(proven.identity.provider, request, async () =>
      await begin(proven, request.log, { jkt: possession.keyOfLogin(request), conclude: async () => {} })
    )
  }

  return { provider, login, loginAs, redeem, admit, redeemed, issue }
}

/** The access token of somebody proven, with the refresh token of its session where there is one. */
export type Mint = (proven: Proven, login: MintedLogin, log: FastifyBaseLogger) => TokenAnswer

/** What an access token says of its login: its session, where there is one, and the refresh token that goes with it. */
export type MintedLogin = Pick<AccessGrant, 'beganAt' | 'clientId' | 'jkt'> & Partial<SessionGrant>

/**
 * The id of the user: the application's, else the provider's name and its subject.
 * @throws errors.ProviderUnavailableError where these are too long together
 */
export function userIdOf ({ identity, granted }: Proven): string {
  const userId = granted.userId ?? `${identity.provider}:${identity.subject}`
  if (isId(userId)) return userId
  throw new errors.ProviderUnavailableError('name and subject exceed 255 characters: the lookup has to name a userId')
}

/** @param bindsAccess whether access tokens are bound to the client's key too */
export function createMint (issue: Issuer, bindsAccess: boolean): Mint {
  return (proven, { beganAt, clientId, jkt, sessionId, tokenId = randomUUID(), refreshToken }, log) => {
    const { identity, granted } = proven
    const vouched = clientId === undefined ? identity : { ...identity, clientId }
    const authentication = authenticationOf(identity, beganAt)
    try {
      const grantee = { userId: userIdOf(proven), granted, vouched, authentication, tokenId }
      const bound = bindsAccess && jkt !== undefined ? { ...grantee, jkt } : grantee
      return {
        ...issue(sessionId === undefined ? bound : { ...bound, sessionId }),
        ...(refreshToken !== undefined && { refresh_token: refreshToken })
      }
    } catch (thrown) {
      // The application has answered too much for one token.
      log.error({ err: thrown }, 'the access token cannot be issued')
      throw new errors.LookupFailedError(undefined, { cause: thrown })
    }
  }
}
