import type { EventListener } from './events.js'
import { readDpop, type DpopMode, type DpopOptions, type ResolvedDpop } from './dpop/dpop-options.js'
import { readApplications, type ApplicationVerifiers } from './guards/attestations.js'
import { readCors, type CorsOptions } from './guards/cors.js'
import {
  defaultHeaders, readHeaders, readKeyLists, type CredentialHeaders, type KeyList
} from './guards/credentials.js'
import { readDefaultLevel, type DefaultLevel } from './guards/route-guards.js'
import { defaultBytes, readTokenCache, type TokenCacheOptions } from './guards/token-cache.js'
import { readTokenFrom, type TokenFrom } from './guards/token-kinds.js'
import { grantTypes, type ApplicationVerifier, type IdentityProvider } from './identity.js'
import { readClients, type ClientOptions, type Clients } from './login/clients.js'
import { readAzureMobileServices, type AzureMobileServicesOptions, type Destinations } from './login/destinations.js'
import type { ProviderEventListener } from './login/provider-events.js'
import { readLogging, type RouteLogging } from './options/logging.js'
import {
  callback, dictionary, integer, object, oneOf, open, pathPrefix, publicUrl, refused, text, type Given
} from './options/values.js'
import { everyoneProven, type PermissionLookup } from './permissions/lookup.js'
import type { Level } from './permissions/permissions.js'
import { resolveSessionOptions, type ResolvedSessionOptions, type SessionOptions } from './sessions/session-options.js'
import { memoryStore } from './sessions/stores/memory.js'
import { isObject } from './strict-json.js'
import { longestLifetime } from './tokens/claims.js'
import { readKeys, type ServerKey, type SigningKey } from './tokens/keys.js'

