import { randomUUID } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import { codeOf, errors } from '../errors.js'
import { isId, type VerifiedIdentity } from '../identity.js'
import { readIdentity, type Verified } from '../login/verified-identity.js'
import { integer, open, refused, text } from '../options/values.js'
import { readPermissions, type Permissions } from '../permissions/permissions.js'
import type { SessionEntry, Sessions, StoreHealth } from '../sessions/sessions.js'
import type { Server } from '../server.js'
import { isObject } from '../strict-json.js'
import type { User } from '../permissions/user.js'
import type { TokenAnswer } from '../tokens/issuer.js'

/** Somebody whom the application has proven itself: by a passkey, a code that it has sent, or as a guest. */
export type OwnIdentity = VerifiedIdentity & {
  /** What proved it (`[a-z0-9_-]+`), no name of `providers`. */
  readonly provider: string
}

/** `app.tokenExchange`: access tokens for the application's own code. */
export interface TokenExchange {
  /**
   * The user of an access token, as a guard would see it.
   *
   * @example
   * ```ts
   * const user = app.tokenExchange.verify(token)
   * ```
   * @throws errors.TokenInvalidError, errors.TokenExpiredError, errors.TokenRevokedError
   */
  verify (token: string): User
  /**
   * Issues an access token for a login that the application did itself, or for a test. It names no provider and
   * starts no session.
   *
   * @example
   * ```ts
   * const { access_token: token } = app.tokenExchange.issue({ userId: 'user-42', permissions: ['todo:read'] })
   * ```
   * @throws errors.OptionInvalidError for an empty `userId`, an unknown level, a reserved claim, or no key to sign with
   */
  issue (grantee: Permissions & { userId: string }): TokenAnswer
  /**
   * Logs in whom the application has proven itself, as a provider's login does: lookup, session, tokens. A good access
   * token that the request carries is that of the account to link to.
   *
   * @example
   * ```ts
   * app.post('/passkey', { onRequest: app.requireLevel('everyone') }, async request =>
   *   await app.tokenExchange.login({ provider: 'passkey', subject: 'user-42' }, request))
   * ```
   * @throws errors.OptionInvalidError for an identity that is none, or is named as a provider
   * @throws errors.AccessDeniedError, errors.LinkRequiredError, errors.LookupFailedError, errors.StoreUnavailableError
   * @throws errors.TokenInvalidError, errors.TokenExpiredError, errors.TokenRevokedError for a bad access token
   */
  login (identity: OwnIdentity, request: FastifyRequest): Promise<TokenAnswer>
  /**
   * A user's sessions, the last used first. @throws as `revokeUser`
   *
   * @example
   * ```ts
   * const sessions = await app.tokenExchange.sessions('user-42')
   * ```
   */
  sessions (userId: string): Promise<SessionEntry[]>
  /**
   * Ends all sessions of a user and refuses all access tokens that it has: after a ban, or to make a change of its
   * permissions count at once. A login right after it is let in.
   *
   * @example
   * ```ts
   * await app.tokenExchange.revokeUser('user-42')
   * ```
   * @throws errors.StoreUnavailableError, errors.OptionInvalidError without `sessions`
   */
  revokeUser (userId: string): Promise<void>
  /**
   * Ends all sessions that an identity began, whatever users they are of: after its provider has taken it back. A login
   * right after it is let in.
   *
   * @example
   * ```ts
   * await app.tokenExchange.revokeIdentity('google', '1102', { before: Date.now() - 60_000 })
   * ```
   * @param options `before`: milliseconds since the epoch; what began later goes on. @default now
   * @throws as `revokeUser`
   */
  revokeIdentity (provider: string, subject: string, options?: { before?: number | undefined }): Promise<void>
  /**
   * Ends one session, by its `sid`. @throws as `revokeUser`
   *
   * @example
   * ```ts
   * const { sessionId } = app.tokenExchange.verify(token)
   * if (sessionId !== null) await app.tokenExchange.revokeSession(sessionId)
   * ```
   */
  revokeSession (sessionId: string): Promise<void>
  /**
   * Whether the store and the providers answer, as this server has last seen it: from memory, for a readiness route.
   *
   * @example
   * ```ts
   * app.get('/ready', async (_request, reply) => {
   *   const health = app.tokenExchange.health()
   *   return await reply.code(health.ok ? 200 : 503).send(health)
   * })
   * ```
   */
  health (): Health
}

