import type { Dispatcher } from 'undici'

/** An answer whose body has been read to its end. */
export interface WholeAnswer {
  status: number
  headers: Dispatcher.ResponseData['headers']
  body: Uint8Array
}

export interface WholeAnswerOptions {
  /** Ends the call, and its connection, with the signal's reason. */
  signal: AbortSignal
  /** Sees status and headers first; what it throws ends the call, and what has not come by then is not read. */
  admit: (status: number, headers: WholeAnswer['headers']) => void
}

/**
 * Sends a request and reads the whole answer. How much that may be is the dispatcher's `maxResponseSize`.
 *
 * Not by undici's request(): it makes a stream of each answer, which costs as much again as the call where the answer
 * is a few hundred bytes, as those of identity providers are.
 */
export function wholeAnswer (
  dispatcher: Dispatcher,
  request: Dispatcher.DispatchOptions,
  options: WholeAnswerOptions
): Promise<WholeAnswer> {
  return new Promise((resolve, reject) => {
    options.signal.throwIfAborted()
    dispatcher.dispatch(request, new Collector(options, resolve, reject))
  })
}

/** @see https://undici.nodejs.org/#/docs/api/Dispatcher?id=parameter-dispatchhandler */
class Collector implements Dispatcher.DispatchHandler {
  readonly #options: WholeAnswerOptions
  readonly #resolve: (answer: WholeAnswer) => void
  readonly #reject: (error: unknown) => void
  readonly #chunks: Buffer[] = []
  #status = 0
  #headers: WholeAnswer['headers'] = {}
  #connection: Dispatcher.DispatchController | null = null

  constructor (options: WholeAnswerOptions, resolve: (answer: WholeAnswer) => void, reject: (error: unknown) => void) {
    this.#options = options
    this.#resolve = resolve
    this.#reject = reject
    options.signal.addEventListener('abort', this)
  }

  /** The signal's. A call that still waits for a connection has none to end; it is sent nowhere once there is one. */
  handleEvent (): void {
    const { reason } = this.#options.signal
    this.#connection?.abort(reason)
    this.#fail(reason)
  }

  onRequestStart (connection: Dispatcher.DispatchController): void {
    this.#connection = connection
    if (this.#options.signal.aborted) connection.abort(this.#options.signal.reason)
  }

  onResponseStart (connection: Dispatcher.DispatchController, status: number, headers: WholeAnswer['headers']): void {
    // RFC 9110, 15.2: any number of 1xx may come before the answer.
    if (status < 200) return
    this.#status = status
    this.#headers = headers
    try {
      this.#options.admit(status, headers)
    } catch (refusal) {
      this.#fail(refusal)
      endUnlessOver(connection)
    }
  }

  onResponseData (_connection: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#chunks.push(chunk)
  }

  onResponseEnd (): void {
    this.#options.signal.removeEventListener('abort', this)
    const [first, ...more] = this.#chunks
    const body = first !== undefined && more.length === 0 ? first : Buffer.concat(this.#chunks)
    this.#resolve({ status: this.#status, headers: this.#headers, body })
  }

  onResponseError (_connection: Dispatcher.DispatchController, error: Error): void {
    this.#fail(error)
  }

  #fail (error: unknown): void {
    this.#options.signal.removeEventListener('abort', this)
    this.#reject(error)
  }
}

// A small answer is over when the packet that brought its status has been read, and its connection serves the next call:
// a provider that is overloaded should not have to shake hands anew for each refusal. After its end this does nothing.
function endUnlessOver (connection: Dispatcher.DispatchController): void {
  queueMicrotask(() => connection.abort(new Error('the answer is not read to its end')))
}