/** What an application says when it registers the plugin. Durations are whole seconds unless a name says otherwise. */
export interface TokenExchangeOptions {
  /**
   * `iss` of the access tokens and the public address of this server: https, or http on a loopback host.
   * @example issuer: 'https://api.example.com'
   */
  issuer: string
  /**
   * `aud` of the access tokens. @default issuer
   * @example audience: 'https://api.example.com/todos'
   */
  audience?: string
  /**
   * One HS256 secret of at least 32 bytes, or a list: the first that can sign, signs; all verify. `undefined`, as from
   * an unset variable, is refused at start.
   * @example keys: [
   *   { algorithm: 'EdDSA', privateKey: readFileSync('signing-key.pem', 'utf8') },
   *   { algorithm: 'HS256', secret: process.env.OLD_SECRET ?? '' }
   * ]
   */
  keys: string | readonly SigningKey[] | undefined
  /**
   * Who may vouch for users, by name (`[a-z0-9_-]+`): the path segment of the login, the prefix of ids. @default {}
   * @example providers: { google: google({ clientIds: ['…ios', '…web'] }) }
   */
  providers?: Readonly<Record<string, IdentityProvider>>
  /**
   * What an identity may do here. @default everyone proven is `authenticated`
   * @example permissions: ({ subject }) => subject === '42' ? null : { permissions: ['todo:read'] }
   */
  permissions?: PermissionLookup
  /**
   * Seconds, 30 to 86400. @default 3600
   * @example accessTokenLifetime: 900
   */
  accessTokenLifetime?: number
  /**
   * Seconds, 0 to 300: how far the clocks of servers that share keys may differ. @default 5
   * @example clockTolerance: 30
   */
  clockTolerance?: number
  /**
   * Keys of applications by label, at least 16 characters each. @default {}
   * @example applicationKeys: { ios: process.env.IOS_KEY ?? '' }
   */
  applicationKeys?: Readonly<Record<string, string>>
  /**
   * Verifiers of attestations by label: who proves to be the application needs no key of it, which is in every copy.
   * `appCheck` of `fastify-token-exchange/applications`, or an own one. @default {}
   * @example applications: { app: appCheck({ projectNumber: '1042', appIds: ['1:1042:ios:4f2a'] }) }
   */
  applications?: Readonly<Record<string, ApplicationVerifier>>
  /**
   * Keys of operators by label, at least 16 characters each. @default {}
   * @example masterKeys: { operations: process.env.MASTER_KEY ?? '' }
   */
  masterKeys?: Readonly<Record<string, string>>
  /**
   * Header names beside `Authorization: Bearer`. @default x-zumo-auth, x-zumo-application, x-zumo-master
   * @example headers: { token: 'x-todo-auth' }
   */
  headers?: Partial<CredentialHeaders>
  /**
   * Asked for a token where neither header carries one: a cookie's, a subprotocol's. Answers at once. @default none
   * @example tokenFrom: request => request.headers['sec-websocket-protocol']?.split(', ')[1] ?? null
   */
  tokenFrom?: TokenFrom
  /**
   * Memory for access tokens that have proven themselves, so that they need not be proven again.
   * @example tokenCache: { bytes: 128 * 1024 * 1024 }
   */
  tokenCache?: TokenCacheOptions
  /**
   * Path before the plugin's own routes. @default none
   * @example prefix: '/auth'
   */
  prefix?: string
  /**
   * `config.rateLimit` of the plugin's own routes, for @fastify/rate-limit. @default none
   * @example rateLimit: { max: 20, timeWindow: '1 minute' }
   */
  rateLimit?: object
  /**
   * Guards every route that has no guard of its own, but for some. Only in the root scope. @default none
   * @example defaultLevel: { level: 'authenticated', except: ['/', '/docs/*'] }
   */
  defaultLevel?: Level | DefaultLevel
  /**
   * Refresh tokens, logout and revocation. @default none: an access token is good until it expires
   * @example sessions: { store: redisStore({ client: redis }) }
   */
  sessions?: SessionOptions
  /**
   * Proof of possession (RFC 9449): binds what a login hands out to a key of the client, so that a copy of it is worth
   * nothing. `'refresh'` binds refresh tokens and costs requests nothing; `'all'` binds access tokens too.
   * @default none: a client's proofs are not looked at
   * @example dpop: 'refresh'
   */
  dpop?: DpopMode | DpopOptions
  /**
   * Registers @fastify/cors for these browser origins. @default none
   * @example cors: { origins: ['https://www.example.com'] }
   */
  cors?: CorsOptions
  /**
   * Public OAuth clients by their id (`[A-Za-z0-9._~-]+`): web pages, desktop programs, apps that log in by redirect
   * (RFC 6749, 7636, 8252). Needs a provider with `redirect`. @default none
   * @example clients: { web: { redirectUris: ['https://www.example.com/callback'] } }
   */
  clients?: Readonly<Record<string, ClientOptions>>
  /**
   * Answers clients of Azure Mobile Services and Azure Mobile Apps in their dialect. @default false
   * @example azureMobileServices: { redirectUris: ['myapp://easyauth.callback'] }
   */
  azureMobileServices?: boolean | AzureMobileServicesOptions
  /**
   * Called with what happened: logins, refusals, ends of sessions, outages. Never awaited. @default none
   * @example onEvent: event => console.log(event.type, event.provider)
   */
  onEvent?: EventListener
  /**
   * Told of what a provider takes back, after its sessions have ended and before the provider is answered: to delete
   * an account, to disable one. At least once for each event; what it throws makes the provider send the event again.
   * Needs a provider with `events`. @default none
   * @example onProviderEvent: async ({ kind, provider, subject }) => console.log(kind, provider, subject)
   */
  onProviderEvent?: ProviderEventListener
  /**
   * Milliseconds for all calls of one verification. @default 5000
   * @example providerTimeout: 3000
   */
  providerTimeout?: number
  /**
   * Milliseconds for one permission lookup, and for one `onProviderEvent`. @default 5000
   * @example lookupTimeout: 2000
   */
  lookupTimeout?: number
  /**
   * Verifications in flight at each provider, of one client address at most three quarters. @default 64
   * @example concurrency: 128
   */
  concurrency?: number
}

