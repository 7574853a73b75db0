import type { FastifyReply } from 'fastify'
import { allowedOrigin, allowedUri, readRedirectUri, refused, type Destinations } from '../login/destinations.js'
import { sendPage } from '../routes/redirect.js'
import { completionPage } from './completion-page.js'

/** How a login by redirect ends, as asked for at its start. */
export type Completion =
  | { form: 'done' }
  | { form: 'page', origin: string }
  | { form: 'uri', uri: string }
  | { form: 'code', uri: string, challenge: string }

const redirectNames = ['post_login_redirect_uri', 'post_login_redirect_url']

/**
 * Reads the query of the start.
 *
 * @throws errors with status 401 for what is not allowed, or is not one of the forms
 */
export function readCompletion (query: URLSearchParams, to: Destinations): Completion {
  const names = [...query.keys()]
  if (new Set(names).size !== names.length) throw refused('A parameter is repeated')
  only(query, 'session_mode', 'token')
  only(query, 'completion_type', 'postMessage')
  only(query, 'code_challenge_method', 'S256')
  const uri = readRedirectUri(query, redirectNames, to)
  const challenge = readChallenge(query)
  const isPage = query.has('completion_type')
  if (isPage && (uri !== null || challenge !== null)) {
    throw refused('A completion page and a redirect exclude each other')
  }
  if (isPage) return { form: 'page', origin: allowedOrigin(query.get('completion_origin') ?? '', to) }
  if (challenge !== null && uri === null) throw refused('A code_challenge needs a redirect URI')
  if (uri === null) return { form: 'done' }
  return challenge === null ? { form: 'uri', uri } : { form: 'code', uri, challenge }
}

/** What comes back with the browser is checked again: options may have changed since. @throws as `readCompletion` */
export function restoreCompletion (value: unknown, to: Destinations): Completion {
  const { form, origin, uri, challenge }: Record<string, unknown> = { ...(typeof value === 'object' ? value : {}) }
  if (form === 'page' && typeof origin === 'string') return { form, origin: allowedOrigin(origin, to) }
  if (form === 'uri' && typeof uri === 'string') return { form, uri: allowedUri(uri, to) }
  if (form === 'code' && typeof uri === 'string' && typeof challenge === 'string') {
    return { form, uri: allowedUri(uri, to), challenge }
  }
  return { form: 'done' }
}

function readChallenge (query: URLSearchParams): string | null {
  const given = query.get('code_challenge')
  if ((given === null) !== (query.get('code_challenge_method') === null)) {
    throw refused('code_challenge and code_challenge_method belong together')
  }
  if (given === null) return null
  if (given.length > 44 || !sha256.test(given)) throw refused('The code_challenge is no SHA-256')
  return given.slice(0, 43).replace(/[+ ]/g, '-').replaceAll('/', '_')
}

/** 32 bytes in base64 or base64url. The .NET client sends plain base64, and a query turns its `+` into a blank. */
const sha256 = /^[A-Za-z0-9_/+ -]{43}=?$/

function only (query: URLSearchParams, name: string, value: string): void {
  if (query.has(name) && query.get(name) !== value) throw refused(`${name} can only be ${value}`)
}

/** What a login by redirect came to: the login answer, a one-time code for it, or what went wrong. */
export type Outcome = { token: object } | { code: string } | { error: string }

/** Ends it in the form asked for. @param doneUrl where it ends when nothing else was asked for */
export function complete (
  completion: Completion,
  outcome: Outcome,
  doneUrl: string,
  reply: FastifyReply
): FastifyReply {
  if (completion.form === 'page') return sendPage(completionPage(completed(outcome), completion.origin), reply)
  const uri = completion.form === 'done' ? doneUrl : completion.uri
  return reply.redirect(`${uri}#${fragment(outcome)}`, 302)
}

function completed (outcome: Outcome): Parameters<typeof completionPage>[0] {
  return {
    type: 'LoginCompleted',
    oauth: 'token' in outcome ? outcome.token : null,
    error: 'error' in outcome ? outcome.error : null
  }
}

function fragment (outcome: Outcome): string {
  if ('token' in outcome) return `token=${encodeURIComponent(JSON.stringify(outcome.token))}`
  if ('code' in outcome) return `authorization_code=${encodeURIComponent(outcome.code)}`
  return `error=${encodeURIComponent(outcome.error)}`
}
