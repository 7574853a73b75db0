import { ClientError, clientError } from './client-error.js'
import type { Login } from './kept-login.js'
import type { Proofs } from './own-proofs.js'

/** `fetch`, as every runtime has it. */
export type Fetch = typeof globalThis.fetch

/** An answer of the server's own routes. */
export interface Answer {
  readonly status: number
  readonly ok: boolean
  /** Empty where it is no JSON object. */
  readonly body: AnswerBody
  readonly error: ClientError
}

export interface AnswerBody extends Partial<Omit<Login, 'at'>> {
  readonly code?: string
  readonly message?: string
  readonly error?: string
  readonly error_description?: string
}

/** A request to the server's origin. */
export interface OwnRequest {
  readonly href: string
  readonly method: string
  readonly headers: Headers
  /** False where the body can be sent only once. */
  readonly isRepeatable: boolean
  send (headers: Headers): Promise<Response>
}

export interface Calls {
  /** Sends a request, with a proof where there are proofs, and a token that is put into the proof. */
  prove (request: OwnRequest, token?: string): Promise<Response>
  /**
   * `POST` to one of the server's own routes, within 30 s.
   *
   * @param by what sends the request. @default `prove`
   * @throws ClientError where no answer comes
   */
  post (path: string, members: object, by?: (request: OwnRequest) => Promise<Response>): Promise<Answer>
}

/** Milliseconds. An answer that never comes must not keep the lock from other tabs. */
const longestWait = 30_000

export function createCalls (base: string, fetch: Fetch, proofs: Proofs | null): Calls {
  async function prove (request: OwnRequest, token?: string): Promise<Response> {
    const { href, method, headers, isRepeatable, send } = request
    if (proofs === null) return await send(headers)
    headers.set('dpop', await proofs.make(method, href, token))
    const answer = await send(headers)
    if (!await proofs.learn(answer) || !isRepeatable) return answer
    headers.set('dpop', await proofs.make(method, href, token))
    return await send(headers)
  }

  async function post (path: string, members: object, by: Calls['prove'] = prove): Promise<Answer> {
    const abort = new AbortController()
    const timer = setTimeout(() => abort.abort(), longestWait)
    try {
      return await read(await by(ownPost(base + path, JSON.stringify(members), fetch, abort.signal)))
    } finally {
      clearTimeout(timer)
    }
  }

  return { prove, post }
}

function ownPost (href: string, body: string, fetch: Fetch, signal: AbortSignal): OwnRequest {
  const method = 'POST'
  return {
    href,
    method,
    headers: new Headers({ 'content-type': 'application/json' }),
    isRepeatable: true,
    // What is posted goes to this server only, and the address of the page, which may hold a code, nowhere.
    send: headers =>
      fetch(href, { method, headers, body, signal, redirect: 'error', referrerPolicy: 'no-referrer' })
        .catch(failNetwork)
  }
}

function failNetwork (cause: unknown): never {
  throw clientError('CLIENT_ERR_NETWORK', undefined, cause)
}

/** @throws ClientError where the answer breaks off */
async function read (response: Response): Promise<Answer> {
  const { ok, status, headers } = response
  const body = await bodyOf(response).catch(failNetwork)
  const code = (ok ? undefined : body.code ?? body.error) ?? 'CLIENT_ERR_ANSWER_INVALID'
  const wait = Number(headers.get('retry-after') ?? NaN)
  const message = body.message ?? body.error_description
  const error = new ClientError(code, status, Number.isNaN(wait) ? null : wait, message)
  return { ok, status, body, error }
}

/** The members of an answer of this server's: none where it is another's. */
export async function bodyOf (response: Response): Promise<AnswerBody> {
  const text = await response.text()
  try {
    return Object(JSON.parse(text))
  } catch {
    return {}
  }
}

/** The server, or what it needs, is not there at the moment. */
export function isOutage ({ status }: Answer): boolean {
  return status >= 500 || status === 429
}
