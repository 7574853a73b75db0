import { enteringByItself, entersByItself, server, type Asking } from '../deadline.js'
import { errors, rejected } from '../errors.js'
import { requireDispatch } from '../http/client.js'
import { asymmetricAlgorithms, createKeySet, type KeySet } from '../http/key-set.js'
import {
  tellingKeysAge,
  type AuthorizationAnswer,
  type AuthorizationGrant,
  type EventSource,
  type GrantType,
  type IdentityProvider,
  type NoncePolicy,
  type ReplayPolicy,
  type VerifiedIdentity,
  type VerifyContext
} from '../identity.js'
import { callback, endpointUrl, list, oneOf, open, text, type Given, type Reader } from '../options/values.js'
import { isObject } from '../strict-json.js'
import {
  authorizationUrl,
  checkIssuer,
  exchangeCode,
  isOpenid,
  requireClient,
  requireRedirect,
  serverOf,
  type RedirectClient,
  type TokenClient,
  type Tokens
} from './code-flow.js'
import { verifyIdToken, type IdTokenRules, type ResolvedRules } from './id-token.js'

/** Options that every provider of ID tokens takes. */
export interface IdTokenOptions {
  /**
   * `required`: only a nonce that this server issued, once. `if-present`: a nonce that the app posts must be the
   * token's.
   * @default 'if-present'
   */
  nonce?: NoncePolicy
  /**
   * `refuse`: an ID token makes one login.
   * @default 'allow'
   */
  replay?: ReplayPolicy
}

/** What a provider declares: its ID tokens, or its check of access tokens, or both. */
export interface ProviderDefinition extends IdTokenOptions {
  readonly idToken?: IdTokenRules
  /**
   * Asks the provider whose an access token is, and first of all whether it was issued to this app.
   * Throws errors.GrantRejectedError for a no, errors.ProviderUnavailableError where nobody can tell.
   */
  readonly accessToken?: (token: string, context: VerifyContext) => Promise<VerifiedIdentity>
  /** Where codes are exchanged that apps post, or what exchanges them. */
  readonly code?: TokenClient | ((grant: AuthorizationGrant, context: VerifyContext) => Promise<Tokens>)
  /** Logins by redirect. */
  readonly redirect?: RedirectClient | null
  /** What the provider takes back, at `/events/:provider`. */
  readonly events?: EventSource | null
}

/**
 * A provider of your own, of the same make as those of this package: what it declares is checked, cheap checks first,
 * and nonces, replays, key sets, outages, overload and logins by redirect are seen to.
 *
 * @example
 * ```ts
 * import { errors } from 'fastify-token-exchange'
 * import { defineProvider } from 'fastify-token-exchange/providers'
 *
 * const acme = defineProvider({
 *   idToken: {
 *     issuers: ['https://login.acme.example'],
 *     clientIds: ['todo-ios', 'todo-android'],
 *     algorithms: ['RS256'],
 *     keys: 'https://login.acme.example/keys'
 *   }
 * })
 *
 * const vault = defineProvider({
 *   async accessToken (token, { signal }) {
 *     const headers = { authorization: `Bearer ${token}` }
 *     const answer = await fetch('https://vault.example/token', { headers, signal })
 *     if (answer.status === 401) throw new errors.GrantRejectedError('status 401')
 *     if (!answer.ok) throw new errors.ProviderUnavailableError(`status ${answer.status}`)
 *     const { userId, app } = Object(await answer.json())
 *     // A token of another app, for the same person, must not open the door.
 *     if (app !== 'todo') throw new errors.GrantRejectedError('app')
 *     return { subject: userId, clientId: app }
 *   }
 * })
 * ```
 * @throws errors.OptionInvalidError
 */
export function defineProvider (definition: ProviderDefinition): IdentityProvider {
  requireDispatch()
  const provider = assemble(definition, readDefinition(definition))
  for (const method of [provider.verify, provider.authorizationUrl, provider.redeem]) {
    if (method !== undefined) enteringByItself(method)
  }
  return provider
}

interface Declared { rules: ResolvedRules | null, policies: Required<IdTokenOptions> }

