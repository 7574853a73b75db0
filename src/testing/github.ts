import { createHash, createHmac, randomBytes, randomUUID } from 'node:crypto'
import {
  createAuthorizationCodes,
  redeemForm,
  type CodeOptions
} from './authorization-codes.js'
import { serveLoginPage, type LoginPage } from './login-page.js'
import { eventPost, type EventPost } from './event-requests.js'
import { basicCredentials, json, type Answer, type Call, type FaultSwitches, type Site } from './site.js'

/** A person on GitHub. */
export interface GithubPerson {
  /** A number there; a digit string keeps one beyond 2^53 exact. @default 583231 */
  id?: number | string
  /** @default 'octocat' */
  login?: string
  name?: string | null
  /** Only the public one. */
  email?: string | null
  /** URL. */
  avatarUrl?: string
}

/** What differs from a good token of this app. */
export interface GithubTokenOverrides {
  /** Another app's token: GitHub knows none such here, 404. */
  clientId?: string
  /** Let GitHub answer even so, with the other `app.client_id`: then your server's own check must refuse it. */
  inspectable?: boolean
  /** `false`: revoked. @default true */
  valid?: boolean
  scopes?: readonly string[]
}

/** GitHub: checking a token, and exchanging a code for one. */
export interface LocalGithub extends FaultSwitches {
  /** For the `github` provider. */
  readonly options: {
    readonly clientId: string
    readonly clientSecret: string
    readonly endpoints: { readonly api: string, readonly token: string, readonly authorize: string }
  }
  /** Where logins by redirect begin: `github({ ...options, redirect: {} })`. */
  readonly page: LoginPage<GithubPerson>
  accessToken(person?: GithubPerson, overrides?: GithubTokenOverrides): string
  /** A code that is good once, for ten minutes. */
  authorizationCode(person?: GithubPerson, options?: CodeOptions): string
  /** For `github({ ...options, events: { webhookSecret } })`. */
  readonly webhookSecret: string
  /**
   * What a GitHub App's webhook is told: that a person has revoked its authorization, unless the event is another.
   * Headers as given replace those of a good one.
   */
  notify(event?: string, person?: GithubPerson, headers?: Readonly<Record<string, string>>): EventPost
}

interface GithubToken {
  person: GithubPerson
  clientId: string
  inspectable: boolean
  valid: boolean
  scopes: readonly string[]
}

const octocat = 583231

// docs.github.com, "Troubleshooting OAuth app access token request errors".
const badCode = { error: 'bad_verification_code', error_description: 'The code passed is incorrect or expired.' }
const badRedirect = {
  error: 'redirect_uri_mismatch',
  error_description: 'The redirect_uri MUST match the registered callback URL for this application.'
}
const badClient = {
  error: 'incorrect_client_credentials',
  error_description: 'The client_id and/or client_secret passed are incorrect.'
}

