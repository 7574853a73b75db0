import { readAzureMobileServices, type AzureMobileServicesOptions, type Destinations } from '../azure/destinations.js'
import type { CorsOptions } from '../guards/cors.js'
import type { CredentialHeaders } from '../guards/credentials.js'
import { readApplicationKeys, readCors, readDefaultLevel, readHeaders } from '../guards/settings.js'
import type { IdentityProvider } from '../identity.js'
import { isObject } from '../strict-json.js'
import { readLogging, type RouteLogging } from '../logging.js'
import { integer, isDictionary, members, pathPrefix, providerName, publicUrl, refused, text } from '../option-values.js'
import type { Level } from '../permissions/level.js'
import { everyoneProven, type PermissionLookup } from '../permissions/lookup.js'
import { resolveSessionOptions, type ResolvedSessionOptions, type SessionOptions } from '../sessions/session-options.js'
import { longestLifetime } from '../tokens/claims.js'
import { readKeys, type ServerKey, type SigningKey } from '../tokens/keys.js'

/** What an application says when it registers the plugin. Durations are whole seconds unless the name says otherwise. */
export interface TokenExchangeOptions {
  /** `iss` of the access tokens and the public address of this server: https, or http on a loopback host; no trailing slash. */
  issuer: string
  /** `aud` of the access tokens. @default issuer */
  audience?: string
  /** One HS256 secret of at least 32 bytes, or a list: the first that can sign, signs; all verify. `undefined`, as from an unset variable, is refused at start. */
  keys: string | readonly SigningKey[] | undefined
  /** Who may vouch for users, by name (`[a-z0-9_-]+`): the path segment of the login and the prefix of subjects. @default {} */
  providers?: Readonly<Record<string, IdentityProvider>>
  /** What an identity may do here. @default everyone proven is `authenticated` */
  permissions?: PermissionLookup
  /** Seconds, 30 to 86400. @default 3600 */
  accessTokenLifetime?: number
  /** Seconds, 0 to 300: how far the clocks of servers that share keys may differ. @default 5 */
  clockTolerance?: number
  /** Keys of applications by label, at least 16 characters each. @default {} */
  applicationKeys?: Readonly<Record<string, string>>
  /** Keys of operators by label, at least 16 characters each. @default {} */
  masterKeys?: Readonly<Record<string, string>>
  /** Header names beside `Authorization: Bearer`. @default x-zumo-auth, x-zumo-application, x-zumo-master */
  headers?: Partial<CredentialHeaders>
  /** Path before the plugin's own routes. @default none */
  prefix?: string
  /** `config.rateLimit` of the plugin's own routes, for @fastify/rate-limit. @default none */
  rateLimit?: object
  /** Guards every route that has no guard of its own. Only in the root scope. @default none */
  defaultLevel?: Level
  /** Refresh tokens, logout and revocation. @default none: an access token is good until it expires */
  sessions?: SessionOptions
  /** Registers @fastify/cors for these browser origins. @default none */
  cors?: CorsOptions
  /** Answers clients of Azure Mobile Services and Azure Mobile Apps in their dialect. @default false */
  azureMobileServices?: boolean | AzureMobileServicesOptions
  /** Milliseconds for all calls of one verification. @default 5000 */
  providerTimeout?: number
  /** Milliseconds for one permission lookup. @default 5000 */
  lookupTimeout?: number
  /** Verifications in flight at each provider, of one client address at most three quarters. @default 64 */
  concurrency?: number
}

/** {@link TokenExchangeOptions}, checked and complete: nothing downstream has a default of its own. */
export interface ResolvedOptions {
  readonly issuer: string
  readonly audience: string
  readonly keys: readonly ServerKey[]
  readonly providers: ReadonlyMap<string, IdentityProvider>
  readonly permissions: PermissionLookup
  readonly accessTokenLifetime: number
  readonly clockTolerance: number
  readonly applicationKeys: Readonly<Record<string, string>>
  readonly masterKeys: Readonly<Record<string, string>>
  readonly headers: CredentialHeaders
  readonly prefix: string
  readonly rateLimit: object | null
  readonly defaultLevel: Level | null
  readonly sessions: ResolvedSessionOptions | null
  readonly cors: CorsOptions | null
  readonly azureMobileServices: Destinations | null
  readonly providerTimeout: number
  readonly lookupTimeout: number
  readonly concurrency: number
  /** Of the plugin's own routes: Fastify's register options. */
  readonly logging: RouteLogging
}

