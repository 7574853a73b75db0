import type { IncomingHttpHeaders } from 'node:http'
import type { Check } from './errors.js'

/** The kinds of authorization grant, by the member of the request body that carries them. */
export const grantTypes = ['access_token', 'id_token', 'authorization_code'] as const

export type GrantType = (typeof grantTypes)[number]

/** What the app received from its identity provider and posts to this server. */
export interface AuthorizationGrant {
  type: GrantType
  /** The token or code itself. Never logged. */
  token: string
  /** The raw nonce that the app gave to the provider's SDK. */
  nonce?: string
  /** RFC 6749, 4.1.3. Only with `authorization_code`. */
  redirectUri?: string
  /** RFC 7636, 4.5. Only with `authorization_code`. */
  codeVerifier?: string
}

/** Who the user is, in the words of the provider, verified. Frozen. */
export interface Identity {
  /** The name under which the application registered the provider. */
  provider: string
  /** The provider's stable id of the user ({@link isId}); never an e-mail address. */
  subject: string
  /** The audience or app id that matched. */
  clientId: string | null
  email: string | null
  /** `'unknown'` where the provider does not say: never take that for a yes. */
  emailVerified: boolean | 'unknown'
  name: string | null
  picture: string | null
  locale: string | null
  /** What the provider said, verified. */
  claims: Readonly<Record<string, unknown>>
}

/** Tokens that a code exchange brought. Handed to the lookup once; never stored or logged here. */
export interface ProviderTokens { refreshToken?: string }

/** What a provider answers. */
export type VerifiedIdentity = { subject: string } & Partial<Omit<Identity, 'provider' | 'subject'>> & {
  /** What a code exchange brought, for the lookup. The built-in providers make it not enumerable: no log shows it. */
  readonly providerTokens?: ProviderTokens
}

/** An id of a user: well-formed Unicode without NUL, which no store could keep, of 1 to 255 UTF-16 units. */
export function isId (value: unknown): value is string {
  const isText = typeof value === 'string' && value !== '' && value.length <= 255
  return isText && !value.includes('\0') && value.isWellFormed()
}

export interface VerifyContext {
  /** Aborted at the deadline (`providerTimeout`) and when the server closes. */
  signal: AbortSignal
}

/** How strictly a nonce is asked for. */
export type NoncePolicy = 'required' | 'if-present' | 'off'

/** Whether an ID token may be used for more than one login. */
export type ReplayPolicy = 'allow' | 'refuse'

/** What a client wishes of the login at the provider (OpenID Connect Core, 3.1.2.1). */
export interface AuthorizationHints {
  /** Whom it expects to log in. */
  loginHint?: string
  /** Some of `login`, `consent`, `select_account`, separated by blanks; or `none`. */
  prompt?: string
  /** Seconds since the user last proved who it is. */
  maxAge?: number
}

/** What a browser is sent to the provider with (RFC 6749, 4.1.1; RFC 7636; OpenID Connect Core, 3.1.2.1). */
export interface AuthorizationRequest extends AuthorizationHints {
  redirectUri: string
  state: string
  nonce: string
  /** Of the method S256. */
  codeChallenge: string
}

/** What the browser came back with, and what belongs to it. */
export interface AuthorizationAnswer {
  code: string
  redirectUri: string
  codeVerifier: string
  nonce: string
  /** The issuer that the answer names (RFC 9207), where it names one. */
  iss?: string
  /** Seconds that were asked for. */
  maxAge?: number
}

/** What the provider's side of an identity may come to. */
export const providerEventKinds = [
  'sessions-revoked', 'authorization-revoked', 'account-disabled', 'account-enabled', 'account-deleted',
  'credential-change', 'email-changed', 'data-deletion-requested', 'verification', 'other'
] as const

export type ProviderEventKind = (typeof providerEventKinds)[number]

/** What a provider tells of one of its users, verified: it has taken something back, or something has changed. */
export interface ProviderEvent {
  kind: ProviderEventKind
  /** The provider's id of the user, as in {@link Identity}; null where it names none. */
  subject: string | null
  /** The one session at the provider that it is about (`sid`); null where it is about all of the user's. */
  providerSession: string | null
  /** Milliseconds since the epoch: what began until then is concerned. */
  at: number
  /** By which it is known when it comes again; null where the provider gives it none. */
  id: string | null
}

