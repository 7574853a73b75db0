import { randomBytes } from 'node:crypto'
import {
  answerCode,
  createAuthorizationCodes,
  type CodeSubject
} from './authorization-codes.js'
import { serveLoginPage, type LoginPage, type PageRequest } from './login-page.js'
import { eventPost, type EventPost } from './event-requests.js'
import { createKeyRing, type HeaderOverrides, type KeySlot, type RotateOptions } from './signing-keys.js'
import { json, type FaultSwitches, type Site } from './site.js'

/** An issuer of ID tokens, made of the options of its provider. */
export interface LocalIssuer<Options> extends FaultSwitches {
  /** For the provider of that name. */
  readonly options: Options
  /**
   * An ID token that is good as it stands. Claims as given replace those of a good one, `undefined` leaves one out;
   * so a test writes only what is wrong: `idToken({ aud: 'another' })`, `idToken({}, { alg: 'none' })`.
   */
  idToken (claims?: Readonly<Record<string, unknown>>, header?: HeaderOverrides): Promise<string>
  /** New signing keys. The old ones leave the key set, unless they are kept. */
  rotate (options?: RotateOptions): Promise<void>
}

/** Any OpenID Connect issuer: discovery, a key set, ID tokens signed with RS256, PS256, ES256 or EdDSA. */
export type LocalOidc = LocalIssuer<{ readonly issuer: string, readonly clientIds: string[] }> & LocalLogin & {
  /**
   * A logout token (OpenID Connect Back-Channel Logout 1.0): of one session where there is a `sid`, as ID tokens with
   * that claim have, else of all of the user's. Claims as given replace those of a good one.
   */
  logout (whom: { sub?: string, sid?: string }, claims?: Claims, header?: HeaderOverrides): Promise<EventPost>
}

type Claims = Readonly<Record<string, unknown>>

/** Google: a key set, and ID tokens of `https://accounts.google.com`. */
export type LocalGoogle = LocalIssuer<{
  readonly clientIds: string[]
  readonly endpoints: {
    readonly jwks: string, readonly authorize: string, readonly token: string, readonly risc: string
  }
}> &
  LocalLogin & {
    /**
     * An event of Cross-Account Protection (RISC), by the last word of its type. `verification` names nobody. Claims as
     * given replace those of a good one.
     */
    notify (type: GoogleEventType, subject?: string, claims?: Claims, header?: HeaderOverrides): Promise<EventPost>
  }

type GoogleEventType =
  | 'sessions-revoked' | 'tokens-revoked' | 'token-revoked' | 'account-disabled' | 'account-enabled'
  | 'account-credential-change-required' | 'verification' | (string & {})

/** Logins by redirect. The options come without them: `google({ ...options, redirect: { clientSecret } })`. */
export interface LocalLogin {
  readonly clientSecret: string
  /** Claims of the ID token of whoever is signed in, beyond those of a good one. */
  readonly page: LoginPage<Readonly<Record<string, unknown>>>
}

const oidcKeys: readonly [KeySlot, ...KeySlot[]] = [
  { name: 'rsa', algorithm: 'RS256', members: { alg: 'RS256' } },
  { name: 'rsa-pss', algorithm: 'PS256', members: { alg: 'PS256' } },
  { name: 'p-256', algorithm: 'ES256', members: { alg: 'ES256' } },
  { name: 'ed25519', algorithm: 'EdDSA', members: { alg: 'EdDSA' } }
]

