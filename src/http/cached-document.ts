import { server, type Asking } from '../deadline.js'
import { errors, reasonOf } from '../errors.js'
import { requestJson, withinTotalTime } from './client.js'

const second = 1000
const fresh = 600 * second
const stale = 24 * 3600 * second
const coolDown = 30 * second

interface Copy<T> { readonly value: T, readonly fetchedAt: number, readonly etag: string | undefined }

/** A fetch on its way, and the ends of the servers that want it. */
interface Flight { readonly landed: Promise<void>, readonly board: (closing: AbortSignal | undefined) => void }

/** What follows from something that is there at once, or has to be waited for. */
export function after<Found, Next> (
  found: Found | Promise<Found>,
  next: (found: Found) => Next | Promise<Next>
): Next | Promise<Next> {
  return found instanceof Promise ? found.then(next) : next(found)
}

const noFailures = { count: 0, lastAt: -Infinity, reason: 'aborted at the deadline' }

/**
 * One document of a provider, kept in memory. A caller that finds it older than 10 minutes uses it, and one fetch runs
 * behind; while the provider is down it is used for 24 hours.
 *
 * There is one fetch at a time. It ends with the last server that wants it, not at a caller's deadline. After failures
 * the next one waits for 1, 2, 4 … 30 s; a caller that misses something in the document causes one fetch in 30 s.
 */
export class CachedDocument<T> {
  readonly #url: string
  readonly #read: (body: unknown) => T
  #copy: Copy<T> | undefined
  #fetches = 0
  #missedAt = -Infinity
  #failures = noFailures
  #flight: Flight | undefined

  /** @param read makes the value of the body, and throws when it is not what was expected: a failed fetch */
  constructor (url: string, read: (body: unknown) => T) {
    this.#url = url
    this.#read = read
  }

  /**
   * What `pick` finds in the document: at once where it is in the copy at hand, else in a newer one, or undefined.
   *
   * @throws errors.ProviderUnavailableError when there is no copy, or the copy may be outdated and a fetch failed
   * @throws errors.OverloadedError when it has to be waited for, and too many wait
   */
  find<Found> (pick: (value: T) => Found | undefined, context: Asking): Found | Promise<Found | undefined> {
    const copy = this.#usableCopy()
    const found = copy === undefined ? undefined : pick(copy.value)
    if (copy === undefined || found === undefined) return this.#search(pick, context)
    if (!isWithin(copy.fetchedAt, fresh) && !this.#isBackingOff()) this.#fly(context)
    return found
  }

  /** Milliseconds since the copy at hand was fetched; null where there is none. */
  age (): number | null {
    return this.#copy === undefined ? null : Date.now() - this.#copy.fetchedAt
  }

  async #search<Found> (pick: (value: T) => Found | undefined, context: Asking): Promise<Found | undefined> {
    const isCoolingDown = this.#failures.count === 0 && isWithin(this.#missedAt, coolDown)
    if (isCoolingDown && this.#flight === undefined && this.#usableCopy() !== undefined) return undefined
    if (this.#isBackingOff()) throw this.#unavailable()
    context[server]?.enter()
    if (this.#copy !== undefined) this.#missedAt = Date.now()
    const fetches = this.#fetches
    await settled(this.#fly(context).landed, context.signal)
    if (this.#copy === undefined || this.#fetches === fetches) throw this.#unavailable()
    const found = pick(this.#copy.value)
    if (found === undefined) this.#missedAt = Date.now()
    return found
  }

  #usableCopy (): Copy<T> | undefined {
    return this.#copy !== undefined && isWithin(this.#copy.fetchedAt, stale) ? this.#copy : undefined
  }

  #isBackingOff (): boolean {
    const { count, lastAt } = this.#failures
    return count > 0 && isWithin(lastAt, Math.min(2 ** (count - 1), 30) * second)
  }

  #unavailable (): Error {
    return new errors.ProviderUnavailableError(this.#failures.reason)
  }

  #fly (context: Asking): Flight {
    this.#flight ??= this.#takeOff()
    this.#flight.board(context[server]?.closing)
    return this.#flight
  }

  #takeOff (): Flight {
    const controller = new AbortController()
    const { board, disembark } = passengers(controller)
    const landed = withinTotalTime(signal => this.#fetch(signal), controller)
      .catch(error => {
        this.#failures = { count: this.#failures.count + 1, lastAt: Date.now(), reason: reasonFor(error) }
      })
      .finally(() => {
        this.#flight = undefined
        disembark()
      })
    return { landed, board }
  }

  async #fetch (signal: AbortSignal): Promise<void> {
    const known = this.#copy
    const { status, headers, body } = await requestJson(this.#url, {
      context: { signal },
      ...(known?.etag !== undefined && { headers: { 'if-none-match': known.etag } })
    })
    if (status === 304 && known !== undefined) {
      this.#copy = { ...known, fetchedAt: Date.now() }
    } else {
      if (status !== 200) throw new errors.ProviderUnavailableError(`status ${status}`)
      const etag = typeof headers.etag === 'string' ? headers.etag : undefined
      this.#copy = { value: this.#read(body), fetchedAt: Date.now(), etag }
    }
    this.#fetches++
    this.#failures = noFailures
  }
}

/** Ends a flight when all servers that boarded it have closed. One that says nothing of its end stays. */
function passengers (flight: AbortController): { board: Flight['board'], disembark: () => void } {
  const servers = new Set<AbortSignal | undefined>()

  function endIfDeserted (): void {
    if ([...servers].every(closing => closing?.aborted === true)) flight.abort()
  }

  return {
    board (closing) {
      servers.add(closing)
      closing?.addEventListener('abort', endIfDeserted)
      if (closing?.aborted === true) endIfDeserted()
    },
    disembark () {
      for (const closing of servers) closing?.removeEventListener('abort', endIfDeserted)
    }
  }
}

// A clock that was set back makes everything old, nothing young for ever.
function isWithin (since: number, span: number): boolean {
  const age = Date.now() - since
  return age >= 0 && age < span
}

function reasonFor (error: unknown): string {
  return reasonOf(error) ?? 'the document is not what it should be'
}

/** Waits until the work is done or the caller's signal aborts. Never rejects. */
async function settled (work: Promise<void>, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>(resolve => {
    signal.addEventListener('abort', done, { once: true })
    work.then(done, done)
    function done (): void {
      signal.removeEventListener('abort', done)
      resolve()
    }
  })
}
