import { errors } from '../errors.js'
import { isObject } from '../strict-json.js'
import { hasExpired, readUser, type ClaimRules, type User } from './claims.js'
import { longestToken } from './issuer.js'
import type { Signatures } from './signatures.js'

/** The user of an access token of this server. Synchronous; remembers nothing. */
export type Verifier = (token: string) => User

/**
 * Accepts what this server's keys have written, and nothing else.
 *
 * The header segment is compared with the few that could stand there, before any cryptography: algorithm, `crit`,
 * `kid`, `typ` and embedded keys are then not the client's to choose (RFC 8725, 3.1).
 *
 * @throws errors.TokenInvalidError for anything this server did not write, errors.TokenExpiredError
 */
export function createVerifier (signatures: readonly Signatures[], rules: ClaimRules): Verifier {
  const byHeader = new Map(signatures.map(entry => [entry.key.header, entry]))

  return token => {
    const [header = '', payload = '', signature = '', ...rest] = token.length > longestToken ? [] : token.split('.')
    const written = byHeader.get(header)
    if (written === undefined || rest.length > 0 || !isCanonical(payload) || !isCanonical(signature)) {
      throw new errors.TokenInvalidError('format')
    }
    const now = Date.now() / 1000
    const user = userOf(written, token, payload, now)
    if (hasExpired(user.expiresAt, rules.tolerance, now)) throw new errors.TokenExpiredError()
    return user
  }

  // Whatever the library underneath throws is a refusal.
  function userOf (written: Signatures, token: string, payload: string, now: number): User {
    try {
      const claims = readVerified(written, token, payload)
      const user = claims === null ? null : readUser(claims, rules, now)
      if (user !== null) return user
    } catch (cause) {
      throw new errors.TokenInvalidError('signature', { cause })
    }
    throw new errors.TokenInvalidError('claims')
  }
}

/** RFC 4648, 3.5: one text for one value, or the same token would have many spellings. */
function isCanonical (segment: string): boolean {
  return segment !== '' && Buffer.from(segment, 'base64url').toString('base64url') === segment
}

/** RFC 8725, 3.1 to 3.8, for a token whose header is ours. */
function readVerified ({ verify }: Signatures, token: string, payload: string): Record<string, unknown> | null {
  const claims: unknown = verify(token)
  // A payload that JSON.stringify would not have written this way is not ours, signed or not:
  // duplicate members, blanks, 1e400, bytes that are not UTF-8.
  const canonical = isObject(claims) && Buffer.from(JSON.stringify(claims)).equals(Buffer.from(payload, 'base64url'))
  return canonical ? claims : null
}
