import { createHmac, randomBytes } from 'node:crypto'
import {
  createAuthorizationCodes,
  redeemForm,
  type AuthorizationCodes
} from './authorization-codes.js'
import { serveLoginPage, type LoginPage } from './login-page.js'
import { eventPost, type EventPost } from './event-requests.js'
import {
  graphError,
  isGraphErrorCode,
  serveGraph,
  type GraphErrorCode,
  type GraphSwitches,
  type GraphToken
} from './facebook-graph.js'
import { createKeyRing, type HeaderOverrides, type RotateOptions } from './signing-keys.js'
import { json, type FaultSwitches, type Handler, type Site } from './site.js'

/** A person on Facebook, as the app sees them. */
export interface FacebookPerson {
  /** App-scoped id: a digit string. @default '10158000000000001' */
  id?: string
  /** @default 'Test Person' */
  name?: string
  /** Known to the app only where the person consented: without one, `/me` has no such member. */
  email?: string
  /** URL. */
  picture?: string
}

/** What differs from a good token of this app. */
export interface FacebookTokenOverrides {
  /** Another app's token: `debug_token` refuses to look at it, as the Graph does (400, code 100). */
  appId?: string
  /** Let `debug_token` answer even so, with the other `app_id`: then your server's own check must refuse it. */
  inspectable?: boolean
  /** @default 'USER' */
  type?: string
  /** @default public_profile, and email where the person has one */
  scopes?: readonly string[]
  /** Seconds since the epoch; `0` never expires. @default in 60 days */
  expiresAt?: number
  /** Seconds since the epoch. @default in 90 days */
  dataAccessExpiresAt?: number
  /** Seconds since the epoch. @default now */
  issuedAt?: number
  /** `false`: the session was ended by Facebook. @default true */
  valid?: boolean
}

/** Facebook: the Graph for classic tokens, and Limited Login. */
export interface LocalFacebook extends FaultSwitches {
  /** For the `facebook` provider. */
  readonly options: {
    readonly appId: string
    readonly appSecret: string
    readonly endpoints: { readonly graph: string, readonly jwks: string, readonly authorize: string }
  }
  /** Where logins by redirect begin: `facebook({ ...options, redirect: {} })`. */
  readonly page: LoginPage<FacebookPerson>
  /** A classic access token, known to the Graph. */
  accessToken(person?: FacebookPerson, overrides?: FacebookTokenOverrides): string
  /** An ID token of Limited Login. Claims as given; `undefined` leaves one out. */
  idToken(claims?: Readonly<Record<string, unknown>>, header?: HeaderOverrides): Promise<string>
  /** Makes the Graph answer every call with this error; `false` ends it. */
  graphError(code: GraphErrorCode | false): void
  /** Sends ids as JSON numbers, exact to the last digit, and no longer as strings. */
  numericIds(on: boolean): void
  rotate(options?: RotateOptions): Promise<void>
  /** What Facebook posts when a user removes the app. Members as given replace those of a good one. */
  deauthorize(userId?: string, members?: Readonly<Record<string, unknown>>): EventPost
  /** What it posts, to the address of its own, when that user asks for the deletion of its data. */
  requestDeletion(userId?: string, members?: Readonly<Record<string, unknown>>): EventPost
}

// Both kinds of token speak of the same person unless told otherwise.
const subject = '10158000000000001'
const day = 86_400

