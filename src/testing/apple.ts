import { generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto'
import { jwtVerify } from 'jose'
import {
  createAuthorizationCodes,
  redeemForm,
  type AuthorizationCodes,
  type CodeOptions,
  type CodeRefused
} from './authorization-codes.js'
import { createKeyRing, type HeaderOverrides, type RotateOptions } from './signing-keys.js'
import { json, type Answer, type FaultSwitches, type Handler, type ProviderClock, type Site } from './site.js'

type Claims = Readonly<Record<string, unknown>>

/** Sign in with Apple: ID tokens, the code exchange with its signed client secret, revocation. */
export interface LocalApple extends FaultSwitches {
  /** For the `apple` provider. The key is made at start; its public part is the only one that Apple accepts. */
  readonly options: {
    readonly clientIds: string[]
    readonly teamId: string
    readonly keyId: string
    readonly privateKey: string
    readonly endpoints: { readonly jwks: string, readonly token: string, readonly revoke: string }
  }
  /** An ID token that is good as it stands; `undefined` leaves a claim out. */
  idToken (claims?: Claims, header?: HeaderOverrides): Promise<string>
  /** A code that is good once, for five minutes; its exchange brings an ID token with these claims. */
  authorizationCode (claims?: Claims, options?: CodeOptions): string
  /** Whether an access or refresh token from a code exchange has been revoked. */
  isRevoked (token: string): boolean
  rotate (options?: RotateOptions): Promise<void>
}

const day = 86_400

export function localApple (site: Site): LocalApple {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const clientIds = ['com.example.ios', 'com.example.web']
  const team: AppleTeam = { teamId: 'TEST000000', keyId: 'KEY0000000', publicKey, clientIds }
  const keys = createKeyRing({ name: 'apple', algorithm: 'RS256', members: { alg: 'RS256' } })
  const codes = createAuthorizationCodes<Claims>(site.clock, 'com.example.ios', 300)
  const sessions = new Map<string, AppleSession>()

  async function idToken (claims: Claims = {}, header: HeaderOverrides = {}): Promise<string> {
    const now = site.clock.now()
    return await keys.sign({
      iss: 'https://appleid.apple.com',
      aud: clientIds[0],
      sub: '001234.5a1b2c3d4e5f60718293a4b5c6d7e8f9.1234',
      email: 'person@privaterelay.appleid.com',
      email_verified: true,
      is_private_email: true,
      nonce_supported: true,
      auth_time: now,
      iat: now,
      exp: now + day,
      ...claims
    }, header)
  }

  site.get(/^\/auth\/keys$/, call => keys.keySet(call.headers['if-none-match']))
  serveAppleTokens(site, { team, codes, sessions, idToken })

  return {
    ...site.faults.switches,
    options: {
      clientIds,
      teamId: team.teamId,
      keyId: team.keyId,
      privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      endpoints: { jwks: `${site.url}/auth/keys`, token: `${site.url}/auth/token`, revoke: `${site.url}/auth/revoke` }
    },
    idToken,
    authorizationCode: (claims = {}, options = {}) => codes.issue(claims, options),
    isRevoked: token => sessions.get(token)?.revoked === true,
    rotate: keys.rotate
  }
}

/** What one login brought: its tokens live and end together. */
interface AppleSession { readonly claims: Claims, readonly clientId: string, revoked: boolean }

interface AppleDesk {
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
function serveAppleTokens (site: Site, desk: AppleDesk): void {
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
interface AppleTeam {
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
