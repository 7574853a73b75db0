import type { Deadlines } from '../deadline.js'
import { errors } from '../errors.js'
import { traced, type Events } from '../events.js'
import {
  keysAgeOf, type AuthorizationAnswer, type AuthorizationGrant, type AuthorizationRequest, type GrantType,
  isId, type ApplicationVerifier, type IdentityProvider, type ProvenApplication
} from '../identity.js'
import { isObject } from '../strict-json.js'
import { createAvailability, createInquiry, type Caller, type Inquiry } from './inquiry.js'
import { createIncomingEvents, type IncomingEvents } from './read-events.js'
import type { SingleUsePolicy } from './single-use.js'
import { readIdentity, type Verified } from './verified-identity.js'

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

/** Asks one provider whether a grant is good. */
type Verification = (grant: AuthorizationGrant, caller: Caller) => Promise<Verified>

/** The same for logins by redirect. */
interface Redirection {
  authorizationUrl (request: AuthorizationRequest, caller: Caller): Promise<string>
  redeem (answer: AuthorizationAnswer, caller: Caller): Promise<Verified>
}

function createVerification (name: string, provider: IdentityProvider, inquire: Inquiry): Verification {
  return (grant, caller) =>
    traced('verify', { operation: 'verify', provider: name }, () =>
      inquire(provider.verify, async context => readIdentity(name, await provider.verify(grant, context)), caller)
    )
}

/** Null for a provider that offers no login by redirect. */
function createRedirection (name: string, provider: IdentityProvider, inquire: Inquiry): Redirection | null {
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

/** What a verifier has answered. @throws errors.ProviderUnavailableError for junk */
function readProven (value: unknown): ProvenApplication {
  const { expiresAt, application } = isObject(value) ? value : {}
  const isTime = typeof expiresAt === 'number' && Number.isFinite(expiresAt)
  if (!isTime || (application !== undefined && !isId(application))) {
    throw new errors.ProviderUnavailableError('the verifier of an application answered junk')
  }
  return { expiresAt, ...(application !== undefined && { application }) }
}
