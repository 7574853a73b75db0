import type { UserAuth } from './decide.js'

/**
 * Remembers callers by the very text of their token, so that a token which has proven itself is not proven again
 * with each request. Holds successes only: garbage has no way in, and so no way to push others out.
 *
 * Two generations bound it: what is asked for moves to the young one; when that is full it becomes the old one,
 * and the old one is forgotten. No list to keep in order, no work on a hit but one look-up.
 */
export interface WarmTokens {
  get (token: string): UserAuth | undefined
  set (token: string, auth: UserAuth): void
  delete (token: string): void
}

/** Entries and bytes of one generation; twice that is the bound. */
export interface WarmTokensBound { entries: number, bytes: number }

interface Entry { readonly token: string, readonly auth: UserAuth }

// The claims of a token, parsed, take about three times its text.
const bytesPerCharacter = 4

// Hashing the whole text of a token would cost more than all the rest of a guard. Its end is part of the signature, and
// differs between good tokens; the whole text is then compared, because the front of a forged one may be anything.
const keyLength = 16

export function createWarmTokens (bound: WarmTokensBound = { entries: 10_000, bytes: 16 * 1024 * 1024 }): WarmTokens {
  let young = new Map<string, Entry>()
  let old = new Map<string, Entry>()
  let bytes = 0

  function get (token: string): UserAuth | undefined {
    const key = token.slice(-keyLength)
    const found = young.get(key)
    if (found !== undefined && found.token === token) return found.auth
    const remembered = old.get(key)
    if (remembered === undefined || remembered.token !== token) return undefined
    set(token, remembered.auth)
    return remembered.auth
  }

  function set (token: string, auth: UserAuth): void {
    const key = token.slice(-keyLength)
    if (young.size >= bound.entries || bytes + sizeOf(token) > bound.bytes) turn()
    forgetYoung(key)
    bytes += sizeOf(token)
    young.set(key, { token, auth })
  }

  function turn (): void {
    old = young
    young = new Map()
    bytes = 0
  }

  function forgetYoung (key: string): void {
    const found = young.get(key)
    if (found !== undefined) bytes -= sizeOf(found.token)
    young.delete(key)
  }

  function forget (token: string): void {
    const key = token.slice(-keyLength)
    forgetYoung(key)
    old.delete(key)
  }

  return { get, set, delete: forget }
}

function sizeOf (token: string): number {
  return token.length * bytesPerCharacter
}