function readDefinition (definition: ProviderDefinition): Declared {
  const given = open(definition, 'provider', [
    'idToken', 'accessToken', 'code', 'redirect', 'events', ...idTokenOptions
  ])
  if (!given.has('idToken') && !given.has('accessToken')) throw given.refuse('idToken', 'or accessToken is needed')
  if (!given.has('idToken') && (given.has('nonce') || given.has('replay'))) {
    throw given.refuse('nonce', 'and replay are for ID tokens')
  }
  given.read('accessToken', callback(isFunction), null)
  if (given.has('code') && typeof definition.code !== 'function') given.read('code', requireClient)
  const policies = readPolicies(given)
  if (given.has('redirect') && definition.redirect !== null) {
    requireOpenid(given.read('redirect', requireRedirect).scope, given, policies)
  }
  const { idToken } = definition
  return { rules: idToken === undefined ? null : readRules(idToken), policies }
}

/** OpenID Connect Core, 3.1.2.1: without that scope there is no ID token, which alone carries the nonce. */
function requireOpenid (
  scope: string,
  given: Given<keyof ProviderDefinition>,
  { nonce }: Required<IdTokenOptions>
): void {
  if (isOpenid(scope)) return
  if (!given.has('accessToken')) throw given.refuse('redirect', 'needs the scope openid')
  if (nonce !== 'required') return
  const remedy = `redirect: { scope: 'openid ${scope}' }, or nonce: 'if-present'`
  throw given.refuse('redirect', `needs the scope openid where nonce is 'required': ${remedy}`)
}

function readRules (declared: IdTokenRules): ResolvedRules {
  const given = open(declared, 'provider.idToken', [
    'keys', 'algorithms', 'issuers', 'clientIds', 'members', 'nonceForms', 'check', 'identity'
  ])
  for (const name of ['check', 'identity'] as const) given.read(name, callback(isFunction), null)
  return {
    ...declared,
    keys: given.read('keys', (keys, path) => isKeySet(keys) ? entering(keys) : createKeySet(endpointUrl(keys, path))),
    algorithms: given.read('algorithms', list(oneOf(...asymmetricAlgorithms))),
    issuers: typeof declared.issuers === 'function' ? declared.issuers : given.read('issuers', list(text)),
    clientIds: given.read('clientIds', list(text))
  }
}

function isFunction (value: unknown): value is () => unknown {
  return typeof value === 'function'
}

function isKeySet (value: unknown): value is KeySet {
  return isObject(value) && typeof value.key === 'function'
}

/** An application's own set may ask anybody for a key, and does not say when: a place is taken before. */
function entering (keys: KeySet): KeySet {
  if (entersByItself(keys.key)) return keys
  return {
    key (kid, algorithm, context: Asking) {
      context[server]?.enter()
      return keys.key(kid, algorithm, context)
    }
  }
}

/** The names of {@link IdTokenOptions}. */
export const idTokenOptions = ['nonce', 'replay'] as const

export function readPolicies (given: Given<typeof idTokenOptions[number]>): Required<IdTokenOptions> {
  return {
    nonce: given.read('nonce', oneOf('if-present', 'required', 'off'), 'if-present'),
    replay: given.read('replay', oneOf('allow', 'refuse'), 'allow')
  }
}

/** Reads the option `endpoints` of a factory; the default of one without an address of its own is empty. */
export function endpoints<const Name extends string> (
  defaults: Readonly<Record<Name, string>>
): Reader<Readonly<Record<Name, string>>> {
  return (value, path) => {
    const names = Object.keys(defaults)
    const given = open(value, path, names)
    const replaced = names.filter(given.has).map(name => [name, given.read(name, endpointUrl)])
    return { ...defaults, ...Object.fromEntries(replaced) }
  }
}

/** Reads an option that turns something on, and has no members. */
export function switchOf<Value> (on: Value): Reader<Value> {
  return (value, path) => {
    open(value, path, [])
    return on
  }
}

/** A configured base of addresses, to which paths are appended. */
export function withoutSlash (url: string): string {
  return url.endsWith('/') ? withoutSlash(url.slice(0, -1)) : url
}