export function localOidc (site: Site): LocalOidc {
  const jwks = `${site.url}/jwks`
  const clientIds = ['test-ios', 'test-android', 'test-web']
  // OpenID Connect Discovery 1.0, 3 and 4; without the endpoints of redirect logins, which are not served here.
  site.get(/^\/\.well-known\/openid-configuration$/, () => json(200, {
    issuer: site.url,
    jwks_uri: jwks,
    authorization_endpoint: `${site.url}/authorize`,
    token_endpoint: `${site.url}/token`,
    token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post', 'none'],
    authorization_response_iss_parameter_supported: true,
    code_challenge_methods_supported: ['S256'],
    response_types_supported: ['code'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: oidcKeys.map(key => key.algorithm)
  }))
  const issued = issuer(site, oidcKeys, { iss: site.url, aud: clientIds[0], sub: 'user-1' })
  return {
    ...issued,
    ...login(site, clientIds, issued.idToken, site.url),
    options: { issuer: site.url, clientIds },
    async logout (whom, claims = {}, header = {}) {
      // 2.4. An ID token's members that do not belong here are left out.
      const good = {
        sub: undefined,
        ...whom,
        jti: randomBytes(16).toString('base64url'),
        exp: site.clock.now() + 120,
        events: { 'http://schemas.openid.net/event/backchannel-logout': {} }
      }
      const token = await issued.idToken({ ...good, ...claims }, { typ: 'logout+jwt', ...header })
      return eventPost('application/x-www-form-urlencoded', new URLSearchParams({ logout_token: token }).toString())
    }
  }
}

export function localGoogle (site: Site): LocalGoogle {
  const clientIds = ['ios', 'android', 'web'].map(platform => `1042-${platform}.apps.googleusercontent.com`)
  // https://developers.google.com/identity/openid-connect/openid-connect#an-id-tokens-payload
  const good = {
    iss: 'https://accounts.google.com',
    azp: clientIds[0],
    aud: clientIds[0],
    sub: '110169484474386276334',
    email: 'person@example.com',
    email_verified: true,
    name: 'Test Person'
  }
  const keys: readonly [KeySlot] = [{ name: 'google', algorithm: 'RS256', members: { alg: 'RS256' } }]
  const issued = issuer(site, keys, good)
  const endpoints = {
    jwks: `${site.url}/jwks`,
    authorize: `${site.url}/authorize`,
    token: `${site.url}/token`,
    risc: `${site.url}/.well-known/risc-configuration`
  }
  // https://developers.google.com/identity/protocols/risc
  const iss = 'https://accounts.google.com/'
  site.get(/^\/\.well-known\/risc-configuration$/, () => json(200, { issuer: iss, jwks_uri: endpoints.jwks }))
  return {
    ...issued,
    ...login(site, clientIds, issued.idToken),
    options: { clientIds, endpoints },
    async notify (type, subject = good.sub, claims = {}, header = {}) {
      const about = type === 'verification'
        ? { state: 'a test' }
        : type === 'token-revoked'
          ? { subject: { subject_type: 'oauth_token', token_type: 'refresh_token', token_identifier_alg: 'prefix' } }
          : { subject: { subject_type: 'iss-sub', iss, sub: subject } }
      const event = { iss, jti: randomBytes(16).toString('base64url'), events: { [uriOf(type)]: about } }
      const token = await issued.idToken({ ...notOfEvents, ...event, ...claims }, { typ: 'secevent+jwt', ...header })
      return eventPost('application/secevent+jwt', token)
    }
  }
}

/** Whoever is signed in, and when that was, where the request asks (OpenID Connect Core, 3.1.2.1). */
export function subjectOf (site: Site, claims: Readonly<Record<string, unknown>>, request: PageRequest): CodeSubject {
  const { clientId, nonce, asksForAge } = request
  return { claims: { ...(asksForAge && { auth_time: site.clock.now() }), ...claims }, clientId, nonce }
}

const notOfEvents = {
  azp: undefined, sub: undefined, email: undefined, email_verified: undefined, name: undefined, exp: undefined
}

function uriOf (type: string): string {
  if (type.includes(':')) return type
  const profile = type.startsWith('token') ? 'oauth' : 'risc'
  return `https://schemas.openid.net/secevent/${profile}/event-type/${type}`
}

// OpenID Connect Core, 3.1; with a redirect the first client's secret is asked for, or none (a public client).
function login (
  site: Site,
  clientIds: readonly string[],
  idToken: LocalIssuer<never>['idToken'],
  iss?: string
): LocalLogin {
  const clientSecret = randomBytes(20).toString('hex')
  const codes = createAuthorizationCodes<CodeSubject>(site.clock, clientIds[0] ?? '', 60)
  const rules = { clientIds, nobody: {}, silent: true, ...(iss !== undefined && { iss }) }
  const page = serveLoginPage<Readonly<Record<string, unknown>>>(site, /^\/authorize$/, rules, (claims, request) =>
    codes.issue(subjectOf(site, claims, request), request)
  )
  site.post(/^\/token$/, call =>
    answerCode(call, codes, clientSecret, claims => idToken({ azp: claims.aud, ...claims }))
  )
  return { clientSecret, page }
}

function issuer (
  site: Site,
  slots: readonly [KeySlot, ...KeySlot[]],
  good: Readonly<Record<string, unknown>>
): Omit<LocalIssuer<never>, 'options'> {
  const keys = createKeyRing(...slots)
  site.get(/^\/jwks$/, call => keys.keySet(call.headers['if-none-match']))
  return {
    ...site.faults.switches,
    rotate: keys.rotate,
    async idToken (claims = {}, header = {}) {
      const now = site.clock.now()
      return await keys.sign({ ...good, iat: now, exp: now + 3600, ...claims }, header)
    }
  }
}
