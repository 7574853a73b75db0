import { randomBytes, type KeyObject } from 'node:crypto'
import { jwtVerify } from 'jose'
import { redeemForm, type AuthorizationCodes, type CodeRefused } from './authorization-codes.js'
import { json, type Answer, type Handler, type ProviderClock, type Site } from './site.js'

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
const refusals: Record<CodeRefused['why'], string> = {
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
  return await redeemForm(
    desk.codes,
    form,
    clientId,
    claims => tokens(desk, { claims, clientId, revoked: false }, randomBytes(32).toString('base64url')),
    why => json(400, { error: 'invalid_grant', error_description: refusals[why] })
  )
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

/** What Apple knows of a team: whose key, under which id, for which apps. */
export interface AppleTeam {
  readonly teamId: string
  readonly keyId: string
  readonly publicKey: KeyObject
  readonly clientIds: readonly string[]
}

/** Six months, in seconds: Apple refuses a secret that lives longer. */
const longestLife = 15_777_000

/**
 * Whether `secret` is the client secret of `clientId`: an ES256 JWT that the team's key signed.
 * https://developer.apple.com/documentation/accountorganizationaldatasharing/creating-a-client-secret
 */
async function isClientSecret (
  secret: string,
  clientId: string,
  team: AppleTeam,
  clock: ProviderClock
): Promise<boolean> {
  if (!team.clientIds.includes(clientId)) return false
  try {
    const { payload, protectedHeader } = await jwtVerify(secret, team.publicKey, {
      algorithms: ['ES256'],
      issuer: team.teamId,
      subject: clientId,
      audience: 'https://appleid.apple.com',
      requiredClaims: ['iat', 'exp'],
      currentDate: new Date(clock.now() * 1000)
    })
    return protectedHeader.kid === team.keyId && Number(payload.exp) <= clock.now() + longestLife
  } catch {
    return false
  }
}