const known = [
  'issuer',
  'audience',
  'keys',
  'providers',
  'permissions',
  'accessTokenLifetime',
  'clockTolerance',
  'applicationKeys',
  'masterKeys',
  'headers',
  'prefix',
  'rateLimit',
  'defaultLevel',
  'sessions',
  'cors',
  'azureMobileServices',
  'providerTimeout',
  'lookupTimeout',
  'concurrency',
  // Fastify's own, which it reads from the options of any plugin.
  'logLevel',
  'logSerializers'
] as const

/**
 * Checks the options, once.
 *
 * @throws errors.OptionInvalidError whose message names the option, and never holds a secret
 */
export async function resolveOptions (options: unknown): Promise<ResolvedOptions> {
  const given = members(options, 'options', known)
  const issuer = publicUrl(given.issuer, 'issuer')
  const keys = await readKeys(given.keys)
  const providers = readProviders(given.providers)
  if (providers.size > 0 && keys.every(({ signWith }) => signWith === null)) {
    throw refused('keys', 'holds none that can sign, and there are providers')
  }
  const cors = readCors(given.cors)
  return Object.freeze({
    issuer,
    audience: text(given.audience, 'audience', issuer),
    keys,
    providers,
    permissions: readLookup(given.permissions),
    accessTokenLifetime: integer(given.accessTokenLifetime, 'accessTokenLifetime', {
      least: 30,
      most: longestLifetime,
      otherwise: 3600
    }),
    clockTolerance: integer(given.clockTolerance, 'clockTolerance', { least: 0, most: 300, otherwise: 5 }),
    ...readApplicationKeys(given.applicationKeys, given.masterKeys),
    headers: readHeaders(given.headers),
    prefix: pathPrefix(given.prefix, 'prefix'),
    rateLimit: readRateLimit(given.rateLimit),
    defaultLevel: readDefaultLevel(given.defaultLevel),
    sessions:
      given.sessions === undefined
        ? null
        : resolveSessionOptions(
          given.sessions,
          keys.flatMap(({ signWith }) => signWith ?? [])
        ),
    cors,
    azureMobileServices: readAzureMobileServices(given.azureMobileServices, {
      corsOrigins: cors?.origins ?? [],
      providers: providers.keys()
    }),
    providerTimeout: integer(given.providerTimeout, 'providerTimeout', { least: 1, most: 60_000, otherwise: 5000 }),
    lookupTimeout: integer(given.lookupTimeout, 'lookupTimeout', { least: 1, most: 60_000, otherwise: 5000 }),
    concurrency: integer(given.concurrency, 'concurrency', { least: 1, most: 100_000, otherwise: 64 }),
    logging: readLogging(given.logLevel, given.logSerializers)
  })
}

function readProviders (value: unknown = {}): ReadonlyMap<string, IdentityProvider> {
  if (!isDictionary(value)) throw refused('providers', 'must be a plain object of identity providers')
  return new Map(
    Object.entries(value).map(([name, provider]) => [providerName(name), readProvider(provider, `providers.${name}`)])
  )
}

function readProvider (value: unknown, path: string): IdentityProvider {
  if (!isProvider(value)) {
    throw refused(
      path,
      "must be an identity provider: { accepts: ['access_token' | 'id_token' | 'authorization_code', …], verify () {} }"
    )
  }
  if (![undefined, 'required', 'if-present', 'off'].includes(value.nonce)) {
    throw refused(`${path}.nonce`, "must be 'required', 'if-present' or 'off'")
  }
  if (![undefined, 'allow', 'refuse'].includes(value.replay)) {
    throw refused(`${path}.replay`, "must be 'allow' or 'refuse'")
  }
  const { authorizationUrl, redeem } = value
  const isWhole = typeof authorizationUrl === typeof redeem && ['undefined', 'function'].includes(typeof redeem)
  if (!isWhole) throw refused(path, 'must have both authorizationUrl () {} and redeem () {}, or neither')
  return value
}

function isProvider (value: unknown): value is IdentityProvider {
  if (
    !isObject(value) ||
    typeof value.verify !== 'function' ||
    !Array.isArray(value.accepts) ||
    value.accepts.length === 0
  ) { return false }
  return value.accepts.every(
    (type: unknown) => type === 'access_token' || type === 'id_token' || type === 'authorization_code'
  )
}

function readLookup (value: unknown = everyoneProven): PermissionLookup {
  if (!isLookup(value)) throw refused('permissions', 'must be a function')
  return value
}

function isLookup (value: unknown): value is PermissionLookup {
  return typeof value === 'function'
}

function readRateLimit (value: unknown): object | null {
  if (value === undefined) return null
  if (!isObject(value)) throw refused('rateLimit', 'must be an object')
  return { ...value }
}
