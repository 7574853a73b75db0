import { integer, list, oneOf, open, refused, secret } from '../options/values.js'
import type { SessionStore } from './store.js'

/** Refresh tokens, logout and revocation. All durations in seconds. */
export interface SessionOptions {
  /**
   * Where sessions live. @default memoryStore(), which serves one server
   * @example store: postgresStore({ pool })
   */
  store?: SessionStore | undefined
  /**
   * Seconds: ends a session that was not refreshed for so long. @default 2592000 (30 days)
   * @example idleLifetime: 7 * 86_400
   */
  idleLifetime?: number | undefined
  /**
   * Seconds: ends a session however often it was refreshed. @default 31536000 (365 days)
   * @example absoluteLifetime: 90 * 86_400
   */
  absoluteLifetime?: number | undefined
  /**
   * Seconds: how long the previous refresh token may come again after its successor has arrived. @default 30
   * @example retryWindow: 60
   */
  retryWindow?: number | undefined
  /**
   * Key the refresh tokens, >= 32 bytes each: the first makes, all verify.
   * @default derived from the private parts of `keys`
   * @example secrets: [process.env.REFRESH_SECRET ?? '', process.env.OLD_REFRESH_SECRET ?? '']
   */
  secrets?: readonly string[] | undefined
  /**
   * What guards do when this server has not been able to read for `maxStaleness` what was revoked: let tokens pass, or
   * answer 503. @default 'accept'
   * @example whenStale: 'refuse'
   */
  whenStale?: 'accept' | 'refuse' | undefined
  /**
   * Seconds that the store may be out of reach before `whenStale` applies. @default 60
   * @example maxStaleness: 10
   */
  maxStaleness?: number | undefined
  /**
   * Sessions that a user may have, 1 to 10000: a login beyond that ends the oldest. @default 100
   * @example perUser: 20
   */
  perUser?: number | undefined
  /**
   * Revocations that a server holds in memory: beyond that older access tokens have to be refreshed.
   * @default 250000
   * @example revocationLimit: 1_000_000
   */
  revocationLimit?: number | undefined
}

/** Complete and read-only. */
export interface ResolvedSessionOptions {
  readonly store: SessionStore
  /** Nobody chose the memory store: the log should say that it serves one server. */
  readonly isDefaultStore: boolean
  readonly idleLifetime: number
  readonly absoluteLifetime: number
  readonly retryWindow: number
  /** Key material; empty on a server that has public keys only and hands out no refresh tokens. */
  readonly secrets: readonly (string | Uint8Array)[]
  readonly whenStale: 'accept' | 'refuse'
  readonly maxStaleness: number
  readonly perUser: number
  readonly revocationLimit: number
}

/** What takes the place of options that the application leaves out. */
export interface SessionDefaults {
  /** The private parts of the signing keys, the signing one first, for `secrets`. */
  readonly keyMaterial: readonly (string | Uint8Array)[]
  makeStore (): SessionStore
}

const operations = ['create', 'read', 'replace', 'list', 'end', 'revoke', 'revocations', 'spend', 'sweep'] as const
const tenYears = 315_360_000
const names = [
  'store', 'idleLifetime', 'absoluteLifetime', 'retryWindow', 'secrets', 'whenStale', 'maxStaleness', 'perUser',
  'revocationLimit'
] as const

/**
 * @param value what the application wrote
 * @throws errors.OptionInvalidError naming the option, never its value
 */
export function resolveSessionOptions (
  value: unknown,
  { keyMaterial, makeStore }: SessionDefaults
): ResolvedSessionOptions {
  const given = open(value, 'sessions', names)
  return Object.freeze({
    store: given.has('store') ? given.read('store', readStore) : makeStore(),
    isDefaultStore: !given.has('store'),
    idleLifetime: given.read('idleLifetime', integer(1, tenYears), 2_592_000),
    absoluteLifetime: given.read('absoluteLifetime', integer(1, tenYears), 31_536_000),
    retryWindow: given.read('retryWindow', integer(0, tenYears), 30),
    secrets: given.read<readonly (string | Uint8Array)[]>('secrets', readSecrets, keyMaterial),
    whenStale: given.read('whenStale', oneOf('accept', 'refuse'), 'accept'),
    maxStaleness: given.read('maxStaleness', integer(1, tenYears), 60),
    perUser: given.read('perUser', integer(1, 10_000), 100),
    revocationLimit: given.read('revocationLimit', integer(1, 10_000_000), 250_000)
  })
}

function readStore (value: unknown, path: string): SessionStore {
  if (!isStore(value)) throw refused(path, `must have the operations ${operations.join(', ')}`)
  return value
}

function isStore (value: unknown): value is SessionStore {
  return typeof value === 'object' && value !== null &&
    operations.every(operation => typeof Reflect.get(value, operation) === 'function')
}

/**
 * Refuses a store of the application's own that is older than what the application asks of it.
 *
 * @throws errors.OptionInvalidError
 */
export function requireOperations (store: SessionStore, needed: readonly (keyof SessionStore)[], by: string): void {
  const missing = needed.filter(operation => typeof store[operation] !== 'function')
  if (missing.length === 0) return
  throw refused('sessions.store', `lacks ${missing.join(' and ')}, which ${by} needs: add them as SessionStore says`)
}

function readSecrets (value: unknown, path: string): readonly string[] {
  const secrets = list(secret(32))(value, path)
  if (new Set(secrets).size !== secrets.length) throw refused(path, 'holds the same secret twice')
  return secrets
}
