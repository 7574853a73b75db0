import type { FastifyRequest } from 'fastify'
import { RequestMalformed } from '../errors.js'

/** The values of a request's credential headers, in the order of their names; null for one that was not sent. */
export type Presented = ReadonlyArray<string | null>

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
      if (presented[place] !== null) throw new RequestMalformed('a credential header was sent twice')
      presented[place] = rawHeaders[i + 1] ?? ''
    }
    return presented
  }
}
