import type { FastifyBaseLogger, FastifyRequest } from 'fastify'
import type { Deadlines } from '../deadline.js'
import { errors, legible } from '../errors.js'
import type { Identity, ProviderTokens } from '../identity.js'
import { readPermissions, type GrantedPermissions, type Permissions } from './permissions.js'

export interface LookupContext {
  request: FastifyRequest
  reason: 'login' | 'refresh'
  /** Aborted at the deadline (`lookupTimeout`) and when the server closes. */
  signal: AbortSignal
  /** What a code exchange brought, such as Apple's refresh token. Not enumerable, never stored or logged here. */
  readonly providerTokens: ProviderTokens | null
}

/**
 * The application's answer to: what may this identity do here? `null` denies access.
 * It runs at each login and at each refresh.
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
}

/** The application's lookup within its deadline, its answer checked. */
export type GuardedLookup = (identity: Identity, occasion: LookupOccasion) => Promise<GrantedPermissions>

const members: ReadonlyArray<keyof Permissions> = ['level', 'permissions', 'userId', 'claims']

/** The default lookup: everyone whom a provider vouches for is `authenticated`. */
export const everyoneProven: PermissionLookup = () => ({ level: 'authenticated' })

export function createLookup (lookup: PermissionLookup, milliseconds: number, deadlines: Deadlines): GuardedLookup {
  return async (identity, occasion) => {
    const answer = await ask(identity, occasion)
    if (answer === null) throw new errors.AccessDeniedError()
    return check(answer, occasion.request.log)
  }

  async function ask (identity: Identity, { request, reason, providerTokens }: LookupOccasion): Promise<unknown> {
    try {
      return await deadlines.within(milliseconds, deadline => {
        const context = { request, reason, get signal () { return deadline.signal }, providerTokens: null }
        return lookup(
          identity,
          Object.defineProperty(context, 'providerTokens', { value: providerTokens, enumerable: false })
        )
      })
    } catch (thrown) {
      throw failed(thrown, request.log)
    }
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
