import { createHash, randomBytes } from 'node:crypto'
import type { ProviderClock } from './clock.js'

/** What an authorization code was issued for; its exchange must say the same. */
export interface CodeOptions {
  /** The client that asked. @default the one in `options` */
  clientId?: string
  /** RFC 6749, 4.1.3: with one, the exchange must repeat it; without, it must not name one. */
  redirectUri?: string
  /** RFC 7636: the code is bound to the S256 challenge of this verifier, and its exchange must bring the verifier. */
  codeVerifier?: string
  /** The same, by the challenge itself. */
  codeChallenge?: string | null
  /** Seconds until it expires. */
  expiresIn?: number
}

export interface CodeExchange {
  code: string
  clientId: string
  redirectUri: string | null
  codeVerifier: string | null
}

/** Why a code was not redeemed. */
export class CodeRefused extends Error {
  readonly why: 'unknown' | 'used' | 'expired' | 'client' | 'redirect_uri' | 'code_verifier'

  constructor (why: CodeRefused['why']) {
    super(`the code is refused: ${why}`)
    this.why = why
  }
}

export interface AuthorizationCodes<Subject> {
  issue (subject: Subject, options: CodeOptions): string
  /** @throws CodeRefused */
  redeem (exchange: CodeExchange): Subject
}

interface Issued<Subject> {
  subject: Subject
  clientId: string
  redirectUri: string | null
  challenge: string | null
  expiresAt: number
  used: boolean
}

/** `lifetime` in seconds: of a code whose options say nothing. */
export function createAuthorizationCodes<Subject> (
  clock: ProviderClock,
  clientId: string,
  lifetime: number
): AuthorizationCodes<Subject> {
  const issued = new Map<string, Issued<Subject>>()
  return {
    issue (subject, options) {
      const code = randomBytes(20).toString('hex')
      issued.set(code, {
        subject,
        clientId: options.clientId ?? clientId,
        redirectUri: options.redirectUri ?? null,
        challenge: options.codeVerifier === undefined ? (options.codeChallenge ?? null) : s256(options.codeVerifier),
        expiresAt: clock.now() + (options.expiresIn ?? lifetime),
        used: false
      })
      return code
    },
    redeem (exchange) {
      const found = issued.get(exchange.code)
      if (found === undefined) throw new CodeRefused('unknown')
      if (found.used) throw new CodeRefused('used')
      if (found.expiresAt <= clock.now()) throw new CodeRefused('expired')
      if (found.clientId !== exchange.clientId) throw new CodeRefused('client')
      if (found.redirectUri !== exchange.redirectUri) throw new CodeRefused('redirect_uri')
      const challenge = exchange.codeVerifier === null ? null : s256(exchange.codeVerifier)
      if (found.challenge !== challenge) throw new CodeRefused('code_verifier')
      found.used = true
      return found.subject
    }
  }
}

function s256 (verifier: string): string {
  return createHash('sha256').update(verifier).digest('base64url')
}
