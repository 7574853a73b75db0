import { errors } from '../errors.js'
import { isWellKnownSecret } from '../options/well-known-secrets.js'
import type { SessionStore } from './store.js'
import { memoryStore } from './stores/memory.js'

/** Refresh tokens, logout and revocation. All durations in seconds. */
export interface SessionOptions {
  /** Where sessions live. @default memoryStore(), which serves one server */
  store?: SessionStore | undefined
  /** Ends a session that was not refreshed for so long. @default 2592000 (30 days) */
  idleLifetime?: number | undefined
  /** Ends a session however often it was refreshed. @default 31536000 (365 days) */
  absoluteLifetime?: number | undefined
  /** How long the previous refresh token may come again after its successor has arrived. @default 30 */
  retryWindow?: number | undefined
  /** Key the refresh tokens, >= 32 bytes each: the first makes, all verify. @default derived from the private parts of `keys` */
  secrets?: readonly string[] | undefined
  /** What guards do when this server has not heard of revocations for `maxStaleness`: let tokens pass, or answer 503. @default 'accept' */
  whenStale?: 'accept' | 'refuse' | undefined
  /** @default 60 */
  maxStaleness?: number | undefined
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
}

const NAMES = ['store', 'idleLifetime', 'absoluteLifetime', 'retryWindow', 'secrets', 'whenStale', 'maxStaleness']
const OPERATIONS = ['create', 'read', 'replace', 'list', 'end', 'revoke', 'revocations', 'spend', 'sweep'] as const
const SECRET_BYTES = 32
const TEN_YEARS = 315_360_000

/**
 * @param value what the application wrote
 * @param keyMaterial the private parts of the signing keys, the signing one first: the default secrets
 * @throws errors.OptionInvalidError naming the option, never its value
 */
export function resolveSessionOptions (
  value: unknown,
  keyMaterial: readonly (string | Uint8Array)[]
): ResolvedSessionOptions {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid('', 'must be an object')
  const unknownName = Object.keys(value).find(name => !NAMES.includes(name))
  if (unknownName !== undefined) throw invalid(`.${unknownName}`, 'is not an option')
  const store: unknown = Reflect.get(value, 'store')
  return Object.freeze({
    store: store === undefined ? memoryStore() : requireStore(store),
    isDefaultStore: store === undefined,
    idleLifetime: seconds(value, 'idleLifetime', 2_592_000, 1),
    absoluteLifetime: seconds(value, 'absoluteLifetime', 31_536_000, 1),
    retryWindow: seconds(value, 'retryWindow', 30, 0),
    secrets: secretsOf(Reflect.get(value, 'secrets')) ?? keyMaterial,
    whenStale: whenStaleOf(Reflect.get(value, 'whenStale')),
    maxStaleness: seconds(value, 'maxStaleness', 60, 1)
  })
}

function requireStore (value: unknown): SessionStore {
  if (!isStore(value)) throw invalid('.store', `must have the operations ${OPERATIONS.join(', ')}`)
  return value
}

function isStore (value: unknown): value is SessionStore {
  return typeof value === 'object' && value !== null &&
    OPERATIONS.every(operation => typeof Reflect.get(value, operation) === 'function')
}

function seconds (options: object, name: string, byDefault: number, least: number): number {
  const value: unknown = Reflect.get(options, name)
  if (value === undefined) return byDefault
  if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > TEN_YEARS) {
    throw invalid(`.${name}`, `must be whole seconds from ${least} to ${TEN_YEARS}`)
  }
  return value
}

function secretsOf (value: unknown): readonly string[] | undefined {
  if (value === undefined) return undefined
  if (!Array.isArray(value) || value.length === 0) throw invalid('.secrets', 'must be a list of at least one secret')
  const secrets = value.map((secret: unknown, index) => readSecret(secret, `.secrets[${index}]`))
  if (new Set(secrets).size !== secrets.length) throw invalid('.secrets', 'holds the same secret twice')
  return secrets
}

function readSecret (secret: unknown, where: string): string {
  if (typeof secret !== 'string' || Buffer.byteLength(secret) < SECRET_BYTES) {
    throw invalid(where, `must be a string of at least ${SECRET_BYTES} bytes`)
  }
  if (isWellKnownSecret(secret)) throw invalid(where, 'is printed in public documentation')
  return secret
}

function whenStaleOf (value: unknown): 'accept' | 'refuse' {
  if (value === undefined) return 'accept'
  if (value !== 'accept' && value !== 'refuse') throw invalid('.whenStale', "must be 'accept' or 'refuse'")
  return value
}

function invalid (where: string, what: string): Error {
  return new errors.OptionInvalidError(`sessions${where} ${what}`)
}
