import { setTimeout as pause } from 'node:timers/promises'
import type { Sessions } from '../sessions/sessions.js'

/** What all servers of a store agree by. */
export type SharedPlace = Pick<Sessions, 'now' | 'spend' | 'keep' | 'take'>

/** One at a time for each key, on all servers of a store. */
export interface Turns {
  /**
   * Waits for its turn, does the work, and lets the next one go on, however it ended.
   *
   * @returns false where another server has had its turn for too long
   */
  take (key: string, work: () => Promise<void>): Promise<boolean>
}

/** Milliseconds that somebody waits for another server, and between two looks. */
const patience = 1000
const lookEvery = 50

/**
 * Time is cut into spans. The first to begin spends the names of this span and of the next one. A spent name cannot be
 * given back: who has done its work leaves a token for the next in turn. Who takes a token spends the name of the next
 * span too, because its work may reach into it. A server that goes away holds the others up for two spans.
 *
 * @param span milliseconds: longer than any work takes
 */
export function createTurns (place: SharedPlace, span: number): Turns {
  const running = new Map<string, Promise<boolean>>()

  async function take (key: string, work: () => Promise<void>): Promise<boolean> {
    const before = running.get(key) ?? Promise.resolve()
    const turn = before.catch(() => {}).then(() => alone(key, work))
    running.set(key, turn)
    try {
      return await turn
    } finally {
      if (running.get(key) === turn) running.delete(key)
    }
  }

  async function alone (key: string, work: () => Promise<void>): Promise<boolean> {
    const token = await tokenOf(key)
    if (token === null) return false
    try {
      await work()
      return true
    } finally {
      // An outage here only holds the others up.
      await place.keep(token, '', 2 * span).catch(() => {})
    }
  }

  async function tokenOf (key: string): Promise<string | null> {
    const first = Math.floor(place.now() / span)
    const [token, before] = [`${key} ${first}`, `${key} ${first - 1}`]
    const expiresAt = (first + 2) * span
    const next = { key: `${key} ${first + 1}`, expiresAt }
    if (await place.spend([{ key: token, expiresAt }, next])) return token
    for (const until = performance.now() + patience; performance.now() < until; await pause(lookEvery)) {
      if (await place.take(token) !== null) return token
      // Whoever left this has not spent the next name: where it is spent, a newer turn has begun.
      if (await place.take(before) !== null && await place.spend([next])) return token
    }
    return null
  }

  return { take }
}
