import { isServerClosing } from '../deadline.js'
import { codeOf, errors } from '../errors.js'
import { requestJson, withinTotalTime } from './client.js'

const SECOND = 1000
const FRESH = 600 * SECOND
const STALE = 24 * 3600 * SECOND
const COOL_DOWN = 30 * SECOND
/** How long a login that has a usable older copy waits for a newer one. */
const PATIENCE = SECOND / 2

interface Copy<T> { value: T, fetchedAt: number, etag: string | undefined }

interface Flight { readonly landed: Promise<void>, readonly controller: AbortController, waiting: number }

/**
 * One document of a provider, kept in memory: younger than 10 minutes where the provider can be reached, up to 24
 * hours old while it is down. One fetch at a time, which no caller's deadline ends, but the close of the last server
 * that waits for it does; failures are backed off by 1, 2, 4 … 30 s; who misses something in it causes one fetch in 30 s.
 */
export class CachedDocument<T> {
  readonly #url: string
  readonly #read: (body: unknown) => T
  #copy: Copy<T> | undefined
  #fetches = 0
  #missedAt = -Infinity
  #failures = { count: 0, lastAt: -Infinity, reason: 'aborted at the deadline' }
  #flight: Flight | undefined

  /** @param read makes the value of the body, and throws when it is not what was expected: a failed fetch */
  constructor (url: string, read: (body: unknown) => T) {
    this.#url = url
    this.#read = read
  }

  /**
   * What `pick` finds in the document, looking again in a newer copy before it answers undefined.
   *
   * @throws errors.ProviderUnavailableError when there is no copy, or the copy may be outdated and a fetch failed
   */
  async find<Found> (pick: (value: T) => Found | undefined, signal: AbortSignal): Promise<Found | undefined> {
    const fetchesBefore = this.#fetches
    const found = pick(await this.#current(signal))
    if (found !== undefined) return found
    if (this.#fetches > fetchesBefore) this.#missedAt = Date.now()
    return pick(await this.#newest(signal))
  }

  async #current (signal: AbortSignal): Promise<T> {
    const older = this.#copyWithin(STALE)
    if (this.#copyWithin(FRESH) === undefined && !this.#isBackingOff()) {
      await this.#waitForFetch(signal, older === undefined ? undefined : PATIENCE)
    }
    return this.#orUnavailable(this.#copyWithin(STALE))
  }

  async #newest (signal: AbortSignal): Promise<T> {
    const isCoolingDown = this.#failures.count === 0 && isWithin(this.#missedAt, COOL_DOWN)
    if (!isCoolingDown && !this.#isBackingOff()) {
      this.#missedAt = Date.now()
      const fetchesBefore = this.#fetches
      await this.#waitForFetch(signal)
      if (this.#fetches === fetchesBefore) return this.#orUnavailable(undefined)
    }
    return this.#orUnavailable(this.#failures.count === 0 ? this.#copy : undefined)
  }

  async #waitForFetch (signal: AbortSignal, patience?: number): Promise<void> {
    const flight = this.#flight ??= this.#takeOff()
    flight.waiting++
    await settled(flight.landed, signal, patience)
    flight.waiting--
    if (flight.waiting === 0 && isServerClosing(signal.reason)) flight.controller.abort(signal.reason)
  }

  #takeOff (): Flight {
    const controller = new AbortController()
    const landed = withinTotalTime(signal => this.#fetch(signal), controller)
      .catch(error => {
        this.#failures = { count: this.#failures.count + 1, lastAt: Date.now(), reason: reasonOf(error) }
      })
      .finally(() => {
        this.#flight = undefined
      })
    return { landed, controller, waiting: 0 }
  }

  async #fetch (signal: AbortSignal): Promise<void> {
    const known = this.#copy
    const { status, headers, body } = await requestJson(this.#url, {
      signal,
      ...(known?.etag !== undefined && { headers: { 'if-none-match': known.etag } })
    })
    if (status === 304 && known !== undefined) {
      this.#copy = { ...known, fetchedAt: Date.now() }
    } else {
      if (status !== 200) throw new errors.ProviderUnavailableError(`status ${status}`)
      this.#copy = {
        value: this.#read(body),
        fetchedAt: Date.now(),
        etag: typeof headers.etag === 'string' ? headers.etag : undefined
      }
    }
    this.#fetches++
    this.#failures = { count: 0, lastAt: -Infinity, reason: 'aborted at the deadline' }
  }

  #copyWithin (span: number): Copy<T> | undefined {
    return this.#copy !== undefined && isWithin(this.#copy.fetchedAt, span) ? this.#copy : undefined
  }

  #isBackingOff (): boolean {
    const { count, lastAt } = this.#failures
    return count > 0 && isWithin(lastAt, Math.min(2 ** (count - 1), 30) * SECOND)
  }

  #orUnavailable (copy: Copy<T> | undefined): T {
    if (copy === undefined) throw new errors.ProviderUnavailableError(this.#failures.reason)
    return copy.value
  }
}

// A clock that was set back makes everything old, nothing young for ever.
function isWithin (since: number, span: number): boolean {
  const age = Date.now() - since
  return age >= 0 && age < span
}

function reasonOf (error: unknown): string {
  const reason: unknown =
    codeOf(error) === errors.ProviderUnavailableError.code && error instanceof Error
      ? Reflect.get(error, 'reason')
      : undefined
  return typeof reason === 'string' ? reason : 'the document is not what it should be'
}

/** Waits until the work is done, the caller's signal aborts, or `patience` milliseconds are over. Never rejects. */
async function settled (work: Promise<void>, signal: AbortSignal, patience?: number): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>(resolve => {
    const timer = patience === undefined ? undefined : setTimeout(done, patience)
    signal.addEventListener('abort', done, { once: true })
    work.then(done, done)
    function done (): void {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
  })
}