/** {@link TokenExchangeOptions}, checked and complete: nothing downstream has a default of its own. */
export interface ResolvedOptions {
  readonly issuer: string
  readonly audience: string
  readonly keys: readonly ServerKey[]
  readonly providers: ReadonlyMap<string, IdentityProvider>
  readonly permissions: PermissionLookup
  /**
   * Whether clients get tokens here: from providers, or by refreshing those of the application's own logins. Without a
   * lookup of its own a server only guards; it must not renew what another one's lookup has granted.
   */
  readonly handsOutTokens: boolean
  readonly accessTokenLifetime: number
  readonly clockTolerance: number
  readonly applicationKeys: KeyList
  readonly masterKeys: KeyList
  readonly applications: ApplicationVerifiers
  readonly headers: CredentialHeaders
  readonly tokenFrom: TokenFrom | null
  /** Bytes. */
  readonly tokenCache: number
  readonly prefix: string
  readonly rateLimit: object | null
  readonly defaultLevel: DefaultLevel | null
  readonly sessions: ResolvedSessionOptions | null
  readonly dpop: ResolvedDpop | null
  readonly cors: CorsOptions | null
  readonly clients: Clients
  readonly azureMobileServices: Destinations | null
  readonly onEvent: EventListener | null
  readonly onProviderEvent: ProviderEventListener | null
  readonly providerTimeout: number
  readonly lookupTimeout: number
  readonly concurrency: number
  /** Of the plugin's own routes: Fastify's register options. */
  readonly logging: RouteLogging
}

const names = [
  'issuer', 'audience', 'keys', 'providers', 'permissions', 'accessTokenLifetime', 'clockTolerance', 'applicationKeys',
  'applications', 'masterKeys', 'headers', 'tokenFrom', 'tokenCache', 'prefix', 'rateLimit', 'defaultLevel',
  'sessions', 'dpop', 'cors', 'clients', 'azureMobileServices', 'onEvent',
  'onProviderEvent',
  'providerTimeout', 'lookupTimeout', 'concurrency',
  // Fastify's own, which it reads from the options of any plugin.
  'logLevel', 'logSerializers'
] as const

const milliseconds = integer(1, 60_000)

/**
 * Checks the options, once.
 *
 * @throws errors.OptionInvalidError whose message names the option, and never holds a secret
 */
export async function resolveOptions (options: unknown): Promise<ResolvedOptions> {
  const given = open(options, '', names)
  const issuer = given.read('issuer', publicUrl)
  const keys = await given.read('keys', readKeys)
  const providers = given.read('providers', dictionary(readProvider), new Map<string, IdentityProvider>())
  const keyMaterial = keys.flatMap(({ signWith }) => signWith ?? [])
  if (providers.size > 0 && keyMaterial.length === 0) {
    throw given.refuse('keys', 'holds none that can sign, and there are providers')
  }
  const cors = given.read<CorsOptions | null>('cors', readCors, null)
  const azureMobileServices = readAzureMobileServices(given, {
    corsOrigins: cors?.origins ?? [],
    providers: providers.keys()
  })
  const clients = given.read('clients', readClients, new Map())
  requireBothSides(given, { clients, providers, hasDialect: azureMobileServices !== null })
  const sessions = given.has('sessions')
    ? given.read('sessions', value => resolveSessionOptions(value, { keyMaterial, makeStore: memoryStore }))
    : null
  const headers = given.read('headers', readHeaders, defaultHeaders)
  const dpop = given.read<ResolvedDpop | null>('dpop', readDpop, null)
  if (dpop?.mode === 'refresh' && sessions === null) {
    throw given.refuse('dpop', "binds refresh tokens in the mode 'refresh', which need sessions")
  }
  return Object.freeze({
    issuer,
    audience: given.read('audience', text, issuer),
    keys,
    providers,
    permissions: given.read('permissions', callback(isLookup), everyoneProven),
    handsOutTokens: providers.size > 0 || (sessions !== null && keyMaterial.length > 0 && given.has('permissions')),
    accessTokenLifetime: given.read('accessTokenLifetime', integer(30, longestLifetime), 3600),
    clockTolerance: given.read('clockTolerance', integer(0, 300), 5),
    ...readKeyLists(given),
    headers,
    applications: readApplications(given, headers),
    tokenFrom: given.read<TokenFrom | null>('tokenFrom', readTokenFrom, null),
    tokenCache: given.read('tokenCache', readTokenCache, defaultBytes),
    prefix: given.read('prefix', pathPrefix, ''),
    rateLimit: given.read<object | null>('rateLimit', object, null),
    defaultLevel: given.read<DefaultLevel | null>('defaultLevel', readDefaultLevel, null),
    sessions,
    dpop,
    cors,
    clients,
    azureMobileServices,
    onEvent: given.read<EventListener | null>('onEvent', callback(isListener), null),
    onProviderEvent: readProviderEventListener(given, providers),
    providerTimeout: given.read('providerTimeout', milliseconds, 5000),
    lookupTimeout: given.read('lookupTimeout', milliseconds, 5000),
    concurrency: given.read('concurrency', integer(1, 100_000), 64),
    logging: readLogging(given)
  })
}

