import { createHash, randomBytes } from 'node:crypto'
import type { FastifyInstance, InjectOptions, LightMyRequestResponse } from 'fastify'
import type { TokenExchangeOptions } from '../../src/plugin-options.js'
import { memoryStore } from '../../src/sessions/stores/index.js'
import { issuer, logStream, ownProvider, startApp, type Closing } from '../server.js'

export const webUri = 'https://www.example.com/callback'
export const appUri = 'com.example.app:/callback'
export const clients = {
  web: { redirectUris: [webUri, 'https://www.example.com/other?from=login'] },
  app: { redirectUris: [appUri, 'http://127.0.0.1/callback', 'http://[::1]/callback'] }
}

/** Knows one code, `good`; browsers go to a page that nobody serves. */
export const redirectProvider = ownProvider(undefined, {
  authorizationUrl: ({ state, redirectUri, nonce, codeChallenge, ...hints }) =>
    `https://own.example/authorize?${new URLSearchParams({ state, redirect_uri: redirectUri, ...texts(hints) })}`,
  redeem: async ({ code }) => {
    if (code === 'down') throw Object.assign(new Error('down'), { code: 'AUTH_ERR_PROVIDER_UNAVAILABLE' })
    if (code !== 'good') throw Object.assign(new Error('no'), { code: 'AUTH_ERR_GRANT_REJECTED' })
    return { subject: '10158', clientId: 'at-the-provider' }
  }
})

function texts (hints: object): Record<string, string> {
  return Object.fromEntries(Object.entries(hints).map(([name, value]) => [name, String(value)]))
}

export interface AuthorizationServer { app: FastifyInstance, log: () => string }

export async function authorizationServer (
  t: Closing,
  options: Partial<TokenExchangeOptions> = {}
): Promise<AuthorizationServer> {
  const { stream, text } = logStream()
  const defaults = { providers: { own: redirectProvider }, clients, sessions: { store: memoryStore() } }
  const app = await startApp(t, { ...defaults, ...options }, { logger: { level: 'trace', stream } })
  app.get('/me', { onRequest: app.requireUser() }, request => request.auth.user)
  return { app, log: text }
}

export interface Pkce { verifier: string, challenge: string }

export function pkce (verifier = randomBytes(32).toString('base64url')): Pkce {
  return { verifier, challenge: createHash('sha256').update(verifier).digest('base64url') }
}

const web = { response_type: 'code', client_id: 'web', redirect_uri: webUri, code_challenge_method: 'S256' }

/** The path of an authorization request; what is undefined is left out. */
export function authorizePath (changes: Record<string, string | undefined> = {}): string {
  const parameters = { ...web, code_challenge: pkce('v'.repeat(43)).challenge, state: 'a state', ...changes }
  const given = Object.entries(parameters).filter((pair): pair is [string, string] => pair[1] !== undefined)
  return `/authorize?${new URLSearchParams(given)}`
}

interface Cookie { value: string, path: string }

/** A browser of one user: it keeps cookies as RFC 6265 says, and follows no redirect by itself. */
export function openBrowser (app: FastifyInstance) {
  const jar = new Map<string, Cookie>()

  function cookieFor (path: string): { cookie?: string } {
    const sent = [...jar].filter(([, cookie]) => path === cookie.path || path.startsWith(`${cookie.path}/`))
    return sent.length === 0 ? {} : { cookie: sent.map(([name, { value }]) => `${name}=${value}`).join('; ') }
  }

  function keep (line: string): void {
    const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
    const path = /; Path=([^;]+)/.exec(line)?.[1] ?? '/'
    if (/; Max-Age=0(;|$)/.test(line)) jar.delete(name)
    else jar.set(name, { value, path })
  }

  return {
    jar,
    async visit (url: string, options: InjectOptions = {}): Promise<LightMyRequestResponse> {
      const path = url.startsWith('/') ? url : url.slice(issuer.length)
      const headers = { ...cookieFor(path.split('?')[0] ?? ''), ...options.headers }
      const answer = await app.inject({ ...options, url: path, headers })
      for (const line of [answer.headers['set-cookie'] ?? []].flat()) keep(line)
      return answer
    }
  }
}

export type Browser = ReturnType<typeof openBrowser>

/** The `state` that a browser takes to the provider. */
export function stateOf (answer: LightMyRequestResponse): string {
  return new URL(answer.headers.location ?? '').searchParams.get('state') ?? ''
}

/** What a client finds in the address that its browser came back to. */
export function answerIn (answer: LightMyRequestResponse): Record<string, string> {
  const { location = '' } = answer.headers
  return Object.fromEntries(new URLSearchParams(location.slice(location.indexOf('?') + 1)))
}

/** From the start to the code. */
export async function codeOf (browser: Browser, changes: Record<string, string> = {}): Promise<string> {
  const begun = await browser.visit(authorizePath(changes))
  const ended = await browser.visit(`/callback/own?code=good&state=${encodeURIComponent(stateOf(begun))}`)
  return answerIn(ended).code ?? ''
}

/** `POST /token` for a code. */
export async function redeem (
  app: FastifyInstance,
  code: string,
  changes: Record<string, string | undefined> = {},
  headers: Record<string, string> = {}
): Promise<LightMyRequestResponse> {
  const parameters = {
    grant_type: 'authorization_code',
    code,
    redirect_uri: webUri,
    client_id: 'web',
    code_verifier: 'v'.repeat(43),
    ...changes
  }
  const given = Object.entries(parameters).filter((pair): pair is [string, string] => pair[1] !== undefined)
  return await app.inject({
    method: 'POST',
    url: '/token',
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
    payload: new URLSearchParams(given).toString()
  })
}
