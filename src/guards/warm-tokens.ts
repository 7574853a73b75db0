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

// The claims of a token, parsed, take about three times its text.
const bytesPerCharacter = 4

export function createWarmTokens (bound: WarmTokensBound = { entries: 10_000, bytes: 16 * 1024 * 1024 }): WarmTokens {
  let young = new Map<string, UserAuth>()
  let old = new Map<string, UserAuth>()
  let bytes = 0

  function get (token: string): UserAuth | undefined {
    const found = young.get(token)
    if (found !== undefined) return found
    const remembered = old.get(token)
    if (remembered !== undefined) set(token, remembered)
    return remembered
  }

  function set (token: string, auth: UserAuth): void {
    const size = token.length * bytesPerCharacter
    if (young.size >= bound.entries || bytes + size > bound.bytes) turn()
    if (!young.has(token)) bytes += size
    young.set(token, auth)
  }

  function turn (): void {
    old = young
    young = new Map()
    bytes = 0
  }

  function forget (token: string): void {
    if (young.delete(token)) bytes -= token.length * bytesPerCharacter
    old.delete(token)
  }

  return { get, set, delete: forget }
}