export function localFacebook (site: Site): LocalFacebook {
  const appId = '1015800000000042'
  const appSecret = randomBytes(16).toString('hex')
  const keys = createKeyRing({ name: 'limited-login', algorithm: 'RS256', members: { alg: 'RS256' } })
  const tokens = new Map<string, GraphToken>()
  const switches: GraphSwitches = { error: false, numericIds: false }
  const codes = createAuthorizationCodes<FacebookPerson>(site.clock, appId, 600)

  function accessToken (person: FacebookPerson = {}, overrides: FacebookTokenOverrides = {}): string {
    const token = `EAA${randomBytes(48).toString('hex')}`
    tokens.set(token, { ...goodToken(appId, site.clock.now(), person), ...overrides })
    return token
  }

  // https://developers.facebook.com/docs/facebook-login/guides/advanced/manual-flow
  const page = serveLoginPage<FacebookPerson>(
    site,
    /^(?:\/v\d+\.\d+)?\/dialog\/oauth$/,
    { clientIds: [appId], nobody: {} },
    (person, request) => codes.issue(person, request)
  )
  serveGraphCodes(site, { appId, appSecret }, codes, accessToken)
  serveGraph(site, { appId, appSecret }, tokens, switches)
  // https://developers.facebook.com/documentation/facebook-login/ios/limited-login/token
  site.get(/^\/\.well-known\/oauth\/openid\/jwks\/$/, call => keys.keySet(call.headers['if-none-match']))

  return {
    ...site.faults.switches,
    options: {
      appId,
      appSecret,
      endpoints: {
        graph: site.url,
        jwks: `${site.url}/.well-known/oauth/openid/jwks/`,
        authorize: `${site.url}/dialog/oauth`
      }
    },
    page,
    accessToken,
    async idToken (claims = {}, header = {}) {
      const now = site.clock.now()
      return await keys.sign(
        {
          iss: 'https://www.facebook.com',
          aud: appId,
          sub: subject,
          iat: now,
          exp: now + 3600,
          jti: randomBytes(12).toString('hex'),
          name: 'Test Person',
          ...claims
        },
        header
      )
    },
    graphError (code) {
      if (code !== false && !isGraphErrorCode(code)) {
        throw new TypeError('graphError takes a code that it knows, or false')
      }
      switches.error = code
    },
    numericIds (on) {
      switches.numericIds = on
    },
    rotate: keys.rotate,
    deauthorize: (userId, members) => signedRequest({ appSecret, now: site.clock.now() }, userId, members),
    requestDeletion: (userId, members) => signedRequest({ appSecret, now: site.clock.now() }, userId, members)
  }
}

// https://developers.facebook.com/docs/development/create-an-app/app-dashboard/data-deletion-callback
function signedRequest (
  { appSecret, now }: { appSecret: string, now: number },
  userId = subject,
  members: Readonly<Record<string, unknown>> = {}
): EventPost {
  const claims = { user_id: userId, algorithm: 'HMAC-SHA256', issued_at: now, ...members }
  const payload = Buffer.from(JSON.stringify(claims)).toString('base64url')
  const signed = `${createHmac('sha256', appSecret).update(payload).digest('base64url')}.${payload}`
  return eventPost('application/x-www-form-urlencoded', new URLSearchParams({ signed_request: signed }).toString())
}

function goodToken (appId: string, now: number, person: FacebookPerson): GraphToken {
  return {
    user: { id: subject, name: 'Test Person', ...person },
    appId,
    application: 'Test App',
    type: 'USER',
    scopes: person.email === undefined ? ['public_profile'] : ['email', 'public_profile'],
    issuedAt: now,
    expiresAt: now + 60 * day,
    dataAccessExpiresAt: now + 90 * day,
    valid: true,
    inspectable: false
  }
}

/**
 * The Graph's token endpoint, by GET or POST; its errors are the Graph's and not those of OAuth.
 * https://developers.facebook.com/docs/facebook-login/guides/advanced/manual-flow#exchangecode
 */
function serveGraphCodes<Person> (
  site: Site,
  app: { appId: string, appSecret: string },
  codes: AuthorizationCodes<Person>,
  accessToken: (person: Person) => string
): void {
  const handler: Handler = ({ query, body }) => {
    const form = body === '' ? query : new URLSearchParams(body)
    if (form.get('client_id') !== app.appId || form.get('client_secret') !== app.appSecret) {
      return graphError(1, 'Error validating client secret.')
    }
    return redeemForm(
      codes,
      form,
      app.appId,
      person => json(200, { access_token: accessToken(person), token_type: 'bearer', expires_in: 5_183_944 }),
      () => graphError(100, 'Invalid verification code format.')
    )
  }
  site.get(/^(?:\/v\d+\.\d+)?\/oauth\/access_token$/, handler)
  site.post(/^(?:\/v\d+\.\d+)?\/oauth\/access_token$/, handler)
}
