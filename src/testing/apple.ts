import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { serveAppleTokens, type AppleSession, type AppleTeam } from './apple-tokens.js'
import { createAuthorizationCodes, type CodeOptions } from './authorization-codes.js'
import { serveLoginPage, type LoginPage, type PageRequest } from './login-page.js'
import { eventPost, type EventPost } from './event-requests.js'
import { createKeyRing, type HeaderOverrides, type RotateOptions } from './signing-keys.js'
import type { FaultSwitches, Site } from './site.js'

type Claims = Readonly<Record<string, unknown>>

/** Sign in with Apple: ID tokens, the code exchange with its signed client secret, revocation. */
export interface LocalApple extends FaultSwitches {
  /** For the `apple` provider. The key is made at start; its public part is the only one that Apple accepts. */
  readonly options: {
    readonly clientIds: string[]
    readonly teamId: string
    readonly keyId: string
    readonly privateKey: string
    readonly endpoints: {
      readonly jwks: string
      readonly token: string
      readonly revoke: string
      readonly authorize: string
    }
  }
  /** Claims of the ID token of whoever is signed in: `apple({ ...options, redirect: {} })`. */
  readonly page: LoginPage<Claims>
  /** An ID token that is good as it stands; `undefined` leaves a claim out. */
  idToken (claims?: Claims, header?: HeaderOverrides): Promise<string>
  /** A code that is good once, for five minutes; its exchange brings an ID token with these claims. */
  authorizationCode (claims?: Claims, options?: CodeOptions): string
  /** Whether an access or refresh token from a code exchange has been revoked. */
  isRevoked (token: string): boolean
  rotate (options?: RotateOptions): Promise<void>
  /**
   * A server-to-server notification: what Apple posts when a user stops using the app, deletes the account, or turns
   * the private address off or on. Claims as given replace those of a good one.
   */
  notify (type: AppleEventType, subject?: string, claims?: Claims, header?: HeaderOverrides): Promise<EventPost>
}

type AppleEventType = 'consent-revoked' | 'account-delete' | 'email-disabled' | 'email-enabled' | (string & {})

const day = 86_400
const person = '001234.5a1b2c3d4e5f60718293a4b5c6d7e8f9.1234'
const privateAddress = 'person@privaterelay.appleid.com'

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
      sub: person,
      email: privateAddress,
      email_verified: true,
      is_private_email: true,
      nonce_supported: true,
      auth_time: now,
      iat: now,
      exp: now + day,
      ...claims
    }, header)
  }

  // https://developer.apple.com/documentation/signinwithapple/processing-changes-for-sign-in-with-apple-accounts
  const notify: LocalApple['notify'] = async (type, subject = person, claims = {}, header = {}) => {
    const now = site.clock.now()
    const address = type.startsWith('email-') ? { email: privateAddress, is_private_email: 'true' } : {}
    const event = { type, sub: subject, event_time: now * 1000 + Date.now() % 1000, ...address }
    const good = {
      iss: 'https://appleid.apple.com',
      aud: clientIds[0],
      iat: now,
      jti: randomBytes(16).toString('base64url'),
      events: JSON.stringify(event)
    }
    const payload = await keys.sign({ ...good, ...claims }, { typ: undefined, ...header })
    return eventPost('application/json', JSON.stringify({ payload }))
  }

  site.get(/^\/auth\/keys$/, call => keys.keySet(call.headers['if-none-match']))
  serveAppleTokens(site, { team, codes, sessions, idToken })
  const page = serveLoginPage<Claims>(
    site,
    /^\/auth\/authorize$/,
    {
      clientIds,
      nobody: {},
      formScopes: ['name', 'email'],
      refusal: 'user_cancelled_authorize',
      more: createIntroduction()
    },
    (claims, request) =>
      codes.issue({ ...(request.nonce !== null && { nonce: request.nonce }), ...claims }, request)
  )

  return {
    ...site.faults.switches,
    options: {
      clientIds,
      teamId: team.teamId,
      keyId: team.keyId,
      privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      endpoints: {
        jwks: `${site.url}/auth/keys`,
        token: `${site.url}/auth/token`,
        revoke: `${site.url}/auth/revoke`,
        authorize: `${site.url}/auth/authorize`
      }
    },
    page,
    idToken,
    authorizationCode: (claims = {}, options = {}) => codes.issue(claims, options),
    isRevoked: token => sessions.get(token)?.revoked === true,
    rotate: keys.rotate,
    notify
  }
}

/**
 * Name and address of a user, as Apple tells them beside the first code and never again.
 * https://developer.apple.com/documentation/signinwithapple/request-an-authorization-to-the-sign-in-with-apple-server
 */
function createIntroduction (): (person: Claims, request: PageRequest) => Record<string, string> {
  const known = new Set<unknown>()
  return ({ sub, email = 'person@privaterelay.appleid.com' }, { scopes }) => {
    if (known.has(sub) || !scopes.some(scope => scope === 'name' || scope === 'email')) return {}
    known.add(sub)
    const name = { firstName: 'Test', lastName: 'Person' }
    return { user: JSON.stringify({ ...(scopes.includes('name') && { name }), email }) }
  }
}
