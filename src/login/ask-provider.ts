import type { FastifyBaseLogger, FastifyRequest } from 'fastify'
import { DeadlineExceeded, entersByItself, server, type Asking, type Deadline, type Deadlines } from '../deadline.js'
import { codeOf, errors, legible, reasonOf, refusalOf, rejected } from '../errors.js'
import { traced, type Events } from '../events.js'
import {
  keysAgeOf, type AuthorizationAnswer, type AuthorizationGrant, type AuthorizationRequest, type GrantType,
  isId, type ApplicationVerifier, type IdentityProvider, type ProvenApplication
} from '../identity.js'
import { isObject } from '../strict-json.js'
import { createIncomingEvents, type IncomingEvents } from './read-events.js'
import type { SingleUsePolicy } from './single-use.js'
import { readIdentity, type Verified } from './verified-identity.js'

/** The request on whose behalf a provider is asked. */
export type Caller = Pick<FastifyRequest, 'ip' | 'log'>

/** One provider of this server, as the exchange sees it. */
export interface ExchangeProvider extends SingleUsePolicy {
  readonly name: string
  readonly accepts: readonly GrantType[]
  readonly verify: Verification
  /** Whether it answered when it was last asked. */
  isAvailable (): boolean
  /** Milliseconds since its keys were fetched; null where there are none. */
  keysAge (): number | null
  /** Null where there is no login by redirect. */
  readonly redirection: Redirection | null
  /** Null where its events are not taken. */
  readonly events: IncomingEvents | null
}

/** One that browsers can be sent to. */
export interface RedirectProvider extends SingleUsePolicy { readonly redirection: Redirection }

/** The providers of this server by name, as a login asks them. */
export function createProviders (
  { providers, providerTimeout: milliseconds, concurrency }: ProviderOptions,
  deadlines: Deadlines,
  events: Events
): ReadonlyMap<string, ExchangeProvider> {
  const entryOf = (name: string, provider: IdentityProvider): ExchangeProvider => {
    const availability = createAvailability(name, events)
    const inquire = createInquiry(name, { milliseconds, concurrency, deadlines, availability })
    return {
      name,
      accepts: provider.accepts,
      nonce: provider.nonce ?? 'if-present',
      replay: provider.replay ?? 'allow',
      verify: createVerification(name, provider, inquire),
      isAvailable: availability.isAvailable,
      keysAge: () => keysAgeOf(provider),
      redirection: createRedirection(name, provider, inquire),
      events: createIncomingEvents(name, provider, inquire)
    }
  }
  return new Map(Array.from(providers, ([name, provider]) => [name, entryOf(name, provider)]))
}

/** Asks a verifier of applications what a token proves. */
export type VerifierAsker = (token: string, caller: Caller) => Promise<ProvenApplication>

/** Asks verifiers of applications, as logins ask providers. */
export function createVerifierAsker (
  { providerTimeout: milliseconds, concurrency }: Pick<ProviderOptions, 'providerTimeout' | 'concurrency'>,
  deadlines: Deadlines,
  events: Events
): (label: string, verifier: ApplicationVerifier) => VerifierAsker {
  return (label, verifier) => {
    const availability = createAvailability(label, events)
    const inquire = createInquiry(label, { milliseconds, concurrency, deadlines, availability })
    return (token, caller) =>
      inquire(verifier.verify, async context => readProven(await verifier.verify(token, context)), caller)
  }
}

interface ProviderOptions {
  readonly providers: ReadonlyMap<string, IdentityProvider>
  readonly providerTimeout: number
  readonly concurrency: number
}

/**
 * Asks one provider something, within its deadline and its share of the server.
 *
 * @param method of the provider that is called
 */
export type Inquiry = <Answer>(
  method: unknown,
  ask: (context: Asking) => Answer | Promise<Answer>,
  caller: Caller
) => Promise<Answer>

/** Asks one provider whether a grant is good. */
export type Verification = (grant: AuthorizationGrant, caller: Caller) => Promise<Verified>

/** The same for logins by redirect. */
export interface Redirection {
  authorizationUrl (request: AuthorizationRequest, caller: Caller): Promise<string>
  redeem (answer: AuthorizationAnswer, caller: Caller): Promise<Verified>
}

export interface VerificationLimits {
  /** Total time for all calls of one verification. */
  milliseconds: number
  /** Verifications in flight for this provider. */
  concurrency: number
  deadlines: Deadlines
  availability: Availability
}

/** Whether a provider answers, as those who asked it have seen. */
interface Availability {
  isAvailable (): boolean
  note (isAvailable: boolean): void
}

function createAvailability (provider: string, events: Events): Availability {
  const code = errors.ProviderUnavailableError.code
  let available = true
  return {
    isAvailable: () => available,
    note (isAvailable) {
      if (isAvailable === available) return
      available = isAvailable
      if (available) events.publish({ type: 'provider.recovered', provider })
      else events.publish({ type: 'provider.unavailable', provider, code })
    }
  }
}

/**
 * @throws errors.OverloadedError, errors.GrantRejectedError, errors.ProviderUnavailableError,
 *   errors.RequestInvalidError
 */
