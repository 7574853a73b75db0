import { errors } from '../errors.js'
import type { User } from '../permissions/user.js'
import { isObject } from '../strict-json.js'
import { boundTo, hasExpired, readUser, type ClaimRules } from './claims.js'
import { longestToken } from './issuer.js'
import type { Signatures } from './signatures.js'

/** What an access token says. */
export interface VerifiedToken {
  readonly user: User
  /** The thumbprint of the key that it is bound to; null for one that is good for whoever has it. */
  readonly jkt: string | null
}

/** What an access token of this server says. Synchronous; remembers nothing. */
export type Verifier = (token: string) => VerifiedToken

/**
 * Accepts what this server's keys have written, and nothing else.
 *
 * The header segment is compared with the few that could stand there, before any cryptography: algorithm, `crit`,
 * `kid`, `typ` and embedded keys are then not the client's to choose (RFC 8725, 3.1).
 *
 * @throws errors.TokenInvalidError for anything this server did not write, errors.TokenExpiredError
 */
export function createVerifier (signatures: readonly Signatures[], rules: ClaimRules): Verifier {
  return token => {
    const written = token.length > longestToken ? undefined : writerOf(token)
    if (written === undefined) throw new errors.TokenInvalidError('format')
    const now = Date.now() / 1000
    const verified = contentOf(written, token, now)
    if (hasExpired(verified.user.expiresAt, rules.tolerance, now)) throw new errors.TokenExpiredError()
    return verified
  }

  function writerOf (token: string): Signatures | undefined {
    for (const entry of signatures) if (token.startsWith(entry.key.start)) return entry
    return undefined
  }

  // Whatever the library underneath throws is a refusal.
  function contentOf (written: Signatures, token: string, now: number): VerifiedToken {
    try {
      const claims = readVerified(written, token)
      const user = claims === null ? null : readUser(claims, rules, now)
      const jkt = claims === null ? null : boundTo(claims)
      if (user !== null && jkt !== undefined) return { user, jkt }
    } catch (cause) {
      throw new errors.TokenInvalidError('signature', { cause })
    }
    throw new errors.TokenInvalidError('claims')
  }
}

/** RFC 8725, 3.1 to 3.8, for a token whose header is ours. */
function readVerified ({ key, verify }: Signatures, token: string): Record<string, unknown> | null {
  const end = token.lastIndexOf('.')
  const payload = token.slice(key.start.length, end)
  if (!endsCanonically(token, key.start.length, end) || !endsCanonically(token, end + 1, token.length)) return null
  const claims: unknown = verify(token)
  return isObject(claims) && isWrittenOnce(claims, payload) ? claims : null
}

const scratch = Buffer.allocUnsafe(2 * longestToken)

// As nearly all are: one object of texts, numbers and lists of texts, without blanks and escapes.
const plainJson = /^\{(?:"[ !#-[\]-~]*":(?:"[ !#-[\]-~]*"|\d{1,15}|\[(?:"[ !#-[\]-~]*",?)*\]),?)*\}$/

/**
 * Whether a payload is the one text for its claims, which JSON.stringify would write. Duplicate members, blanks, 1e400
 * or bytes that are not UTF-8 are not ours, signed or not.
 */
function isWrittenOnce (claims: Record<string, unknown>, payload: string): boolean {
  const text = scratch.toString('latin1', 0, scratch.write(payload, 'base64url'))
  if (plainJson.test(text)) return namesIn(text) === Object.keys(claims).length
  return scratch.toString('base64url', 0, scratch.write(JSON.stringify(claims))) === payload
}

function namesIn (plain: string): number {
  let names = 0
  for (let at = plain.indexOf('":'); at !== -1; at = plain.indexOf('":', at + 2)) names++
  return names
}

// RFC 4648, 3.5: the bits of the last letter that belong to no byte are zero, or a text would have many spellings.
// By the letters in the last group; the library refuses those that are none of base64url.
const lastLetters = [null, '', 'AQgw', 'AEIMQUYcgkosw048'] as const

function endsCanonically (token: string, start: number, end: number): boolean {
  const allowed = lastLetters[(end - start) % 4] ?? null
  return allowed === null || allowed.includes(token.charAt(end - 1))
}
