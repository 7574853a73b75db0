import type { FastifyBaseLogger, FastifyRequest } from 'fastify'
import type { Deadline, Deadlines } from '../deadline.js'
import { codeOf, errors, legible, reasonOf } from '../errors.js'
import { traced } from '../events.js'
import type { Identity, ProviderTokens } from '../identity.js'
import { readPermissions, type GrantedPermissions, type Permissions } from './permissions.js'
import type { User } from './user.js'

export interface LookupContext {
  request: FastifyRequest
  reason: 'login' | 'refresh'
  /** Whose access token the login carried: the account to which this identity is to be linked. Null at a refresh. */
  user: User | null
  /** The session that is refreshed; null at a login. */
  sessionId: string | null
  /** Aborted at the deadline (`lookupTimeout`) and when the server closes. */
  signal: AbortSignal
  /** What a code exchange brought, such as Apple's refresh token. Not enumerable, never stored or logged here. */
  readonly providerTokens: ProviderTokens | null
}

/**
 * The application's answer to: what may this identity do here? `null` denies access, errors.LinkRequiredError says that
 * its user has an account already, to which this identity has to be linked. It runs at each login and at each refresh.
 */
export type PermissionLookup = (
  identity: Identity,
  context: LookupContext
) => Permissions | null | Promise<Permissions | null>

/** Why the lookup runs, and for which request. */
export interface LookupOccasion {
  request: FastifyRequest
  reason: 'login' | 'refresh'
  providerTokens: ProviderTokens | null
  user: User | null
  sessionId: string | null
}

/** The application's lookup within its deadline, its answer checked. */
export type GuardedLookup = (identity: Identity, occasion: LookupOccasion) => Promise<GrantedPermissions>

const members: ReadonlyArray<keyof Permissions> = ['level', 'permissions', 'userId', 'claims']

/** The default lookup: everyone whom a provider vouches for is `authenticated`. */
export const everyoneProven: PermissionLookup = () => ({ level: 'authenticated' })

export function createLookup (lookup: PermissionLookup, milliseconds: number, deadlines: Deadlines): GuardedLookup {
  return async (identity, occasion) => {
    const context = { operation: occasion.reason, provider: identity.provider }
    const answer = await traced('lookup', context, () => ask(identity, occasion))
    if (answer === null) throw new errors.AccessDeniedError()
    return check(answer, occasion.request.log)
  }

  async function ask (identity: Identity, occasion: LookupOccasion): Promise<unknown> {
    try {
      return await deadlines.within(milliseconds, deadline => lookup(identity, new Context(occasion, deadline)))
    } catch (thrown) {
      // By its code: the application may hold another copy of the class.
      if (codeOf(thrown) === errors.LinkRequiredError.code) {
        throw new errors.LinkRequiredError(reasonOf(thrown), { cause: legible(thrown) })
      }
      throw failed(thrown, occasion.request.log)
    }
  }
}

/** A class, as Node makes the signal when it is asked for, and as what is private no log shows. */
class Context implements LookupContext {
  readonly request: FastifyRequest
  readonly reason: 'login' | 'refresh'
  readonly user: User | null
  readonly sessionId: string | null
  readonly #deadline: Deadline
  readonly #providerTokens: ProviderTokens | null

  constructor ({ request, reason, providerTokens, user, sessionId }: LookupOccasion, deadline: Deadline) {
    this.request = request
    this.reason = reason
    this.user = user
    this.sessionId = sessionId
    this.#deadline = deadline
    this.#providerTokens = providerTokens
  }

  get signal (): AbortSignal {
    return this.#deadline.signal
  }

  get providerTokens (): ProviderTokens | null {
    return this.#providerTokens
  }
}

function check (answer: unknown, log: FastifyBaseLogger): GrantedPermissions {
  try {
    refuseForeign(answer)
    return readPermissions(answer)
  } catch (thrown) {
    throw failed(thrown, log)
  }
}

// Every member of Permissions has a default, so anything at all would pass for the answer of somebody who is
// authenticated: an Error that was returned and not thrown, a result set, a Map.
function refuseForeign (answer: unknown): void {
  if (typeof answer !== 'object' || answer === null || Object.prototype.toString.call(answer) !== '[object Object]') {
    throw new errors.OptionInvalidError(
      `the permission lookup answered ${kindOf(answer)}: return { level, permissions, … }, or null to deny access`
    )
  }
  if (Object.keys(answer).length > 0 && !members.some(name => name in answer)) {
    throw new errors.OptionInvalidError(
      `the permission lookup answered a foreign object: it has to hold one of ${members.join(', ')}`
    )
  }
}

function kindOf (answer: unknown): string {
  return answer === undefined ? 'undefined' : Object.prototype.toString.call(answer)
}

/** What the application's own callback threw is logged whole, for its developers, and never answered. */
function failed (thrown: unknown, log: FastifyBaseLogger): Error {
  const cause = legible(thrown)
  log.error({ err: cause }, 'the permission lookup failed')
  return new errors.LookupFailedError(undefined, { cause })
}
