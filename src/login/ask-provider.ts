import type { FastifyBaseLogger } from 'fastify'
import { DeadlineExceeded, type Deadline, type Deadlines } from '../deadline.js'
import { codeOf, errors, legible, reasonOf } from '../errors.js'
import type { AuthorizationAnswer, AuthorizationGrant, AuthorizationRequest, IdentityProvider } from '../identity.js'
import { readIdentity, type Verified } from './verified-identity.js'

/** Asks one provider something, within its deadline and its share of the server. */
export type Inquiry = <Answer>(
  ask: (context: Deadline) => Answer | Promise<Answer>,
  log: FastifyBaseLogger
) => Promise<Answer>

/** Asks one provider whether a grant is good. */
export type Verification = (grant: AuthorizationGrant, log: FastifyBaseLogger) => Promise<Verified>

/** The same for logins by redirect. */
export interface Redirection {
  authorizationUrl (request: AuthorizationRequest, log: FastifyBaseLogger): Promise<string>
  redeem (answer: AuthorizationAnswer, log: FastifyBaseLogger): Promise<Verified>
}

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
export function createInquiry (name: string, { milliseconds, concurrency, deadlines }: VerificationLimits): Inquiry {
  let inFlight = 0
  return async (ask, log) => {
    if (inFlight >= concurrency) throw new errors.OverloadedError()
    inFlight++
    try {
      return await deadlines.within(milliseconds, ({ signal }) => ask({ signal }))
    } catch (thrown) {
      throw refusalOf(thrown, name, log)
    } finally {
      inFlight--
    }
  }
}

export function createVerification (name: string, provider: IdentityProvider, inquire: Inquiry): Verification {
  return (grant, log) => inquire(async context => readIdentity(name, await provider.verify(grant, context)), log)
}

/** Null for a provider that offers no login by redirect. */
export function createRedirection (name: string, provider: IdentityProvider, inquire: Inquiry): Redirection | null {
  if (provider.authorizationUrl === undefined || provider.redeem === undefined) return null
  return {
    authorizationUrl: (request, log) => inquire(async () => readUrl(await provider.authorizationUrl?.(request)), log),
    redeem: (answer, log) => inquire(async context => readIdentity(name, await provider.redeem?.(answer, context)), log)
  }
}

function readUrl (value: unknown): string {
  const isUsable =
    typeof value === 'string' && URL.canParse(value) && ['https:', 'http:'].includes(new URL(value).protocol)
  if (!isUsable) throw new errors.ProviderUnavailableError("the provider's authorizationUrl() answered junk")
  // As its characters have to be for a header.
  return new URL(value).href
}

// Told apart by code: an application's provider may hold another copy of the classes. What it threw becomes the cause of
// an error of ours, whose message is safe to answer. An unknown error is an outage, never a no.
function refusalOf (thrown: unknown, provider: string, log: FastifyBaseLogger): Error {
  const cause = legible(thrown)
  const code = codeOf(thrown)
  if (code === errors.GrantRejectedError.code) return new errors.GrantRejectedError(reasonOf(thrown), { cause })
  if (code === errors.RequestInvalidError.code) return new errors.RequestInvalidError(reasonOf(thrown), { cause })
  if (cause instanceof DeadlineExceeded) return new errors.ProviderUnavailableError(`${provider}: ${cause.message}`)
  log.error({ err: cause, provider }, 'the identity provider is unavailable')
  return new errors.ProviderUnavailableError(reasonOf(thrown), { cause })
}
