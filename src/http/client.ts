import { Agent, type Dispatcher } from 'undici'
import { server, type Asking } from '../deadline.js'
import { codeOf, errors } from '../errors.js'
import { decodeUtf8, parseJson } from '../strict-json.js'

/** Bytes of an answer, at most. */
const longestAnswer = 512 * 1024
/** Milliseconds for one call, all in all. */
const totalTime = 5000

export interface JsonRequest {
  headers?: Record<string, string>
  /** Sent by POST as application/x-www-form-urlencoded. */
  form?: Record<string, string>
  /** Sent by POST as application/json. */
  json?: unknown
  /** For whom; the signal is a deadline that may cover several calls. @default for nobody in particular, within 5 s */
  context?: Asking
}

type Headers = Dispatcher.ResponseData['headers']

/** An answer of 2xx, 304 or 4xx (429 aside). */
export interface JsonAnswer {
  status: number
  headers: Headers
  /** Undefined where the body is empty, or of a 4xx not JSON. Integers beyond 2^53 are strings of digits. */
  body: unknown
}

// No redirects and no decompression: undici adds neither unless an interceptor is composed in. No timeouts of its own,
// the connection's aside: the caller's deadline may be longer, and ends every call.
const agent = new Agent({
  maxResponseSize: longestAnswer,
  connect: { timeout: totalTime },
  headersTimeout: 0,
  bodyTimeout: 0
})

/**
 * Bun has an undici of its own, which can make agents and not one call.
 *
 * @throws errors.OptionInvalidError
 */
export function requireDispatch (dispatcher: object = agent): void {
  if (typeof Reflect.get(dispatcher, 'dispatch') === 'function') return
  throw new errors.OptionInvalidError(
    'providers call out by undici, which cannot dispatch in this runtime (Bun has one of its own): use Node'
  )
}

/**
 * One guarded call to an identity provider: within the caller's deadline (or 5 s in all) and 512 KiB, no redirects,
 * no compression, JSON only (whatever its content type says).
 *
 * @throws errors.ProviderUnavailableError for all that is no answer: network errors, timeouts, 3xx, 5xx, 429, no JSON
 * @throws errors.OverloadedError where too many wait for this provider
 */
export async function requestJson (url: string, options: JsonRequest = {}): Promise<JsonAnswer> {
  const { context } = options
  context?.[server]?.enter()
  return context === undefined
    ? await withinTotalTime(signal => call(url, options, signal))
    : await call(url, options, context.signal)
}

/**
 * Work of 5 s at most; the controller may end it sooner.
 *
 * By a timer of its own: undici's bodyTimeout starts anew with each chunk, so a trickle would never end.
 */
export async function withinTotalTime<T> (
  work: (signal: AbortSignal) => Promise<T>,
  controller = new AbortController()
): Promise<T> {
  const timer = setTimeout(() => controller.abort(), totalTime)
  try {
    return await work(controller.signal)
  } finally {
    clearTimeout(timer)
  }
}

async function call (url: string, options: JsonRequest, signal: AbortSignal): Promise<JsonAnswer> {
  try {
    const { status, headers, body } = await wholeAnswer(agent, describe(url, options), signal)
    return { status, headers, body: readBody(decodeUtf8(body), status) }
  } catch (error) {
    if (signal.aborted) throw new errors.ProviderUnavailableError('aborted at the deadline')
    if (codeOf(error) === errors.ProviderUnavailableError.code) throw error
    throw new errors.ProviderUnavailableError(reasonOf(error))
  }
}

function describe (url: string, { headers, form, json }: JsonRequest): Dispatcher.DispatchOptions {
  const { origin, pathname, search } = new URL(url)
  const body: string | undefined = form === undefined ? JSON.stringify(json) : new URLSearchParams(form).toString()
  return {
    origin,
    path: pathname + search,
    method: body === undefined ? 'GET' : 'POST',
    headers: {
      accept: 'application/json',
      'accept-encoding': 'identity',
      'user-agent': 'fastify-token-exchange',
      ...(form !== undefined && { 'content-type': 'application/x-www-form-urlencoded' }),
      ...(json !== undefined && { 'content-type': 'application/json' }),
      ...headers
    },
    ...(body !== undefined && { body })
  }
}

