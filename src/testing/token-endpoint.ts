import { CodeRefused, type AuthorizationCodes } from './authorization-codes.js'
import { basicCredentials, json, type Answer, type Call } from './site.js'

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
  try {
    const subject = codes.redeem({
      code: form.get('code') ?? '',
      clientId,
      redirectUri: form.get('redirect_uri'),
      codeVerifier: form.get('code_verifier')
    })
    const id = await idToken({
      aud: subject.clientId,
      ...(subject.nonce !== null && { nonce: subject.nonce }),
      ...subject.claims
    })
    return json(
      200,
      { access_token: 'of-no-use-here', token_type: 'Bearer', expires_in: 3600, id_token: id },
      { 'cache-control': 'no-store' }
    )
  } catch (error) {
    if (!(error instanceof CodeRefused)) throw error
    return json(400, { error: 'invalid_grant' })
  }
}
