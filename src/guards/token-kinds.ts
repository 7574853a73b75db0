import type { FastifyRequest } from 'fastify'
import { ProofRefused } from '../dpop/proof-refused.js'
import { errors, RequestMalformed } from '../errors.js'
import { callback, refused } from '../options/values.js'
import type { Presented } from './presented.js'

/** The application's own carrier of tokens, such as a cookie; null where a request has none. */
export type TokenFrom = (request: FastifyRequest) => string | null

export const readTokenFrom = callback((value: unknown): value is TokenFrom => typeof value === 'function')

/** What a challenge says beside the code of a refusal. */
export interface RefusedRequest {
  /** What the guard threw. */
  readonly thrown: unknown
  readonly authorization: string | undefined
  /** Whether a good token came with it. */
  readonly isUser: boolean
}

/** A token that a request carries. */
export interface CarriedToken {
  readonly token: string
  /** As `Authorization: DPoP`: it has to be bound to a key, and its proof comes beside it. */
  readonly isDpop: boolean
}

/** The kind of credential that says who the user is. */
export interface TokenKind {
  /** Its carriers first; what is read beside them, after. */
  readonly headers: readonly [authorization: string, token: string, ...beside: readonly string[]]
  /**
   * @throws errors.RequestInvalidError for two carriers that differ
   * @throws errors.TokenInvalidError for a malformed `Authorization`
   */
  read (presented: Presented, request: FastifyRequest): CarriedToken | null
  /** `WWW-Authenticate` of a refusal with this code; undefined for one that names no scheme. */
  challenge (code: string | undefined, refused: RefusedRequest): string | undefined
  /** That of a request without a credential. */
  readonly bareChallenge: string
}

// RFC 6750, 3: every refusal names the scheme; 3.1: without an error code where no token was presented.
const challenges: ReadonlyMap<string | undefined, readonly string[]> = new Map([
  ['AUTH_ERR_CREDENTIAL_MISSING', []],
  ['AUTH_ERR_APPLICATION_INVALID', []],
  ['AUTH_ERR_REQUEST_INVALID', ['error="invalid_request"']],
  ['AUTH_ERR_TOKEN_INVALID', ['error="invalid_token"']],
  ['AUTH_ERR_TOKEN_EXPIRED', ['error="invalid_token"']],
  ['AUTH_ERR_TOKEN_REVOKED', ['error="invalid_token"']],
  // RFC 9470, 3. What would do comes after it, for each guard.
  ['AUTH_ERR_LOGIN_REQUIRED', ['error="insufficient_user_authentication"']],
  ['AUTH_ERR_LEVEL_INSUFFICIENT', ['error="insufficient_scope"']],
  ['AUTH_ERR_PERMISSION_MISSING', ['error="insufficient_scope"']]
])

/** An access token, as `Authorization: Bearer`, in a header of its own, or wherever the application carries it. */
export function bearerToken (header: string, tokenFrom: TokenFrom | null, metadata: readonly string[]): TokenKind {
  return {
    headers: ['authorization', header],
    read (presented, request) {
      const token = inHeaders(presented) ?? (tokenFrom === null ? null : carried(tokenFrom(request)))
      return token === null ? null : { token, isDpop: false }
    },
    challenge: code => challengeOf('Bearer', challenges.get(code), metadata),
    bareChallenge: challengeOf('Bearer', [], metadata) ?? 'Bearer'
  }
}

/** RFC 9110, 11.6.1: undefined where there is no error to report. */
function challengeOf (
  scheme: 'Bearer' | 'DPoP',
  error: readonly string[] | undefined,
  parameters: readonly string[]
): string | undefined {
  if (error === undefined) return undefined
  const all = [...error, ...parameters].join(', ')
  return all === '' ? scheme : `${scheme} ${all}`
}

/** A bound token that came as if it were good for whoever has it (RFC 9449, 7.2). */
export class BoundTokenUnproven extends errors.TokenInvalidError {}

