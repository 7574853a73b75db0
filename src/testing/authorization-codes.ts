import { createHash, randomBytes } from 'node:crypto'
import { basicCredentials, json, type Answer, type Call, type ProviderClock } from './site.js'

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

/** RFC 6749, 4.1.3: what the code in a form stands for, answered; or why it stands for nothing. */
export async function redeemForm<Subject> (
  codes: AuthorizationCodes<Subject>,
  form: URLSearchParams,
  clientId: string,
  answer: (subject: Subject) => Answer | Promise<Answer>,
  refuse: (why: CodeRefused['why']) => Answer
): Promise<Answer> {
  try {
    const [redirectUri, codeVerifier] = [form.get('redirect_uri'), form.get('code_verifier')]
    return await answer(codes.redeem({ code: form.get('code') ?? '', clientId, redirectUri, codeVerifier }))
  } catch (error) {
    if (error instanceof CodeRefused) return refuse(error.why)
    throw error
  }
}

/** What a code of an OpenID Connect issuer stands for. */
export interface CodeSubject { claims: Readonly<Record<string, unknown>>, clientId: string, nonce: string | null }

/** RFC 6749, 4.1.3 with 2.3.1: the secret by Basic or in the form; none for a public client, where `secret` is null. */
export async function answerCode (
  call: Call,
  codes: AuthorizationCodes<CodeSubject>,
  secret: string | null,
  idToken: (claims: Readonly<Record<string, unknown>>) => Promise<string>
): Promise<Answer> {
  const form = new URLSearchParams(call.body)
  const basic = basicCredentials(call.headers)
  const clientId = basic === undefined ? (form.get('client_id') ?? '') : decodeURIComponent(basic.id)
  const presented = basic === undefined ? form.get('client_secret') : decodeURIComponent(basic.secret)
  if (presented !== null && presented !== secret) return json(401, { error: 'invalid_client' })
  if (form.get('grant_type') !== 'authorization_code') return json(400, { error: 'unsupported_grant_type' })
  return await redeemForm(codes, form, clientId, async ({ claims, clientId, nonce }) => {
    const id = await idToken({ aud: clientId, ...(nonce !== null && { nonce }), ...claims })
    const tokens = { access_token: 'of-no-use-here', token_type: 'Bearer', expires_in: 3600, id_token: id }
    return json(200, tokens, { 'cache-control': 'no-store' })
  }, () => json(400, { error: 'invalid_grant' }))
}
