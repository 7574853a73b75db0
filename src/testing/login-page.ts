import type { CodeOptions } from './authorization-codes.js'
import { json, type Answer, type Call, type Site } from './site.js'

/** The provider's page that browsers are sent to. Nobody has to click: it sends them back at once. */
export interface LoginPage<Person> {
  /** Who is signed in there from now on. */
  signIn (person: Person): void
  /** From now on nobody is: `prompt=none` is answered `login_required`, where the provider takes it, until `signIn`. */
  signOut (): void
  /** From now on the user says no, or the provider does; `false` ends that. @default 'access_denied' */
  refuse (error?: string | false): void
}

/** What a code that the page makes is bound to. */
export interface PageRequest extends CodeOptions {
  clientId: string
  redirectUri: string
  codeChallenge: string | null
  nonce: string | null
  /** Whether the ID token has to say when the user has logged in (OpenID Connect Core, 3.1.2.1, `max_age`). */
  asksForAge: boolean
  scopes: readonly string[]
}

export interface PageRules<Person> {
  readonly clientIds: readonly string[]
  readonly nobody: Person
  /** RFC 9207. */
  readonly iss?: string
  /** Takes `prompt=none`, which no page may be shown for (OpenID Connect Core, 3.1.2.1). */
  readonly silent?: boolean
  /** Scopes with which only a form will do. */
  readonly formScopes?: readonly string[]
  /** What the answer holds beside the code. */
  readonly more?: (person: Person, request: PageRequest) => Record<string, string>
  /** What the provider says when the user says no. @default 'access_denied' */
  readonly refusal?: string
}

/** RFC 6749, 4.1.1 and 4.1.2. @param issue makes a code for a person */
export function serveLoginPage<Person> (
  site: Site,
  path: RegExp,
  rules: PageRules<Person>,
  issue: (person: Person, request: PageRequest) => string
): LoginPage<Person> {
  let person = rules.nobody
  let isSignedIn = true
  let refusal: string | false = false

  site.get(path, call => {
    const request = readRequest(call, rules.clientIds)
    if (typeof request === 'string') return json(400, { error: 'invalid_request', error_description: request })
    const state = call.query.get('state')
    return sendBack(call.query.get('response_mode'), request.redirectUri, {
      ...answerTo(call, request),
      ...(state !== null && { state }),
      ...(rules.iss !== undefined && { iss: rules.iss })
    })
  })

  function answerTo ({ query }: Call, request: PageRequest): Record<string, string> {
    if (refusal !== false) return { error: refusal, error_description: 'The user said no.' }
    const needsForm = request.scopes.some(scope => rules.formScopes?.includes(scope))
    if (needsForm && query.get('response_mode') !== 'form_post') return { error: 'invalid_request' }
    const isSilent = rules.silent === true && query.get('prompt') === 'none'
    if (isSilent && !isSignedIn) return { error: 'login_required' }
    return { code: issue(person, request), ...rules.more?.(person, request) }
  }

  return {
    signIn (next) {
      person = next
      isSignedIn = true
    },
    signOut () {
      isSignedIn = false
    },
    refuse (error = rules.refusal ?? 'access_denied') {
      refusal = error
    }
  }
}

function readRequest ({ query }: Call, clientIds: readonly string[]): PageRequest | string {
  const clientId = query.get('client_id') ?? ''
  const redirectUri = query.get('redirect_uri') ?? ''
  if (!clientIds.includes(clientId)) return 'client_id'
  if (!URL.canParse(redirectUri)) return 'redirect_uri'
  if (query.get('response_type') !== 'code') return 'response_type'
  if (query.has('code_challenge') && query.get('code_challenge_method') !== 'S256') return 'code_challenge_method'
  if (!['query', 'form_post'].includes(query.get('response_mode') ?? 'query')) return 'response_mode'
  return {
    clientId,
    redirectUri,
    codeChallenge: query.get('code_challenge'),
    nonce: query.get('nonce'),
    asksForAge: query.has('max_age'),
    scopes: (query.get('scope') ?? '').split(' ')
  }
}

/** In the address, or as a form that the browser posts (OAuth 2.0 Form Post Response Mode). */
function sendBack (mode: string | null, uri: string, parameters: Record<string, string>): Answer {
  if (mode === 'form_post') return form(uri, parameters)
  const url = new URL(uri)
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value)
  return { status: 302, headers: { location: url.href, 'cache-control': 'no-store' }, body: '' }
}

function form (uri: string, parameters: Record<string, string>): Answer {
  const fields = Object.entries(parameters).map(([name, value]) =>
    `<input type="hidden" name="${escaped(name)}" value="${escaped(value)}">`)
  const body = `<!doctype html><title>Signing in</title><form method="post" action="${escaped(uri)}">${fields.join('')}
<noscript><button>Continue</button></noscript></form><script>document.forms[0].submit()</script>`
  return { status: 200, headers: { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' }, body }
}

function escaped (text: string): string {
  return text.replace(/[&<>"]/g, character => `&#${character.charCodeAt(0)};`)
}