export function localGithub (site: Site): LocalGithub {
  const clientId = 'Iv1.0123456789abcdef'
  const clientSecret = randomBytes(20).toString('hex')
  const webhookSecret = randomBytes(20).toString('hex')
  const tokens = new Map<string, GithubToken>()
  const codes = createAuthorizationCodes<GithubPerson>(site.clock, clientId, 600)

  function accessToken (person: GithubPerson = {}, overrides: GithubTokenOverrides = {}): string {
    const token = `gho_${randomBytes(18).toString('hex')}`
    tokens.set(token, { clientId, inspectable: false, valid: true, scopes: ['read:user'], ...overrides, person })
    return token
  }

  // https://docs.github.com/en/rest/apps/oauth-applications#check-a-token
  site.post(/^\/api\/applications\/([^/]+)\/token$/, ({ headers, body, params: [ofClient] }) => {
    const caller = basicCredentials(headers)
    if (caller?.id !== clientId || caller.secret !== clientSecret) {
      return json(401, { message: 'Bad credentials', status: '401' })
    }
    const presented = member(body, 'access_token')
    if (presented === undefined || presented === '') return json(422, { message: 'Validation Failed', status: '422' })
    const token = tokens.get(presented)
    const visible = token !== undefined && token.valid && (token.clientId === clientId || token.inspectable)
    if (!visible || ofClient !== clientId) return json(404, { message: 'Not Found', status: '404' })
    return authorization(presented, token)
  })

  // https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps: every refusal is a 200.
  site.post(/^\/login\/oauth\/access_token$/, call => {
    const form = parametersOf(call)
    if (form.get('client_id') !== clientId || form.get('client_secret') !== clientSecret) {
      return oauthAnswer(call, badClient)
    }
    return redeemForm(
      codes,
      form,
      clientId,
      person => oauthAnswer(call, { access_token: accessToken(person), scope: 'read:user', token_type: 'bearer' }),
      why => oauthAnswer(call, why === 'redirect_uri' ? badRedirect : badCode)
    )
  })

  const page = serveLoginPage<GithubPerson>(
    site,
    /^\/login\/oauth\/authorize$/,
    { clientIds: [clientId], nobody: {} },
    (person, request) => codes.issue(person, request)
  )

  return {
    ...site.faults.switches,
    options: {
      clientId,
      clientSecret,
      endpoints: {
        api: `${site.url}/api`,
        token: `${site.url}/login/oauth/access_token`,
        authorize: `${site.url}/login/oauth/authorize`
      }
    },
    page,
    accessToken,
    authorizationCode: (person = {}, options = {}) => codes.issue(person, options),
    webhookSecret,
    notify: (event = 'github_app_authorization', person = {}, headers = {}) =>
      delivery(webhookSecret, event, person, headers)
  }
}

// https://docs.github.com/en/webhooks/webhook-events-and-payloads#github_app_authorization
function delivery (
  secret: string,
  event: string,
  { id = octocat, login = 'octocat' }: GithubPerson,
  headers: Readonly<Record<string, string>>
): EventPost {
  const action = event === 'github_app_authorization' ? { action: 'revoked' } : {}
  const sender = { login, id: String(id), type: 'User', site_admin: false }
  const body = withNumber(JSON.stringify({ ...action, sender }))
  return eventPost('application/json', body, {
    'x-github-event': event,
    'x-github-delivery': randomUUID(),
    'x-hub-signature-256': `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`,
    ...headers
  })
}

/** The id is a JSON number on the wire, exact to the last digit. */
function withNumber (body: string): string {
  return body.replace(/"id":"(\d+)"/, '"id":$1')
}

function authorization (token: string, { person, clientId, scopes }: GithubToken): Answer {
  const {
    id = octocat,
    login = 'octocat',
    name = null,
    email = null,
    avatarUrl = 'https://avatars.githubusercontent.com/u/583231?v=4'
  } = person
  const answer = json(200, {
    scopes,
    token,
    token_last_eight: token.slice(-8),
    hashed_token: createHash('sha256').update(token).digest('hex'),
    app: { name: 'Test App', url: 'https://app.example.com', client_id: clientId },
    expires_at: null,
    user: { login, id: String(id), type: 'User', site_admin: false, avatar_url: avatarUrl, name, email }
  })
  return { ...answer, body: withNumber(answer.body) }
}

function parametersOf ({ headers, body }: Call): URLSearchParams {
  if (!/^application\/json\b/i.test(headers['content-type'] ?? '')) return new URLSearchParams(body)
  const form = new URLSearchParams()
  for (const name of ['client_id', 'client_secret', 'code', 'redirect_uri', 'code_verifier']) {
    const value = member(body, name)
    if (value !== undefined) form.set(name, value)
  }
  return form
}

// Form-encoded unless the caller asks for JSON.
function oauthAnswer ({ headers }: Call, answer: Record<string, string>): Answer {
  if (/\bjson\b/i.test(headers.accept ?? '')) return json(200, answer)
  return {
    status: 200,
    headers: { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' },
    body: new URLSearchParams(answer).toString()
  }
}

function member (body: string, name: string): string | undefined {
  try {
    const value: unknown = JSON.parse(body)
    const found: unknown = typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined
    return typeof found === 'string' ? found : undefined
  } catch {
    return undefined
  }
}
