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

/** By its name: as CommonJS, the package's entries each have a copy of the class. */
export function isServerClosing (reason: unknown): boolean {
  return reason instanceof Error && reason.name === 'ServerClosing'
}

/** What the work may heed. Node makes the signal when it is asked for: most lookups never do, and it costs more than they. */
export interface Deadline { readonly signal: AbortSignal }

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
}

// A plain set of what to end: AbortSignal.any() on a long-lived signal keeps every short-lived one alive in Node 20,
// and a listener on each signal would cost more than all the rest.
export function createDeadlines (): Deadlines {
  const running = new Set<(reason: DeadlineExceeded) => void>()
  let closed = false

  function within<T> (milliseconds: number, work: (deadline: Deadline) => T | Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const controller = new AbortController()
      const timer = setTimeout(() => end(new DeadlineExceeded(`not done within ${milliseconds} ms`)), milliseconds)
      running.add(end)
      if (closed) end(new ServerClosing())
      new Promise<T>(resolve => resolve(work(controller))).then(
        answer => { forget(); resolve(answer) },
        error => { forget(); reject(error) }
      )

      function end (reason: DeadlineExceeded): void {
        forget()
        reject(reason)
        controller.abort(reason)
      }

      function forget (): void {
        clearTimeout(timer)
        running.delete(end)
      }
    })
  }

  function close (): void {
    closed = true
    for (const end of running) end(new ServerClosing())
  }

  return { within, close, isClosed: () => closed }
}
