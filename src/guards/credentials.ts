import { errors } from '../errors.js'

/** The credentials that a request carries, as text; null where there is none. */
export interface Credentials {
  token: string | null
  applicationKey: string | null
  masterKey: string | null
}

/** Reads the raw header list of a request. */
export type CredentialReader = (rawHeaders: readonly string[]) => Credentials

/** Names of the headers beside `Authorization: Bearer`, in lower case. */
export interface CredentialHeaders {
  token: string
  applicationKey: string
  masterKey: string
}

const authorization = 'authorization'

/**
 * Builds the reader of credentials for these headers.
 *
 * It reads the raw header list: Node keeps the first of two `Authorization` headers and joins other repeated ones,
 * so only the list tells that a credential was sent twice (RFC 9110, 5.3 allows neither).
 */
export function createCredentialReader (headers: CredentialHeaders): CredentialReader {
  const names = [authorization, headers.token, headers.applicationKey, headers.masterKey]
  const lengths = new Set(names.map(name => name.length))

  /**
   * @throws errors.RequestInvalidError for a credential sent twice, or two carriers that differ
   * @throws errors.TokenInvalidError for a malformed `Authorization: Bearer`
   */
  return rawHeaders => {
    let bearer: string | null = null
    let token: string | null = null
    let applicationKey: string | null = null
    let masterKey: string | null = null
    for (let i = 0; i < rawHeaders.length; i += 2) {
      const raw = rawHeaders[i]
      // Most headers are none of ours; their length tells so without a copy in lower case.
      if (raw === undefined || !lengths.has(raw.length)) continue
      const name = raw.toLowerCase()
      const value = rawHeaders[i + 1] ?? ''
      if (name === authorization) bearer = once(bearer, value)
      else if (name === headers.token) token = once(token, value)
      else if (name === headers.applicationKey) applicationKey = once(applicationKey, value)
      else if (name === headers.masterKey) masterKey = once(masterKey, value)
    }
    return {
      token: oneToken(bearer === null ? null : readBearer(bearer), token),
      applicationKey: applicationKey || null,
      masterKey: masterKey || null
    }
  }
}

function once (earlier: string | null, value: string): string {
  if (earlier !== null) throw new errors.RequestInvalidError('a credential header was sent twice')
  return value
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

function oneToken (bearer: string | null, header: string | null): string | null {
  if (header === null) return bearer
  const token = withoutBlanksAround(header) || null
  if (bearer !== null && token !== null && bearer !== token) {
    throw new errors.RequestInvalidError('two tokens that differ were sent')
  }
  return bearer ?? token
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
