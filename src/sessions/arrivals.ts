import type { Session } from './store.js'
import type { Ask, StoreCalls } from './store-calls.js'

/** Sessions whose arrival waits to be written. One that is dropped keeps its predecessor valid, which harms nobody. */
const waitingLimit = 10_000
const retryAfter = 1_000
const writeAttempts = 5

/** Refresh tokens that the client has shown to have, written behind the requests that showed it. */
export interface Arrivals {
  /** The client has the refresh token `counter` of the session. Returns at once. */
  note (sessionId: string, counter: number): void
  /** When the session's current token arrived, as far as this server or the store knows. */
  arrivedAt (session: Session): number | null
  /** Writes what waits. Does not reject. */
  flush (): Promise<void>
  /** Writes what waits, once more, and nothing after that. */
  close (): Promise<void>
}

interface Arrival { readonly counter: number, readonly at: number }

/** @param used the row after a use of the session: its times moved on */
export function createArrivals (
  calls: StoreCalls,
  now: () => number,
  used: (session: Session, at: number) => Session
): Arrivals {
  const waiting = new Map<string, Arrival>()
  let writing: Promise<void> | undefined
  let timer: NodeJS.Timeout | undefined
  let closed = false

  function note (sessionId: string, counter: number): void {
    const known = waiting.get(sessionId)
    // The token at login has no predecessor that its arrival could end.
    if (counter === 0 || (known !== undefined && known.counter >= counter)) return
    if (closed || waiting.size >= waitingLimit) return
    waiting.set(sessionId, { counter, at: now() })
    if (timer === undefined) flush().catch(() => {})
  }

  function arrivedAt (session: Session): number | null {
    const arrival = waiting.get(session.id)
    return session.arrivedAt ?? (arrival?.counter === session.counter ? arrival.at : null)
  }

  function flush (): Promise<void> {
    clearTimeout(timer)
    timer = undefined
    writing ??= writeAll().finally(() => {
      writing = undefined
    })
    return writing
  }

  async function writeAll (): Promise<void> {
    try {
      for (let first = oldest(); first !== undefined; first = oldest()) {
        const [sessionId, arrival] = first
        await write(calls.open(), sessionId, arrival)
        if (waiting.get(sessionId) === arrival) waiting.delete(sessionId)
      }
    } catch {
      if (!closed) timer = setTimeout(() => { flush().catch(() => {}) }, retryAfter).unref()
    }
  }

  function oldest (): [string, Arrival] | undefined {
    return waiting.entries().next().value
  }

  async function write (ask: Ask, sessionId: string, { counter, at }: Arrival): Promise<void> {
    for (let attempt = 0; attempt < writeAttempts; attempt++) {
      const session = await ask(store => store.read(sessionId))
      if (session === null || session.ended || session.counter !== counter || session.arrivedAt !== null) return
      const arrived = { ...used(session, at), arrivedAt: at, version: session.version + 1 }
      if (await ask(store => store.replace(arrived))) return
    }
  }

  async function close (): Promise<void> {
    closed = true
    await flush()
  }

  return { note, arrivedAt, flush, close }
}