export function createInquiry (
  name: string,
  { milliseconds, concurrency, deadlines, availability }: VerificationLimits
): Inquiry {
  const places = createPlaces(concurrency)
  return async (method, ask, { ip, log }) => {
    const { enter, leave, isInside } = places(ip)
    try {
      const isOurs = entersByItself(method)
      if (!isOurs) enter()
      const behind = { enter, closing: deadlines.closing }
      const answer = await deadlines.within(milliseconds, deadline =>
        ask(isOurs ? new Context(deadline, behind) : copyable(deadline, behind))
      )
      if (isInside()) availability.note(true)
      return answer
    } catch (thrown) {
      const error = asOurs(thrown, name, log)
      const code = codeOf(error)
      if (code === errors.ProviderUnavailableError.code) availability.note(false)
      // It has said no, and so it answers.
      if (code === errors.GrantRejectedError.code && isInside()) availability.note(true)
      throw error
    } finally {
      leave()
    }
  }
}

type Behind = Required<Asking>[typeof server]

/** Whose signal is made only when it is asked for: a known key needs none. */
class Context implements Asking {
  readonly #deadline: Deadline
  readonly [server]: Behind

  constructor (deadline: Deadline, behind: Behind) {
    this.#deadline = deadline
    this[server] = behind
  }

  get signal (): AbortSignal {
    return this.#deadline.signal
  }
}

/** With the signal as a member that a copy holds too, for a provider that may hand one on. */
function copyable (deadline: Deadline, behind: Behind): Asking {
  return { get signal () { return deadline.signal }, [server]: behind }
}

interface Place {
  enter (): void
  leave (): void
  /** Whether somebody was asked. */
  isInside (): boolean
}

/**
 * The places at one provider, and of them the share of one client address: who sends garbage from one does not keep out
 * everybody else.
 */
function createPlaces (places: number): (ip: string) => Place {
  const share = Math.max(1, Math.floor(places * 3 / 4))
  const ofAddress = new Map<string, number>()
  let taken = 0

  function count (ip: string, change: 1 | -1): void {
    const ofThis = (ofAddress.get(ip) ?? 0) + change
    taken += change
    if (ofThis === 0) ofAddress.delete(ip)
    else ofAddress.set(ip, ofThis)
  }

  return ip => {
    let state: 'outside' | 'inside' | 'gone' = 'outside'
    return {
      enter () {
        if (state === 'inside') return
        const isFull = taken >= places || (ofAddress.get(ip) ?? 0) >= share
        if (isFull || state === 'gone') throw new errors.OverloadedError()
        state = 'inside'
        count(ip, 1)
      },
      leave () {
        if (state === 'inside') count(ip, -1)
        state = 'gone'
      },
      isInside: () => state === 'inside'
    }
  }
}

export function createVerification (name: string, provider: IdentityProvider, inquire: Inquiry): Verification {
  return (grant, caller) =>
    traced('verify', { operation: 'verify', provider: name }, () =>
      inquire(provider.verify, async context => readIdentity(name, await provider.verify(grant, context)), caller)
    )
}

/** Null for a provider that offers no login by redirect. */
export function createRedirection (name: string, provider: IdentityProvider, inquire: Inquiry): Redirection | null {
  const { authorizationUrl, redeem } = provider
  if (authorizationUrl === undefined || redeem === undefined) return null
  return {
    authorizationUrl: (request, caller) =>
      inquire(
        authorizationUrl,
        async context => readUrl(await authorizationUrl.call(provider, request, context)),
        caller
      ),
    redeem: (answer, caller) => traced('verify', { operation: 'redeem', provider: name }, () =>
      inquire(redeem, async context => readIdentity(name, await redeem.call(provider, answer, context)), caller)
    )
  }
}

function readUrl (value: unknown): string {
  const isUsable =
    typeof value === 'string' && URL.canParse(value) && ['https:', 'http:'].includes(new URL(value).protocol)
  if (!isUsable) throw new errors.ProviderUnavailableError("the provider's authorizationUrl() answered no URL")
  // As its characters have to be for a header.
  return new URL(value).href
}

// Told apart by code: an application's provider may hold another copy of the classes. What it threw becomes the cause
// of an error of ours, whose message is safe to answer. An unknown error is an outage, never a no.
function asOurs (thrown: unknown, provider: string, log: FastifyBaseLogger): Error {
  const cause = legible(thrown)
  const code = codeOf(thrown)
  if (code === errors.GrantRejectedError.code) {
    const { check, ...compared } = refusalOf(thrown)
    return rejected(check, reasonOf(thrown), { cause, ...compared })
  }
  if (code === errors.RequestInvalidError.code) return new errors.RequestInvalidError(reasonOf(thrown), { cause })
  if (code === errors.OverloadedError.code) return new errors.OverloadedError()
  if (cause instanceof DeadlineExceeded) return new errors.ProviderUnavailableError(`${provider}: ${cause.message}`)
  log.error({ err: cause, provider }, 'the identity provider is unavailable')
  return new errors.ProviderUnavailableError(reasonOf(thrown), { cause })
}

/** What a verifier has answered. @throws errors.ProviderUnavailableError for junk */
function readProven (value: unknown): ProvenApplication {
  const { expiresAt, application } = isObject(value) ? value : {}
  const isTime = typeof expiresAt === 'number' && Number.isFinite(expiresAt)
  if (!isTime || (application !== undefined && !isId(application))) {
    throw new errors.ProviderUnavailableError('the verifier of an application answered junk')
  }
  return { expiresAt, ...(application !== undefined && { application }) }
}
