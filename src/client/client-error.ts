/**
 * What went wrong without an answer of the server's that says so itself:
 * no answer came; the answer is none of this server's (a captive portal's, a proxy's); nobody is logged in;
 * another user has logged in meanwhile, in another tab; the address belongs to no login that was begun here;
 * an option is missing or wrong.
 */
export type ClientErrorCode =
  | 'CLIENT_ERR_NETWORK'
  | 'CLIENT_ERR_ANSWER_INVALID'
  | 'CLIENT_ERR_LOGGED_OUT'
  | 'CLIENT_ERR_USER_CHANGED'
  | 'CLIENT_ERR_REDIRECT_INVALID'
  | 'CLIENT_ERR_OPTION_INVALID'

/** Why a login, a refresh or a logout failed. */
export class ClientError extends Error {
  /** The server's (`AUTH_ERR_…`) or the client's own; OAuth's where it came by redirect (`access_denied`). */
  readonly code: string
  /** Of the server's answer; 0 where none came. */
  readonly status: number
  /** Seconds after which to try again, where the server says so. */
  readonly retryAfter: number | null

  constructor (code: string, status = 0, retryAfter: number | null = null, message = code, cause?: unknown) {
    super(message, { cause })
    this.name = 'ClientError'
    this.code = code
    this.status = status
    this.retryAfter = retryAfter
  }
}

/** An error of the client's own. */
export function clientError (code: ClientErrorCode, message?: string, cause?: unknown): ClientError {
  return new ClientError(code, 0, null, message, cause)
}
