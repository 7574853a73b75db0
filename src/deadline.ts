import { setMaxListeners } from 'node:events'

/** The deadline has passed, or the server is closing, before the work was done. */
export class DeadlineExceeded extends Error {
  constructor (why: string) {
    super(why)
    this.name = 'DeadlineExceeded'
  }
}

/** Nobody waits any more: what runs on behalf of requests can end. */
export class ServerClosing extends DeadlineExceeded {
  constructor () {
    super('the server is closing')
    this.name = 'ServerClosing'
  }
}

/** What the work may heed. Node makes the signal when it is asked for: most lookups never do, and it costs more. */
export interface Deadline { readonly signal: AbortSignal }

/**
 * For whom a provider is asked, beside the signal that ends the asking. By registered symbols, as the package's entries
 * each have a copy of this file in CommonJS; and a provider that hands on a copy of its context hands this on too.
 */
export const server: unique symbol = Symbol.for('fastify-token-exchange:server')

export interface Asking {
  readonly signal: AbortSignal
  readonly [server]?: {
    /** Takes a place at this provider, once, before anybody is called or waited for. @throws errors.OverloadedError */
    enter (): void
    /** Aborted when the server closes: the end of what goes on behind a request. */
    readonly closing: AbortSignal
  }
}

const byItself: unique symbol = Symbol.for('fastify-token-exchange:enters-by-itself')

/** Marks a function that enters by itself, if it has to ask a provider: for all others it is done before. */
export function enteringByItself<Ask extends object> (ask: Ask): Ask {
  return Object.assign(ask, { [byItself]: true })
}

export function entersByItself (ask: unknown): boolean {
  return typeof ask === 'function' && Reflect.get(ask, byItself) === true
}

/** Work that somebody else does (a provider, an application's lookup), each within a total time. */
export interface Deadlines {
  /**
   * Runs `work` and answers what it answers, or rejects with {@link DeadlineExceeded} after `milliseconds`
   * whether or not the work heeds its signal. What the work does after that is nobody's concern any more.
   */
  within <T> (milliseconds: number, work: (deadline: Deadline) => T | Promise<T>): Promise<T>
  /** Aborts all that runs; what starts later is aborted at once. */
  close (): void
  isClosed (): boolean
  /** Aborted by `close`. Who listens to it has to stop: it lives as long as the server. */
  readonly closing: AbortSignal
}

// Plain sets of what runs: AbortSignal.any() on a long-lived signal keeps every short-lived one alive in Node 20, and
// a listener on each signal would cost more than all the rest.
export function createDeadlines (): Deadlines {
  const untimed = new Set<Run>()
  const timed = new Set<Run>()
  const closing = new AbortController()
  // Each document of a provider that is being fetched listens to it: there may be any number of providers.
  setMaxListeners(0, closing.signal)
  let isComing = false

  function within<T> (milliseconds: number, work: (deadline: Deadline) => T | Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const run = new Run(milliseconds, reject)
      if (closing.signal.aborted) run.end(new ServerClosing())
      else begin(run)
      const fail = (error: unknown): void => { finish(run); reject(error) }
      try {
        Promise.resolve(work(run)).then(answer => { finish(run); resolve(answer) }, fail)
      } catch (error) {
        fail(error)
      }
    })
  }

  // Most work asks nobody, and is done before the loop comes round: a timer for each would cost more than it.
  function begin (run: Run): void {
    untimed.add(run)
    if (!isComing) setImmediate(timeAll)
    isComing = true
  }

  function timeAll (): void {
    isComing = false
    for (const run of untimed) {
      timed.add(run)
      run.time(() => { finish(run) })
    }
    untimed.clear()
  }

  function finish (run: Run): void {
    if (untimed.delete(run)) return
    run.untime()
    timed.delete(run)
  }

  function close (): void {
    closing.abort(new ServerClosing())
    for (const run of [...untimed, ...timed]) {
      finish(run)
      run.end(new ServerClosing())
    }
  }

  return { within, close, isClosed: () => closing.signal.aborted, closing: closing.signal }
}

/** Work that is under way. */
class Run implements Deadline {
  readonly #milliseconds: number
  readonly #endsAt: number
  readonly #reject: (reason: DeadlineExceeded) => void
  #controller: AbortController | undefined
  #reason: DeadlineExceeded | undefined
  #timer: NodeJS.Timeout | undefined

  constructor (milliseconds: number, reject: (reason: DeadlineExceeded) => void) {
    this.#milliseconds = milliseconds
    this.#endsAt = performance.now() + milliseconds
    this.#reject = reject
  }

  get signal (): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.#reason !== undefined) this.#controller.abort(this.#reason)
    return this.#controller.signal
  }

  time (passed: () => void): void {
    const left = Math.max(1, this.#endsAt - performance.now())
    this.#timer = setTimeout(() => {
      passed()
      this.end(new DeadlineExceeded(`not done within ${this.#milliseconds} ms`))
    }, left)
  }

  untime (): void {
    clearTimeout(this.#timer)
  }

  end (reason: DeadlineExceeded): void {
    this.#reason = reason
    this.#reject(reason)
    this.#controller?.abort(reason)
  }
}