/** A login by redirect has two sides: who asks for it, and where the browser is sent. One alone would do nothing. */
function requireBothSides (
  given: Given<'clients'>,
  { clients, providers, hasDialect }:
  { clients: Clients, providers: ReadonlyMap<string, IdentityProvider>, hasDialect: boolean }
): void {
  const redirecting = [...providers].find(([, { authorizationUrl }]) => authorizationUrl !== undefined)
  if (clients.size > 0 && redirecting === undefined) {
    throw given.refuse('clients', 'need a provider that they can log in at by redirect: give one of them redirect')
  }
  if (redirecting !== undefined && clients.size === 0 && !hasDialect) {
    throw refused(`providers.${redirecting[0]}`, 'has redirect, which needs clients (or azureMobileServices)')
  }
}

/** One that is never called would be an account that is never deleted. */
function readProviderEventListener (
  given: Given<'onProviderEvent'>,
  providers: ReadonlyMap<string, IdentityProvider>
): ProviderEventListener | null {
  const listener = given.read<ProviderEventListener | null>('onProviderEvent', callback(isProviderEventListener), null)
  const isTold = [...providers.values()].some(({ readEvents }) => readEvents !== undefined)
  if (listener === null || isTold) return listener
  throw given.refuse('onProviderEvent', 'needs a provider that sends events: give one of them events')
}

/** Fastify's default `maxParamLength`: it answers 404 to a longer segment of a path before any route sees it. */
const longestName = 100

function readProvider (value: unknown, path: string, name: string): IdentityProvider {
  if (!/^[a-z0-9_-]+$/.test(name)) throw refused(path, 'must be named by a-z, 0-9, _ and - only')
  if (name.length > longestName) throw refused('providers', `must have names of at most ${longestName} characters`)
  if (!isProvider(value)) {
    throw refused(path, `must be an identity provider: { accepts: [${grantTypes.join(' | ')}, …], verify () {} }`)
  }
  const policies = open({ nonce: value.nonce, replay: value.replay }, path, ['nonce', 'replay'])
  policies.read('nonce', oneOf('required', 'if-present', 'off'), 'if-present')
  policies.read('replay', oneOf('allow', 'refuse'), 'allow')
  const { authorizationUrl, redeem, readEvents } = value
  if (!['undefined', 'function'].includes(typeof readEvents)) throw refused(`${path}.readEvents`, 'must be a function')
  open({ responseMode: value.responseMode }, path, ['responseMode']).read('responseMode', oneOf('form_post'), null)
  const isWhole = typeof authorizationUrl === typeof redeem && ['undefined', 'function'].includes(typeof redeem)
  if (!isWhole) throw refused(path, 'must have both authorizationUrl () {} and redeem () {}, or neither')
  return value
}

function isProvider (value: unknown): value is IdentityProvider {
  return isObject(value) && typeof value.verify === 'function' && Array.isArray(value.accepts) &&
    value.accepts.length > 0 && value.accepts.every(type => grantTypes.some(one => one === type))
}

function isProviderEventListener (value: unknown): value is ProviderEventListener {
  return typeof value === 'function'
}

function isListener (value: unknown): value is EventListener {
  return typeof value === 'function'
}

function isLookup (value: unknown): value is PermissionLookup {
  return typeof value === 'function'
}
