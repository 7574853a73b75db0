/** The deadline has passed, or the server is closing, before the work was done. */
export class DeadlineExceeded extends Error {
  constructor (why: string) {
    super(why)
    this.name = 'DeadlineExceeded'
  }
}

/** Work that somebody else does (a provider, an application's lookup), each within a total time. */
export interface Deadlines {
  /**
   * Runs `work` and answers what it answers, or rejects with {@link DeadlineExceeded} after `milliseconds`
   * whether or not the work heeds its signal. What the work does after that is nobody's concern any more.
   */
  within <T> (milliseconds: number, work: (signal: AbortSignal) => T | Promise<T>): Promise<T>
  /** Aborts all that runs; what starts later is aborted at once. */
  close (): void
  isClosed (): boolean
}

// A plain set of controllers: AbortSignal.any() on a long-lived signal keeps every short-lived one alive in Node 20.
export function createDeadlines (): Deadlines {
  const running = new Set<AbortController>()
  let closed = false

  function within<T> (milliseconds: number, work: (signal: AbortSignal) => T | Promise<T>): Promise<T> {
    const controller = new AbortController()
    const expired = new Promise<never>((_resolve, reject) => {
      controller.signal.addEventListener('abort', () => reject(controller.signal.reason), { once: true })
    })
    const timer = setTimeout(() => controller.abort(new DeadlineExceeded(`not done within ${milliseconds} ms`)), milliseconds)
    running.add(controller)
    if (closed) controller.abort(new DeadlineExceeded('the server is closing'))
    const done = new Promise<T>(resolve => resolve(work(controller.signal)))
    return Promise.race([done, expired]).finally(() => {
      clearTimeout(timer)
      running.delete(controller)
    })
  }

  function close (): void {
    closed = true
    for (const controller of running) controller.abort(new DeadlineExceeded('the server is closing'))
  }

  return { within, close, isClosed: () => closed }
}