function readBody (text: string, status: number): unknown {
  if (text === '') return undefined
  try {
    return parseJson(text).exact
  } catch {
    // A refusal is told by its status; its body is often a web server's page.
    if (status >= 400) return undefined
    throw new errors.ProviderUnavailableError(`status ${status}, the answer is not JSON`)
  }
}

// Never the message: it holds addresses. Codes of Node and undici are words such as ECONNREFUSED.
function reasonOf (error: unknown): string {
  const code = codeOf(error)
  return code !== undefined && /^[A-Z][A-Z0-9_]{2,50}$/.test(code) ? code : 'the answer cannot be read'
}

interface WholeAnswer { status: number, headers: Headers, body: Uint8Array }

/**
 * Sends a request and reads the whole answer. How much that may be is the dispatcher's `maxResponseSize`.
 *
 * Not by undici's request(): it makes a stream of each answer, which costs as much again as the call where the answer
 * is a few hundred bytes, as those of identity providers are.
 *
 * @param signal ends the call, and its connection, with its reason
 */
export function wholeAnswer (
  dispatcher: Dispatcher,
  request: Dispatcher.DispatchOptions,
  signal: AbortSignal
): Promise<WholeAnswer> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted()
    dispatcher.dispatch(request, new Collector(signal, resolve, reject))
  })
}

/** @see https://undici.nodejs.org/#/docs/api/Dispatcher?id=parameter-dispatchhandler */
class Collector implements Dispatcher.DispatchHandler {
  readonly #signal: AbortSignal
  readonly #resolve: (answer: WholeAnswer) => void
  readonly #reject: (error: unknown) => void
  readonly #chunks: Buffer[] = []
  #status = 0
  #headers: Headers = {}
  #connection: Dispatcher.DispatchController | null = null

  constructor (signal: AbortSignal, resolve: (answer: WholeAnswer) => void, reject: (error: unknown) => void) {
    this.#signal = signal
    this.#resolve = resolve
    this.#reject = reject
    signal.addEventListener('abort', this)
  }

  /** The signal's. A call that still waits for a connection has none to end; once there is one it is not sent. */
  handleEvent (): void {
    this.#connection?.abort(this.#signal.reason)
    this.#fail(this.#signal.reason)
  }

  onRequestStart (connection: Dispatcher.DispatchController): void {
    this.#connection = connection
    if (this.#signal.aborted) connection.abort(this.#signal.reason)
  }

  onResponseStart (connection: Dispatcher.DispatchController, status: number, headers: Headers): void {
    // RFC 9110, 15.2: any number of 1xx may come before the answer.
    if (status < 200) return
    this.#status = status
    this.#headers = headers
    const refusal = refusalOf(status, headers)
    if (refusal === null) return
    this.#fail(new errors.ProviderUnavailableError(refusal))
    // A small answer is over when the packet that brought its status has been read, and its connection serves the next
    // call: an overloaded provider need not shake hands anew for each refusal. After its end this does nothing.
    queueMicrotask(() => connection.abort(new Error('the answer is not read to its end')))
  }

  onResponseData (_connection: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#chunks.push(chunk)
  }

  onResponseEnd (): void {
    this.#signal.removeEventListener('abort', this)
    const [first, ...more] = this.#chunks
    const body = first !== undefined && more.length === 0 ? first : Buffer.concat(this.#chunks)
    this.#resolve({ status: this.#status, headers: this.#headers, body })
  }

  onResponseError (_connection: Dispatcher.DispatchController, error: Error): void {
    this.#fail(error)
  }

  #fail (error: unknown): void {
    this.#signal.removeEventListener('abort', this)
    this.#reject(error)
  }
}

/** Why an answer is none, by what comes before its body; null for one that is. */
function refusalOf (status: number, headers: Headers): string | null {
  const isAnswer =
    (status >= 200 && status < 300) || status === 304 || (status >= 400 && status < 500 && status !== 429)
  if (!isAnswer) return `status ${status}`
  const isReadable = (headers['content-encoding'] ?? 'identity') === 'identity'
  return isReadable && !(Number(headers['content-length']) > longestAnswer)
    ? null
    : 'the answer is compressed or too large'
}