function assemble (definition: ProviderDefinition, { rules, policies }: Declared): IdentityProvider {
  const { accessToken, code, redirect, events } = definition
  const ask = accessTokenCheck(definition, policies)
  const identify = identifier(ask, policies)
  return {
    accepts: [
      ...(accessToken !== undefined || takes(rules, 'access_token') ? ['access_token'] as const : []),
      ...(takes(rules, 'id_token') ? ['id_token'] as const : []),
      ...(code !== undefined ? ['authorization_code'] as const : [])
    ],
    ...(rules !== null && { ...policies, ...tellingKeysAge(() => rules.keys.age?.() ?? null) }),
    ...(redirect !== undefined && redirect !== null && redirection(redirect, rules, identify)),
    ...events,

    async verify (grant, context: Asking) {
      // Access tokens are opaque, as a rule, and have no dots.
      const isJwt = accessToken === undefined || grant.type !== 'access_token' || grant.token.split('.').length === 3
      if (takes(rules, grant.type) && isJwt) return await verifyIdToken(rules, policies.nonce, grant, context)
      if (grant.type === 'access_token') return await ask(grant.token, context)
      if (grant.type !== 'authorization_code' || code === undefined) throw rejected('form', 'kind')
      context[server]?.enter()
      const exchange = typeof code === 'function' ? code(grant, plain(context)) : exchangeCode(code, grant, context)
      return await identify(await exchange, rules, context, grant.nonce)
    }
  }
}

type Ask = (accessToken: string, context: Asking) => Promise<VerifiedIdentity>

function accessTokenCheck ({ accessToken: check }: ProviderDefinition, { nonce }: Required<IdTokenOptions>): Ask {
  return async (accessToken, context) => {
    if (check === undefined) throw rejected('form', 'kind')
    if (nonce === 'required') throw rejected('nonce', 'this kind of grant carries no nonce')
    context[server]?.enter()
    return await check(accessToken, plain(context))
  }
}

/** Of own members, for a check that may be the application's and hand a copy on. */
function plain (context: Asking): Asking {
  const behalf = context[server]
  return { signal: context.signal, ...(behalf !== undefined && { [server]: behalf }) }
}

/** Whom tokens speak of: an ID token by its rules, else the access token by asking. */
type Identify = (
  tokens: Tokens,
  rules: ResolvedRules | null,
  context: Asking,
  nonce?: string,
  policy?: NoncePolicy
) => Promise<VerifiedIdentity>

function identifier (ask: Ask, policies: Required<IdTokenOptions>): Identify {
  return async ({ idToken, accessToken, refreshToken }, rules, context, nonce, policy = policies.nonce) => {
    const identity = rules === null
      ? await ask(present(accessToken, 'access token'), context)
      : await verifyIdToken(rules, policy, { token: present(idToken, 'ID token'), ...(nonce && { nonce }) }, context)
    return refreshToken === null
      ? identity
      : Object.defineProperty({ ...identity }, 'providerTokens', { value: Object.freeze({ refreshToken }) })
  }
}

function redirection (
  redirect: RedirectClient,
  rules: ResolvedRules | null,
  identify: Identify
): Required<Pick<IdentityProvider, 'authorizationUrl' | 'redeem'>> & Pick<IdentityProvider, 'responseMode'> {
  // Whatever an app may do: this nonce is ours, as this server sent it.
  const ours = rules !== null && isOpenid(redirect.scope)
    ? { ...rules, clientIds: [redirect.clientId], nonceForms: ['raw'] as const }
    : null
  const responseMode = typeof redirect.server === 'function' ? undefined : redirect.server.responseMode
  return {
    ...(responseMode !== undefined && { responseMode }),

    async authorizationUrl (request, context = { signal: new AbortController().signal }) {
      return authorizationUrl(redirect, await serverOf(redirect, context), request)
    },

    async redeem (answer, context) {
      const server = await serverOf(redirect, context)
      checkIssuer(server, answer)
      const tokens = await exchangeCode({ ...redirect, ...server }, { ...answer, token: answer.code }, context)
      const identity = await identify(tokens, ours, context, answer.nonce, 'required')
      requireRecent(identity, answer)
      return identity
    }
  }
}

/** Seconds that the provider's clock may be ahead or behind. */
const clockTolerance = 60

/** OpenID Connect Core, 3.1.3.7, 13: a provider may have taken no notice of `max_age`. */
function requireRecent ({ claims = {} }: VerifiedIdentity, { maxAge }: AuthorizationAnswer): void {
  const { auth_time: authenticatedAt } = claims
  if (maxAge === undefined || typeof authenticatedAt !== 'number') return
  if (Date.now() / 1000 - authenticatedAt > maxAge + clockTolerance) throw rejected('time', 'auth_time')
}

function takes (rules: ResolvedRules | null, type: GrantType): rules is ResolvedRules {
  return rules !== null && (rules.members ?? ['id_token']).includes(type)
}

function present (token: string | null, name: string): string {
  if (token === null) throw new errors.ProviderUnavailableError(`token endpoint: no ${name}`)
  return token
}
