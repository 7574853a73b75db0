import { hash, timingSafeEqual } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import { errors } from '../errors.js'
import {
  callback, dictionary, headerName, labelled, open, printableKey, refused, type Given, type Reader
} from '../options/values.js'

/** Names of the headers beside `Authorization: Bearer`, in lower case. */
export interface CredentialHeaders {
  token: string
  applicationKey: string
  masterKey: string
}

export const defaultHeaders: CredentialHeaders = {
  token: 'x-zumo-auth',
  applicationKey: 'x-zumo-application',
  masterKey: 'x-zumo-master'
}

export const readHeaders: Reader<CredentialHeaders> = (value, path) => {
  const given = open(value, path, ['token', 'applicationKey', 'masterKey'])
  const headers = {
    token: given.read('token', headerName, defaultHeaders.token),
    applicationKey: given.read('applicationKey', headerName, defaultHeaders.applicationKey),
    masterKey: given.read('masterKey', headerName, defaultHeaders.masterKey)
  }
  if (new Set(Object.values(headers)).size !== 3) throw refused(path, 'must be three different names')
  return headers
}

/** Keys by their labels. */
export type KeyList = ReadonlyMap<string, string>

const readKeyList = dictionary(printableKey, labelled)

export function readKeyLists (
  given: Given<'applicationKeys' | 'masterKeys'>
): { applicationKeys: KeyList, masterKeys: KeyList } {
  const applicationKeys = given.read('applicationKeys', readKeyList, new Map())
  const masterKeys = given.read('masterKeys', readKeyList, new Map())
  const keys = [...applicationKeys.values(), ...masterKeys.values()]
  if (new Set(keys).size !== keys.length) throw refused('applicationKeys and masterKeys', 'must not hold one key twice')
  return { applicationKeys, masterKeys }
}

/** The application's own carrier of tokens, such as a cookie; null where a request has none. */
export type TokenFrom = (request: FastifyRequest) => string | null

export const readTokenFrom = callback((value: unknown): value is TokenFrom => typeof value === 'function')

/** The values of a request's credential headers, in the order of their names; null for one that was not sent. */
export type Presented = ReadonlyArray<string | null>

/** A kind of credential whose key proves a label. */
export interface KeyKind {
  readonly header: string
  /** The member of `Auth` that holds the label. */
  readonly proves: 'application' | 'master'
  /** The label of the key that is presented; null counts as absent. */
  prove (presented: string): string | null
}

/** The kind of credential that says who the user is. Its carriers are the first two headers that are read. */
export interface TokenKind {
  readonly headers: readonly [authorization: string, token: string]
  /**
   * @throws errors.RequestInvalidError for two carriers that differ
   * @throws errors.TokenInvalidError for a malformed `Authorization: Bearer`
   */
  read (presented: Presented, request: FastifyRequest): string | null
  /** `WWW-Authenticate` of a refusal with this code; undefined for one that names no scheme. */
  challenge (code: string | undefined): string | undefined
}

/** The kinds of credential of a server. */
export interface CredentialKinds { readonly token: TokenKind, readonly keys: readonly KeyKind[] }

export interface CredentialOptions {
  headers: CredentialHeaders
  tokenFrom: TokenFrom | null
  applicationKeys: KeyList
  masterKeys: KeyList
}

/** @param resourceMetadata the address of this server's, where there are clients who look there (RFC 9728, 5.1) */
export function credentialKinds (options: CredentialOptions, resourceMetadata: string | null): CredentialKinds {
  const { headers, tokenFrom, applicationKeys, masterKeys } = options
  return {
    token: bearerToken(headers.token, tokenFrom, resourceMetadata),
    keys: [
      keyKind(headers.applicationKey, 'application', applicationKeys),
      keyKind(headers.masterKey, 'master', masterKeys)
    ]
  }
}

/**
 * Builds the reader of these headers.
 *
 * It reads the raw header list: Node keeps the first of two `Authorization` headers and joins other repeated ones,
 * so only the list tells that a credential was sent twice (RFC 9110, 5.3 allows neither).
 *
 * @throws errors.RequestInvalidError from the reader, for a header sent twice
 */
export function createHeaderReader (names: readonly string[]): (request: FastifyRequest) => Presented {
  const nothing = names.map(() => null)
  // Most headers are none of ours; their length tells so without a copy in lower case.
  const lengths = names.reduce((bits, name) => bits | 1 << (name.length % 32), 0)

  return ({ raw: { rawHeaders } }) => {
    const presented: Array<string | null> = nothing.slice()
    for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
      const name = rawHeaders[i] ?? ''
      if ((lengths >> (name.length % 32) & 1) === 0) continue
      const place = names.indexOf(name.toLowerCase())
      if (place === -1) continue
      if (presented[place] !== null) throw new errors.RequestInvalidError('a credential header was sent twice')
      presented[place] = rawHeaders[i + 1] ?? ''
    }
    return presented
  }
}

// RFC 6750, 3: every refusal names the scheme; 3.1: without an error code where no token was presented.
const challenges: ReadonlyMap<string | undefined, readonly string[]> = new Map([
  ['AUTH_ERR_CREDENTIAL_MISSING', []],
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
function bearerToken (header: string, tokenFrom: TokenFrom | null, resourceMetadata: string | null): TokenKind {
  const metadata = resourceMetadata === null ? [] : [`resource_metadata="${resourceMetadata}"`]
  return {
    headers: ['authorization', header],
    read: tokenFrom === null ? inHeaders : (presented, request) => inHeaders(presented) ?? carried(tokenFrom(request)),
    challenge (code) {
      const error = challenges.get(code)
      if (error === undefined) return undefined
      const parameters = [...error, ...metadata].join(', ')
      return parameters === '' ? 'Bearer' : `Bearer ${parameters}`
    }
  }
}

function inHeaders ([authorization = null, header = null]: Presented): string | null {
  const bearer = authorization === null ? null : readBearer(authorization)
  if (header === null) return bearer
  const token = withoutBlanksAround(header) || null
  if (bearer !== null && token !== null && bearer !== token) {
    throw new errors.RequestInvalidError('two tokens that differ were sent')
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

/**
 * A header that holds one of these keys, by label. Compares digests, of all keys each time: neither the length of a key
 * nor how much of it was guessed shows in the time it takes.
 */
function keyKind (header: string, proves: KeyKind['proves'], keys: KeyList): KeyKind {
  const entries = Array.from(keys, ([label, key]) => ({ label, digest: digestOf(key) }))
  return {
    header,
    proves,
    prove (presented) {
      const digest = digestOf(presented)
      let found: string | null = null
      for (const entry of entries) if (timingSafeEqual(entry.digest, digest)) found = entry.label
      return found
    }
  }
}

function digestOf (key: string): Buffer {
  return hash('sha256', key, 'buffer')
}
