import { inspect } from 'node:util'

/**
 * An error with a stable `code` and HTTP status.
 *
 * `message` is the fixed, public sentence of the code: it may reach a client.
 * `reason` is for the log of the operator and never sent; it must hold no token and no secret.
 * Compare `code`, not the class: each entry point of the CommonJS build carries its own copy.
 */
export class TokenExchangeError<Code extends string = string, Status extends number = number> extends Error {
  readonly code: Code
  readonly statusCode: Status
  declare readonly reason?: string

  constructor (code: Code, statusCode: Status, message: string, reason?: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'TokenExchangeError'
    this.code = code
    this.statusCode = statusCode
    if (reason !== undefined) this.reason = reason
  }
}

/** Constructor of one row of the table: a reason for the log, and the usual `{ cause }`, alone or after it. */
export interface ErrorClass<Code extends string, Status extends number> {
  readonly code: Code
  new (reason?: string | ErrorOptions, options?: ErrorOptions): TokenExchangeError<Code, Status>
}

/** @param isForDeveloper the application's fault, shown to its developer: here the reason is part of the message */
function declare<const Code extends `AUTH_ERR_${string}`, const Status extends number> (
  code: Code, statusCode: Status, sentence: string, isForDeveloper = false
): ErrorClass<Code, Status> {
  return class extends TokenExchangeError<Code, Status> {
    static readonly code = code
    // Loggers print it as the type of the error.
    static override readonly name = 'TokenExchangeError'

    constructor (first?: string | ErrorOptions, second?: ErrorOptions) {
      const [reason, options] = typeof first === 'object' ? [undefined, first] : [first, second]
      const isPublic = isForDeveloper && reason !== undefined
      super(code, statusCode, isPublic ? `${sentence}: ${reason}` : sentence, isPublic ? undefined : reason, options)
    }
  }
}

/** Every error of the package, grouped by who is at fault. */
export const errors = {
  // the application
  OptionInvalidError: declare('AUTH_ERR_OPTION_INVALID', 500, 'Invalid option', true),
  NotGuardedError: declare('AUTH_ERR_NOT_GUARDED', 500, 'request.auth was read on a route that no guard protects'),
  LookupFailedError: declare(
    'AUTH_ERR_LOOKUP_FAILED',
    503,
    'The permissions of this user cannot be determined at the moment'
  ),

  // the client: what it sent
  RequestInvalidError: declare('AUTH_ERR_REQUEST_INVALID', 400, 'The request is malformed'),
  CredentialMissingError: declare(
    'AUTH_ERR_CREDENTIAL_MISSING',
    401,
    'A credential that this route asks for is missing'
  ),
  TokenInvalidError: declare('AUTH_ERR_TOKEN_INVALID', 401, 'The access token is invalid'),
  TokenExpiredError: declare('AUTH_ERR_TOKEN_EXPIRED', 401, 'The access token has expired'),
  TokenRevokedError: declare('AUTH_ERR_TOKEN_REVOKED', 401, 'The access token has been revoked'),
  LoginRequiredError: declare(
    'AUTH_ERR_LOGIN_REQUIRED',
    401,
    'This route asks for a login that is more recent, or of another kind'
  ),
  ApplicationInvalidError: declare(
    'AUTH_ERR_APPLICATION_INVALID',
    401,
    'The attestation of the application is invalid'
  ),
  DpopInvalidError: declare('AUTH_ERR_DPOP_INVALID', 401, 'The proof of possession (DPoP) is invalid or missing'),
  RefreshInvalidError: declare('AUTH_ERR_REFRESH_INVALID', 400, 'The refresh token is invalid'),
  RefreshReusedError: declare(
    'AUTH_ERR_REFRESH_REUSED',
    400,
    'The refresh token has been used before; the session has ended'
  ),
  SessionExpiredError: declare('AUTH_ERR_SESSION_EXPIRED', 400, 'The session has expired'),
  SessionRevokedError: declare('AUTH_ERR_SESSION_REVOKED', 400, 'The session has ended'),

  // the user: what it may do
  LevelInsufficientError: declare(
    'AUTH_ERR_LEVEL_INSUFFICIENT',
    403,
    'This user does not have the level that this route asks for'
  ),
  PermissionMissingError: declare(
    'AUTH_ERR_PERMISSION_MISSING',
    403,
    'This user does not have a permission that this route asks for'
  ),
  AccessDeniedError: declare('AUTH_ERR_ACCESS_DENIED', 403, 'This user has no access'),
  LinkRequiredError: declare(
    'AUTH_ERR_LINK_REQUIRED',
    409,
    'This address belongs to an account: log in there first, then link this login'
  ),

  // the identity provider
  GrantRejectedError: declare('AUTH_ERR_GRANT_REJECTED', 401, 'The authorization grant was rejected'),
  ProviderUnknownError: declare('AUTH_ERR_PROVIDER_UNKNOWN', 404, 'There is no such identity provider'),
  ProviderUnavailableError: declare(
    'AUTH_ERR_PROVIDER_UNAVAILABLE',
    503,
    'The identity provider cannot be reached at the moment'
  ),
  EventInvalidError: declare('AUTH_ERR_EVENT_INVALID', 400, 'The event was refused'),
  EventFailedError: declare('AUTH_ERR_EVENT_FAILED', 503, 'The event cannot be taken at the moment'),

  // this server and its store
  OverloadedError: declare('AUTH_ERR_OVERLOADED', 503, 'Too many logins are in progress'),
  StoreUnavailableError: declare('AUTH_ERR_STORE_UNAVAILABLE', 503, 'The session store cannot be reached at the moment')
} as const