/** What a server knows of those whom it depends on. */
export interface Health {
  /** Whether the store answers; true without sessions. Outages of providers are no reason to take a server away. */
  readonly ok: boolean
  readonly store: StoreHealth | null
  /** `keysAge`: milliseconds since the provider's keys were fetched, null where there are none. */
  readonly providers: Readonly<Record<string, { readonly ok: boolean, readonly keysAge: number | null }>>
}

type AppApiParts = Pick<
  Server, 'authenticator' | 'exchange' | 'issue' | 'options' | 'providers' | 'sessions' | 'tokenKind'
>

export function createAppApi (parts: AppApiParts): TokenExchange {
  const { authenticator, exchange, issue, options, providers, sessions } = parts
  return Object.freeze({
    verify (token: unknown): User {
      if (typeof token !== 'string') throw new errors.TokenInvalidError('no string')
      return authenticator.verify(token)
    },

    issue (grantee: unknown): TokenAnswer {
      const granted = readPermissions(grantee)
      if (granted.userId === null) throw new errors.OptionInvalidError('userId must be a non-empty string')
      return issue({ userId: granted.userId, granted, tokenId: randomUUID() })
    },

    health (): Health {
      const store = sessions?.health() ?? null
      const entries = Array.from(providers, ([name, { isAvailable, keysAge }]) =>
        [name, { ok: isAvailable(), keysAge: keysAge() }] as const)
      return { ok: store?.ok ?? true, store, providers: Object.fromEntries(entries) }
    },

    async login (identity: unknown, request: FastifyRequest): Promise<TokenAnswer> {
      const verified = readOwnIdentity(identity, options.providers)
      return await exchange.loginAs(verified, request, callerOf(parts, request))
    },

    async sessions (userId: unknown): Promise<SessionEntry[]> {
      return await required(sessions).list(idOf(userId, 'userId'), null)
    },

    async revokeUser (userId: unknown): Promise<void> {
      await required(sessions).revokeUser(idOf(userId, 'userId'))
    },

    async revokeIdentity (provider: unknown, subject: unknown, options: unknown = {}): Promise<void> {
      const given = open(options, 'revokeIdentity', ['before'])
      const before = given.has('before') ? given.read('before', milliseconds) : undefined
      await required(sessions).endIdentity(text(provider, 'provider'), idOf(subject, 'subject'), before)
    },

    async revokeSession (sessionId: unknown): Promise<void> {
      await required(sessions).revokeSession(text(sessionId, 'sessionId'))
    }
  })
}

/** The user of the access token that comes along. Where the route has no guard, the error carries the challenge. */
function callerOf ({ authenticator, tokenKind }: AppApiParts, request: FastifyRequest): User | null {
  try {
    return authenticator.findUser(request)
  } catch (thrown) {
    const { authorization } = request.headers
    const challenge = tokenKind.challenge(codeOf(thrown), { thrown, authorization, isUser: false })
    if (thrown instanceof Error && challenge !== undefined) {
      Object.assign(thrown, { headers: { 'www-authenticate': challenge } })
    }
    throw thrown
  }
}

const milliseconds = integer(0, Number.MAX_SAFE_INTEGER)

function idOf (id: unknown, name: string): string {
  if (isId(id)) return id
  throw new errors.OptionInvalidError(`${name} must be well-formed text without NUL, of 1 to 255 characters`)
}

/** @throws errors.OptionInvalidError naming what is wrong */
function readOwnIdentity (value: unknown, providers: Server['options']['providers']): Verified {
  if (!isObject(value)) throw refused('identity', "must be an object such as { provider: 'passkey', subject }")
  const { provider } = value
  if (typeof provider !== 'string' || !/^[a-z0-9_-]{1,100}$/.test(provider)) {
    throw refused('identity.provider', 'must be a name of a-z, 0-9, _ and -')
  }
  if (providers.has(provider)) throw refused('identity.provider', 'must not be the name of one of the providers')
  return readIdentity(provider, value, member => refused(`identity.${member}`, 'is not what it has to be'))
}

function required (sessions: Sessions | null): Sessions {
  if (sessions !== null) return sessions
  throw new errors.OptionInvalidError('without the option sessions there are none, and nothing can be revoked')
}