/** How a provider's events arrive: the body as it was sent, which is what its signature is about. */
export interface EventRequest {
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

/** Somebody who may vouch for a user. The built-in providers and an application's own are of this one shape. */
export interface IdentityProvider {
  /** The kinds of grant that `verify` understands. */
  readonly accepts: readonly GrantType[]
  readonly nonce?: NoncePolicy
  readonly replay?: ReplayPolicy
  /**
   * Verifies a grant with the provider.
   *
   * @throws errors.GrantRejectedError when the provider says no, or a check fails (the app sees 401)
   * @throws errors.ProviderUnavailableError when nobody can tell at the moment (503)
   */
  verify (grant: AuthorizationGrant, context: VerifyContext): Promise<VerifiedIdentity>
  /** Where a browser is sent to log in: with `redeem`, a provider that offers logins by redirect. */
  authorizationUrl? (request: AuthorizationRequest, context?: VerifyContext): string | Promise<string>
  /** The provider answers browsers with a form that they post, and not with a query. */
  readonly responseMode?: 'form_post'
  /** Redeems the code that the browser brought back, and verifies whom it speaks of. @throws as `verify` */
  redeem? (answer: AuthorizationAnswer, context: VerifyContext): Promise<VerifiedIdentity>
  /**
   * Verifies what the provider posts to `/events/:provider`, and says what it is about. Several events of one `id` are
   * parts of one.
   *
   * @throws errors.EventInvalidError for what is forged, foreign or malformed (the sender sees 400)
   * @throws errors.ProviderUnavailableError when nobody can tell at the moment (503, so that it is sent again)
   */
  readEvents? (request: EventRequest, context: VerifyContext): Promise<readonly ProviderEvent[]>
}

// By a registered symbol, as the package's entries each have a copy of this file in CommonJS.
const kKeysAge: unique symbol = Symbol.for('fastify-token-exchange:keys-age')

/** A member of a provider that tells how old its keys are: milliseconds, or null before they were fetched. */
export function tellingKeysAge (age: () => number | null): { [kKeysAge]: () => number | null } {
  return { [kKeysAge]: age }
}

/** Milliseconds since a provider's keys were fetched; null where it has none, or does not tell. */
export function keysAgeOf (provider: IdentityProvider): number | null {
  const age: unknown = Reflect.get(provider, kKeysAge)
  const told: unknown = typeof age === 'function' ? age() : null
  return typeof told === 'number' ? told : null
}

/** How the sender of events is answered, where that is not an empty 200 or an error of ours. */
export interface EventAnswers {
  /** Of a success. @default 200 */
  readonly status?: 200 | 202
  /** What a refusal says, by the check that said no. */
  readonly refusal?: (check: Check) => object
  /** What is asked for at `/events/:provider/deletion`. */
  readonly deletion?: EventSource & { readonly answer: (event: ProviderEvent) => object }
}

export type EventSource = Required<Pick<IdentityProvider, 'readEvents'>>

const kEventAnswers: unique symbol = Symbol.for('fastify-token-exchange:event-answers')

/** A member of a provider that says how the sender of its events is answered. */
export function answeringEvents (answers: EventAnswers): { [kEventAnswers]: EventAnswers } {
  return { [kEventAnswers]: answers }
}

export function eventAnswersOf (provider: IdentityProvider & { [kEventAnswers]?: EventAnswers }): EventAnswers {
  return provider[kEventAnswers] ?? {}
}

/** What an attestation proves of the application that sent it. */
export interface ProvenApplication {
  /** Seconds since the epoch: it is remembered until then. */
  expiresAt: number
  /** Which of several it is: the label is then `label/application`. */
  application?: string
}

/** Somebody who tells whether a request comes from the application itself, and not from a copy of what is in it. */
export interface ApplicationVerifier {
  /** The header that carries the attestation. */
  readonly header: string
  /**
   * Verifies an attestation.
   *
   * @throws errors.GrantRejectedError when it is none (401)
   * @throws errors.ProviderUnavailableError when nobody can tell at the moment
   */
  verify (token: string, context: VerifyContext): Promise<ProvenApplication>
}