const dpopScheme = /^dpop(?![!#$%&'*+.^_`|~0-9a-z-])/i
const oneDpopToken = /^dpop +([a-z0-9._~+/-]+=*)$/i

/** The token of `Authorization: DPoP` (RFC 9449, 7.1: 1*SP token68). */
export function dpopTokenIn (authorization: string): string | undefined {
  return oneDpopToken.exec(authorization)?.[1]
}

/** The same, and tokens that are bound to a key, as `Authorization: DPoP` with a proof in a header beside it. */
export function boundToken (
  bearer: TokenKind,
  algorithms: readonly string[],
  metadata: readonly string[]
): TokenKind {
  const parameters = [`algs="${algorithms.join(' ')}"`, ...metadata]
  const bareChallenge = `${challengeOf('Bearer', [], metadata)}, ${challengeOf('DPoP', [], parameters)}`
  return {
    headers: [...bearer.headers, 'dpop'],
    read (presented, request) {
      const [authorization = null, header = null] = presented
      if (authorization === null || !dpopScheme.test(authorization)) return bearer.read(presented, request)
      const token = dpopTokenIn(authorization)
      if (token === undefined) throw new errors.TokenInvalidError('Authorization: DPoP without one token')
      if (header === null || withoutBlanksAround(header) === '') return { token, isDpop: true }
      if (withoutBlanksAround(header) === token) throw new errors.TokenInvalidError('a bound token in two headers')
      throw new RequestMalformed('two tokens that differ were sent')
    },
    challenge (code, refused) {
      const { thrown, authorization = '', isUser } = refused
      if (thrown instanceof ProofRefused) return challengeOf('DPoP', [`error="${thrown.word}"`], parameters)
      const isDpop = dpopScheme.test(authorization) || thrown instanceof BoundTokenUnproven
      if (isDpop) return challengeOf('DPoP', challenges.get(code), parameters)
      return code === errors.CredentialMissingError.code && !isUser ? bareChallenge : bearer.challenge(code, refused)
    },
    bareChallenge
  }
}

function inHeaders ([authorization = null, header = null]: Presented): string | null {
  const bearer = authorization === null ? null : readBearer(authorization)
  if (header === null) return bearer
  const token = withoutBlanksAround(header) || null
  if (bearer !== null && token !== null && bearer !== token) {
    throw new RequestMalformed('two tokens that differ were sent')
  }
  return bearer ?? token
}

/** What the application answers is a carrier as the others: empty counts as absent. */
function carried (token: unknown): string | null {
  if (token === null || token === undefined) return null
  if (typeof token === 'string') return token || null
  // A promise is refused whatever becomes of it.
  Promise.resolve(token).catch(() => {})
  throw refused('tokenFrom', 'must answer a token or null, and at once')
}

// RFC 9110, 5.5: blanks around are not part of the value; Node removes them, `inject` does not. A pattern for those at
// the end would look at each run of blanks once for every place in it.
function withoutBlanksAround (value: string): string {
  let start = 0
  let end = value.length
  while (start < end && isBlank(value, start)) start++
  while (start < end && isBlank(value, end - 1)) end--
  return value.slice(start, end)
}

function isBlank (value: string, at: number): boolean {
  return value[at] === ' ' || value[at] === '\t'
}

// RFC 9110, 11.4: after the scheme comes exactly one space, and (RFC 6750, 2.1) one token. `BearerX` is another scheme;
// what follows `Bearer` and is no character of a scheme's name makes it a malformed one of ours.
const otherScheme = /^(?!bearer(?![!#$%&'*+.^_`|~0-9a-z-]))/i
const oneBearerToken = /^bearer [^\s\u00a0]+$/i

/** The token of an `Authorization` header; null for another scheme. */
function readBearer (value: string): string | null {
  if (value.startsWith('Bearer ') && value.indexOf(' ', 7) === -1 && value.length > 7) return value.slice(7)
  if (otherScheme.test(value)) return null
  if (oneBearerToken.test(value)) return value.slice(7)
  throw new errors.TokenInvalidError('Authorization: Bearer without exactly one space and one token')
}
