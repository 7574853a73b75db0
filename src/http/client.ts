import { Agent } from 'undici'
import { server, type Asking } from '../deadline.js'
import { codeOf, errors } from '../errors.js'
import { decodeUtf8, parseJson } from '../strict-json.js'
import { wholeAnswer, type WholeAnswer } from './whole-answer.js'

/** Bytes of an answer, at most. */
const MAX_BYTES = 512 * 1024
/** Milliseconds for one call, all in all. */
const TOTAL_TIME = 5000

export interface JsonRequest {
  headers?: Record<string, string>
  /** Sent by POST as application/x-www-form-urlencoded. */
  form?: Record<string, string>
  /** Sent by POST as application/json. */
  json?: unknown
  /** For whom; the signal is a deadline that may cover several calls. @default for nobody in particular, within 5 s */
  context?: Asking
}

/** An answer of 2xx, 304 or 4xx (429 aside). */
export interface JsonAnswer {
  status: number
  headers: WholeAnswer['headers']
  /** Undefined where the body is empty, or of a 4xx not JSON. Integers beyond 2^53 are strings of digits. */
  body: unknown
}

// No redirects and no decompression: undici adds neither unless an interceptor is composed in. No timeouts of its own,
// the connection's aside: the caller's deadline may be longer, and ends every call.
const agent = new Agent({
  maxResponseSize: MAX_BYTES,
  connect: { timeout: TOTAL_TIME },
  headersTimeout: 0,
  bodyTimeout: 0
})

/**
 * One guarded call to an identity provider: within the caller's deadline (or 5 s in all) and 512 KiB, no redirects,
 * no compression, JSON only (whatever its content type says).
 *
 * @throws errors.ProviderUnavailableError for everything that is not an answer: network errors, timeouts, 3xx, 5xx, 429, junk
 * @throws errors.OverloadedError where too many wait for this provider
 */
export async function requestJson (url: string, options: JsonRequest = {}): Promise<JsonAnswer> {
  const { context } = options
  context?.[server]?.enter()
  try {
    return context === undefined
      ? await withinTotalTime(signal => call(url, options, signal))
      : await call(url, options, context.signal)
  } catch (error) {
    if (context?.signal.aborted === true) throw new errors.ProviderUnavailableError('aborted at the deadline')
    throw codeOf(error) === errors.ProviderUnavailableError.code
      ? error
      : new errors.ProviderUnavailableError(reasonOf(error))
  }
}

async function call (url: string, options: JsonRequest, signal: AbortSignal): Promise<JsonAnswer> {
  const { origin, pathname, search } = new URL(url)
  const { status, headers, body } = await wholeAnswer(
    agent,
    { origin, path: pathname + search, ...describe(options) },
    { signal, admit: refuseNonAnswers }
  )
  return { status, headers, body: readBody(decodeUtf8(body), status) }
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
  const timer = setTimeout(
    () => controller.abort(new errors.ProviderUnavailableError('aborted at the deadline')),
    TOTAL_TIME
  )
  try {
    return await work(controller.signal)
  } finally {
    clearTimeout(timer)
  }
}

function describe ({ headers, form, json }: JsonRequest) {
  const common = { accept: 'application/json', 'accept-encoding': 'identity', 'user-agent': 'fastify-token-exchange' }
  if (form !== undefined) {
    const body = new URLSearchParams(form).toString()
    return {
      method: 'POST' as const,
      body,
      headers: { ...common, 'content-type': 'application/x-www-form-urlencoded', ...headers }
    }
  }
  if (json !== undefined) {
    return {
      method: 'POST' as const,
      body: JSON.stringify(json),
      headers: { ...common, 'content-type': 'application/json', ...headers }
    }
  }
  return { method: 'GET' as const, headers: { ...common, ...headers } }
}

function refuseNonAnswers (status: number, headers: WholeAnswer['headers']): void {
  const encoding = headers['content-encoding'] ?? 'identity'
  const isAnswer =
    (status >= 200 && status < 300) || status === 304 || (status >= 400 && status < 500 && status !== 429)
  if (isAnswer && encoding === 'identity' && !(Number(headers['content-length']) > MAX_BYTES)) return
  throw new errors.ProviderUnavailableError(isAnswer ? 'the answer is compressed or too large' : `status ${status}`)
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
