import { hash } from 'node:crypto'
import { errors } from '../errors.js'

/** The names of the proofs that this server has seen, each as long as it could come again (RFC 9449, 11.1). */
export interface ReplayMemory {
  has (name: string): boolean
  /** @throws errors.OverloadedError when it is full: what was forgotten could come again */
  add (name: string): void
}

/**
 * By key and `jti`, never by the text of a proof: of an ECDSA signature anybody makes a second one that holds. Names
 * are of one length, whatever clients take for a jti.
 */
export function proofName (jkt: string, jti: string): string {
  return hash('sha256', `${jkt} ${jti}`, 'binary')
}

/** More than a server can verify in that time. They take about 100 MB. */
const mostProofs = 1_000_000

/**
 * Two generations: what is in the older one is at least as old as a proof can be, when both move on.
 *
 * @param lifetime of a proof, in milliseconds
 */
export function createReplayMemory (lifetime: number, limit = mostProofs): ReplayMemory {
  let young = new Set<string>()
  let old = new Set<string>()
  let since = Date.now()

  function moveOn (): void {
    const now = Date.now()
    // A clock that was set back: what is here is kept the longer for it.
    if (now < since) since = now
    if (now - since < lifetime) return
    old = now - since < 2 * lifetime ? young : new Set()
    young = new Set()
    since = now
  }

  return {
    has (name) {
      moveOn()
      return young.has(name) || old.has(name)
    },
    add (name) {
      moveOn()
      if (young.size + old.size >= limit) throw new errors.OverloadedError('dpop: the memory of proofs is full')
      young.add(name)
    }
  }
}
