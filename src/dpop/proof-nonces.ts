import { createHmac } from 'node:crypto'
import { errors } from '../errors.js'
import type { KeyMaterial } from '../key-material.js'

/** Nonces for proofs (RFC 9449, 8): the same on all servers of the same keys, and nothing is stored. */
export interface ProofNonces {
  /** For the next proof. */
  current (): string
  /** `old` is good still, and there is a newer one. */
  ageOf (nonce: string): 'new' | 'old' | null
}

/** Milliseconds after which there is another one. */
const period = 150_000

/**
 * The MAC of the time, in steps. That of the step before is good too, and of the next: clocks of servers differ.
 *
 * @throws errors.OptionInvalidError
 */
export function createProofNonces (material: KeyMaterial): ProofNonces {
  const keys = material.keysFor('dpop nonce')
  const [first] = keys
  if (first === undefined) throw new errors.OptionInvalidError('dpop.nonce needs keys that can sign')
  let step = NaN
  let current = ''
  let ages: ReadonlyMap<string, 'new' | 'old'> = new Map()

  function move (): void {
    const now = Math.floor(Date.now() / period)
    if (now === step) return
    step = now
    current = nonceOf(first ?? Buffer.alloc(0), step)
    ages = new Map([
      ...keys.map(key => [nonceOf(key, step - 1), 'old'] as const),
      ...keys.flatMap(key => [step, step + 1].map(time => [nonceOf(key, time), 'new'] as const))
    ])
  }

  return {
    current () {
      move()
      return current
    },
    ageOf (nonce) {
      move()
      return ages.get(nonce) ?? null
    }
  }
}

function nonceOf (key: Buffer, step: number): string {
  return createHmac('sha256', key).update(String(step)).digest().toString('base64url', 0, 18)
}