/** What may say no to a grant; `token` is a no of the provider's own. */
export const checks = [
  'form', 'algorithm', 'key', 'signature', 'issuer', 'audience', 'nonce', 'replay', 'time', 'subject', 'claims', 'token'
] as const

export type Check = typeof checks[number]

/** What was compared, where neither is a secret: the log may show it. */
export interface Compared { readonly expected?: unknown, readonly got?: unknown }

/** A grant that one of our checks refuses. @param reason the member or rule that it is about */
export function rejected (
  check: Check,
  reason: string | undefined,
  { cause, ...compared }: ErrorOptions & Compared = {}
): TokenExchangeError<'AUTH_ERR_GRANT_REJECTED', 401> {
  const options = cause === undefined ? {} : { cause }
  return Object.assign(new errors.GrantRejectedError(reason, options), { check, ...compared })
}

/** A request that is malformed, answered with the sentence that says how. It repeats nothing of the request. */
export class RequestMalformed extends TokenExchangeError<'AUTH_ERR_REQUEST_INVALID', 400> {
  constructor (sentence: string) {
    const { code, statusCode, message } = new errors.RequestInvalidError()
    super(code, statusCode, `${message}: ${sentence}`)
  }
}

/** Which check refused a grant or an event, and what it compared: of errors that do not say, the provider itself. */
export function refusalOf (thrown: unknown): Compared & { readonly check: Check } {
  const said: { check?: unknown } & Compared = typeof thrown === 'object' && thrown !== null ? thrown : {}
  const { check, expected, got } = said
  return { check: checks.find(name => name === check) ?? 'token', ...(expected !== undefined && { expected, got }) }
}

/** The literal codes, as a union. */
export type ErrorCode = (typeof errors)[keyof typeof errors]['code']

/** The `code` of anything that was thrown, or undefined. Never throws itself, whatever was thrown. */
export function codeOf (thrown: unknown): string | undefined {
  return textOf(thrown, 'code')
}

/** Its `reason`, likewise. */
export function reasonOf (thrown: unknown): string | undefined {
  return textOf(thrown, 'reason')
}

/** Whether an error is of this package, or of another copy of it: its message is fit for anybody. */
export function isOurs (thrown: unknown): boolean {
  return codeOf(thrown)?.startsWith('AUTH_ERR_') === true
}

function textOf (thrown: unknown, member: string): string | undefined {
  if (typeof thrown !== 'object' || thrown === null) return undefined
  try {
    const value: unknown = Reflect.get(thrown, member)
    return typeof value === 'string' ? value : undefined
  } catch {
    return undefined
  }
}

/**
 * What was thrown, where a logger can read it; else an error that describes it. Loggers read the members of an error
 * and of its causes, and mark them: a getter that throws there, or a frozen error, would turn a refusal into a 500.
 */
export function legible (thrown: unknown): unknown {
  try {
    readAsLoggersDo(thrown, new Set())
    return thrown
  } catch {
    return new Error(describe(thrown))
  }
}

function readAsLoggersDo (value: unknown, seen: Set<unknown>): void {
  if (typeof value !== 'object' || value === null || seen.has(value)) return
  seen.add(value)
  const members = new Set(['stack', 'cause', 'errors', 'constructor', Symbol.toStringTag, ...namesOf(value)])
  if (typeof Reflect.get(value, 'message') !== 'string' && !(value instanceof Error)) return
  if (!Object.isExtensible(value)) throw new TypeError('cannot be marked')
  for (const member of members) {
    const inner: unknown = Reflect.get(value, member)
    for (const one of Array.isArray(inner) ? inner : [inner]) readAsLoggersDo(one, seen)
  }
}

function describe (thrown: unknown): string {
  try {
    return inspect(thrown, { customInspect: false })
  } catch {
    return 'what was thrown cannot be read'
  }
}

/** All that `for … in` finds. */
function namesOf (value: object): string[] {
  const names: string[] = []
  for (const name in value) names.push(name)
  return names
}
