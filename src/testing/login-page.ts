import type { CodeOptions } from './authorization-codes.js'
import { json, type Answer, type Call, type Site } from './site.js'

/** The provider's page that browsers are sent to. Nobody has to click: it sends them back at once. */
export interface LoginPage<Person> {
  /** Who is signed in there from now on. */
  signIn (person: Person): void
  /** From now on the user says no, or the provider does; `false` ends that. @default 'access_denied' */
  refuse (error?: string | false): void
}

/** What a code that the page makes is bound to. */
export interface PageRequest extends CodeOptions {
  clientId: string
  redirectUri: string
  codeChallenge: string | null
  nonce: string | null
}

/** RFC 6749, 4.1.1 and 4.1.2; RFC 9207 where `iss` is given. @param issue makes a code for a person */
export function serveLoginPage<Person> (
  site: Site,
  path: RegExp,
  rules: { clientIds: readonly string[], nobody: Person, iss?: string },
  issue: (person: Person, request: PageRequest) => string
): LoginPage<Person> {
  let person = rules.nobody
  let refusal: string | false = false

  site.get(path, call => {
    const request = readRequest(call, rules.clientIds)
    if (typeof request === 'string') return json(400, { error: 'invalid_request', error_description: request })
    const answer =
      refusal === false ? { code: issue(person, request) } : { error: refusal, error_description: 'The user said no.' }
    const state = call.query.get('state')
    return redirect(request.redirectUri, {
      ...answer,
      ...(state !== null && { state }),
      ...(rules.iss !== undefined && { iss: rules.iss })
    })
  })

  return {
    signIn (next) {
      person = next
    },
    refuse (error = 'access_denied') {
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
  return { clientId, redirectUri, codeChallenge: query.get('code_challenge'), nonce: query.get('nonce') }
}

function redirect (uri: string, parameters: Record<string, string>): Answer {
  const url = new URL(uri)
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value)
  return { status: 302, headers: { location: url.href, 'cache-control': 'no-store' }, body: '' }
}
