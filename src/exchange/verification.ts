import type { FastifyBaseLogger } from 'fastify'
import { DeadlineExceeded, type Deadlines } from '../deadline.js'
import { codeOf, errors, legible } from '../errors.js'
import type { AuthorizationGrant, Identity, IdentityProvider, ProviderTokens } from '../identity.js'
import { readIdentity } from './verified-identity.js'

/** An identity, and what its provider's code exchange brought beside it. */
export interface Verified { identity: Identity, providerTokens: ProviderTokens | null }

/** Asks one provider whether a grant is good, within its deadline and its share of the server. */
export type Verification = (grant: AuthorizationGrant, log: FastifyBaseLogger) => Promise<Verified>

export interface VerificationLimits {
  /** Total time for all calls of one verification. */
  milliseconds: number
  /** Verifications in flight for this provider. */
  concurrency: number
  deadlines: Deadlines
}

/**
 * @throws errors.OverloadedError, errors.GrantRejectedError, errors.ProviderUnavailableError, errors.RequestInvalidError
 */
export function createVerification (name: string, provider: IdentityProvider, { milliseconds, concurrency, deadlines }: VerificationLimits): Verification {
  let inFlight = 0
  return async (grant, log) => {
    if (inFlight >= concurrency) throw new errors.OverloadedError()
    inFlight++
    try {
      return readIdentity(name, await deadlines.within(milliseconds, signal => provider.verify(grant, { signal })))
    } catch (thrown) {
      throw refusalOf(thrown, name, log)
    } finally {
      inFlight--
    }
  }
}

// Told apart by code: an application's provider may hold another copy of the classes. What it threw becomes the cause of
// an error of ours, whose message is safe to answer. An unknown error is an outage, never a no.
function refusalOf (thrown: unknown, provider: string, log: FastifyBaseLogger): Error {
  const cause = legible(thrown)
  const code = codeOf(thrown)
  if (code === errors.GrantRejectedError.code) return new errors.GrantRejectedError(reasonOf(cause), { cause })
  if (code === errors.RequestInvalidError.code) return new errors.RequestInvalidError(reasonOf(cause), { cause })
  if (cause instanceof DeadlineExceeded) return new errors.ProviderUnavailableError(`${provider}: ${cause.message}`)
  log.error({ err: cause, provider }, 'the identity provider is unavailable')
  return new errors.ProviderUnavailableError(reasonOf(cause), { cause })
}

// Of an error by our interface; `legible` may have let a plain object pass, whose members nobody has read.
function reasonOf (thrown: unknown): string | undefined {
  if (!(thrown instanceof Error)) return undefined
  const reason: unknown = Reflect.get(thrown, 'reason')
  return typeof reason === 'string' ? reason : undefined
}
