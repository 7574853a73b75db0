import { integer, open, type Reader } from '../options/values.js'
import type { User } from '../permissions/user.js'

/** Tokens that have proven themselves, remembered. */
export interface TokenCacheOptions {
  /** Of memory, about 1,200 for each token. @default 33554432 (32 MiB) */
  bytes?: number
}

export const defaultBytes = 32 * 1024 * 1024

export const readTokenCache: Reader<number> = (value, path) =>
  open(value, path, ['bytes']).read('bytes', integer(0, Number.MAX_SAFE_INTEGER), defaultBytes)

/**
 * Remembers callers by the very text that carried their token, so that a token which has proven itself is not proven
 * again with each request. Holds successes only: garbage has no way in, and so no way to push others out.
 */
export interface TokenCache<Caller> {
  /** Undefined once the token has expired. */
  get (text: string): Caller | undefined
  /** @param goodUntil seconds since the epoch */
  set (text: string, caller: Caller, goodUntil: number): void
}

interface OfUser { readonly user: User }

interface Entry<Caller> {
  readonly key: number
  readonly text: string
  readonly caller: Caller
  readonly goodUntil: number
  readonly bytes: number
  /** Since the last look at it. */
  isUsed: boolean
}

/** How many entries are passed over at most before one goes: no request pays for a walk through all of them. */
const mostSpared = 16

/** Of access tokens. @param more bytes that each caller takes beside its user */
export function createTokenCache<Caller extends OfUser> (limit: number, more = 0): TokenCache<Caller> {
  return createTextCache<Caller>(limit, (text, caller) => bytesOf(text, caller) + more)
}

/**
 * What is too much goes in the order in which it came, and what was asked for since the last look stays once more (the
 * CLOCK algorithm): a hit moves nothing and writes one bit.
 *
 * @param limit bytes of memory that the entries may take
 */
export function createTextCache<Caller> (
  limit: number,
  bytesOf: (text: string, caller: Caller) => number
): TokenCache<Caller> {
  const entries = new Map<number, Entry<Caller>>()
  let hand = entries.values()
  let bytes = 0

  function get (text: string): Caller | undefined {
    const entry = entries.get(keyOf(text))
    // The whole text is compared: the front of a forged token may be anything.
    if (entry === undefined || entry.text !== text) return undefined
    if (entry.goodUntil <= Date.now() / 1000) {
      remove(entry)
      return undefined
    }
    if (!entry.isUsed) entry.isUsed = true
    return entry.caller
  }

  function set (text: string, caller: Caller, goodUntil: number): void {
    const key = keyOf(text)
    const entry = { key, text: copyOf(text), caller, goodUntil, bytes: bytesOf(text, caller), isUsed: false }
    if (entry.bytes > limit) return
    remove(entries.get(key))
    while (bytes + entry.bytes > limit) remove(leastUsed())
    entries.set(key, entry)
    bytes += entry.bytes
  }

  function leastUsed (): Entry<Caller> | undefined {
    for (let spared = 0; spared < mostSpared;) {
      const { value: entry, done } = hand.next()
      if (done === true) hand = entries.values()
      else if (!entry.isUsed) return entry
      else {
        entry.isUsed = false
        spared++
      }
    }
    return hand.next().value
  }

  function remove (entry: Entry<Caller> | undefined): void {
    if (entry !== undefined && entries.delete(entry.key)) bytes -= entry.bytes
  }

  return { get, set }
}

/**
 * Of the end of a token, which is part of its signature and differs between good ones: hashing all of it would cost
 * more than the rest of a guard. Two that share a key take turns.
 */
function keyOf (text: string): number {
  let key = text.length
  for (let at = Math.max(0, text.length - 8); at < text.length; at++) key = Math.imul(key, 31) + text.charCodeAt(at) | 0
  return key
}

const scratch = Buffer.allocUnsafe(16 * 1024)

/** A text of its own: as a slice it would hold on to all that it was cut from. */
function copyOf (text: string): string {
  return scratch.toString('latin1', 0, scratch.write(text, 'latin1'))
}

// What V8 takes on 64 bits, its share of the map included; the test holds it against the heap.
const entryBytes = 424

function bytesOf (text: string, { user }: OfUser): number {
  let bytes = entryBytes + text.length + bytesOfText(user.id) + user.tokenId.length
  if (user.sessionId !== null) bytes += 96 + user.sessionId.length
  if (user.subject !== null) bytes += bytesOfText(user.subject)
  if (user.acr !== null) bytes += bytesOfText(user.acr)
  for (const method of user.amr) bytes += 8 + bytesOfText(method)
  for (const name of user.permissions) bytes += 8 + bytesOfText(name)
  for (const name in user.claims) bytes += 96 + name.length + bytesOfValue(Reflect.get(user.claims, name))
  return bytes
}

const wide = /[^\0-\xff]/

function bytesOfText (text: string): number {
  return 24 + text.length * (wide.test(text) ? 2 : 1)
}

/** Of claims, as JSON.parse makes them. An object whose member names no other has takes a hidden class of its own. */
function bytesOfValue (value: unknown): number {
  if (typeof value === 'string') return bytesOfText(value)
  if (typeof value !== 'object' || value === null) return 16
  if (Array.isArray(value)) return value.reduce<number>((bytes, entry) => bytes + 8 + bytesOfValue(entry), 56)
  return Object.entries(value).reduce((bytes, [name, entry]) => bytes + 96 + name.length + bytesOfValue(entry), 64)
}
