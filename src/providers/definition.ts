import { entersByItself, server, type Asking } from '../deadline.js'
import { asymmetricAlgorithms, createKeySet, type KeySet } from '../http/key-set.js'
import type {
  AuthorizationGrant, EventSource, NoncePolicy, ReplayPolicy, VerifiedIdentity, VerifyContext
} from '../identity.js'
import { callback, endpointUrl, list, oneOf, open, text, type Given, type Reader } from '../options/values.js'
import { isObject } from '../strict-json.js'
import {
  isOpenid, requireClient, requireRedirect, type RedirectClient, type TokenClient, type Tokens
} from './code-flow.js'
import type { IdTokenRules, ResolvedRules } from './id-token.js'

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

/** A definition that has been read. */
export interface Declared { rules: ResolvedRules | null, policies: Required<IdTokenOptions> }

/** @throws errors.OptionInvalidError */
export function readDefinition (definition: ProviderDefinition): Declared {
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
