import { randomBytes } from 'node:crypto'
import { isClientSecret, type AppleTeam } from './apple-client-secret.js'
import { CodeRefused, type AuthorizationCodes } from './authorization-codes.js'
import { json, type Answer, type Handler, type Site } from './site.js'

type Claims = Readonly<Record<string, unknown>>

/** What one login brought: its tokens live and end together. */
export interface AppleSession { readonly claims: Claims, readonly clientId: string, revoked: boolean }

export interface AppleDesk {
  readonly team: AppleTeam
  readonly codes: AuthorizationCodes<Claims>
  /** By access and by refresh token. */
  readonly sessions: Map<string, AppleSession>
  idToken (claims: Claims): Promise<string>
}

// What Apple says of a code that it refuses: TN3107, Resolving Sign in with Apple response errors.
const WHY: Record<CodeRefused['why'], string> = {
  unknown: 'The code is invalid.',
  used: 'The code has already been used.',
  expired: 'The code has expired or has been revoked.',
  client: 'client_id mismatch. The code was not issued to this client.',
  redirect_uri: 'redirect_uri mismatch. The code was not issued to this URI.',
  code_verifier: 'The code verifier does not match.'
}

/**
 * https://developer.apple.com/documentation/signinwithapplerestapi/generate-and-validate-tokens
 * https://developer.apple.com/documentation/signinwithapplerestapi/revoke-tokens
 */
export function serveAppleTokens (site: Site, desk: AppleDesk): void {
  site.post(/^\/auth\/token$/, forClient(site, desk, (form, clientId) => {
    if (form.get('grant_type') === 'authorization_code') return exchange(desk, form, clientId)
    if (form.get('grant_type') === 'refresh_token') return refresh(desk, form, clientId)
    return json(400, { error: 'unsupported_grant_type' })
  }))
  site.post(/^\/auth\/revoke$/, forClient(site, desk, (form, clientId) => {
    const session = desk.sessions.get(form.get('token') ?? '')
    if (session?.clientId === clientId) session.revoked = true
    return { status: 200, headers: {}, body: '' }
  }))
}

function forClient (
  site: Site,
  { team }: AppleDesk,
  answer: (form: URLSearchParams, clientId: string) => Answer | Promise<Answer>
): Handler {
  return async ({ body }) => {
    const form = new URLSearchParams(body)
    const clientId = form.get('client_id') ?? ''
    if (!(await isClientSecret(form.get('client_secret') ?? '', clientId, team, site.clock))) {
      return json(400, { error: 'invalid_client' })
    }
    return await answer(form, clientId)
  }
}

async function exchange (desk: AppleDesk, form: URLSearchParams, clientId: string): Promise<Answer> {
  try {
    const claims = desk.codes.redeem({
      code: form.get('code') ?? '',
      clientId,
      redirectUri: form.get('redirect_uri'),
      codeVerifier: form.get('code_verifier')
    })
    return await tokens(desk, { claims, clientId, revoked: false }, randomBytes(32).toString('base64url'))
  } catch (error) {
    if (!(error instanceof CodeRefused)) throw error
    return json(400, { error: 'invalid_grant', error_description: WHY[error.why] })
  }
}

async function refresh (desk: AppleDesk, form: URLSearchParams, clientId: string): Promise<Answer> {
  const presented = form.get('refresh_token') ?? ''
  const session = desk.sessions.get(presented)
  if (session === undefined || session.revoked || session.clientId !== clientId) {
    return json(400, { error: 'invalid_grant' })
  }
  return await tokens(desk, session, presented)
}

async function tokens (desk: AppleDesk, session: AppleSession, refreshToken: string): Promise<Answer> {
  const accessToken = randomBytes(32).toString('base64url')
  desk.sessions.set(accessToken, session).set(refreshToken, session)
  return json(200, {
    access_token: accessToken,
    token_type: 'Bearer',
    expires_in: 3600,
    refresh_token: refreshToken,
    id_token: await desk.idToken({ aud: session.clientId, ...session.claims })
  })
}
