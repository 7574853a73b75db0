import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import type { Test } from 'tap'
import type { TokenExchangeOptions } from '../../src/plugin-options.js'
import type { SessionStore } from '../../src/sessions/store.js'
import { memoryStore } from '../../src/sessions/stores/index.js'
import { ownProvider, startApp } from '../server.js'

export interface Tokens { access: string, refresh: string }

/** One server of an application with sessions, and what a client does with it. */
export interface SessionServer {
  app: FastifyInstance
  login (): Promise<Tokens>
  /** `POST /token` with these parameters, as a form. */
  token (parameters: Record<string, string>): Promise<LightMyRequestResponse>
  refresh (refreshToken: string): Promise<LightMyRequestResponse>
  post (url: string, accessToken: string, payload?: object): Promise<LightMyRequestResponse>
  /** The status of a guarded route. */
  call (accessToken: string): Promise<number>
}

export async function sessionServer (t: Test, options: Partial<TokenExchangeOptions> = {}): Promise<SessionServer> {
  const app = await startApp(t, {
    providers: { own: ownProvider() },
    sessions: { store: memoryStore() },
    ...options
  })
  app.get('/guarded', { onRequest: app.requireUser() }, request => request.auth.user)
  const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` })
  const token: SessionServer['token'] = async parameters =>
    await app.inject({
      method: 'POST',
      url: '/token',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      payload: new URLSearchParams(parameters).toString()
    })
  return {
    app,
    token,
    login: async () =>
      tokensIn(await app.inject({ method: 'POST', url: '/login/own', payload: { access_token: 'good' } })),
    refresh: async refreshToken => await token({ grant_type: 'refresh_token', refresh_token: refreshToken }),
    post: async (url, accessToken, payload) =>
      await app.inject({
        method: 'POST',
        url,
        headers: bearer(accessToken),
        ...(payload !== undefined && { payload })
      }),
    call: async accessToken => (await app.inject({ url: '/guarded', headers: bearer(accessToken) })).statusCode
  }
}

/** Two servers of one application on one store. */
export async function twoSessionServers (
  t: Test,
  options: Partial<TokenExchangeOptions> = {},
  store: SessionStore = memoryStore()
): Promise<[SessionServer, SessionServer]> {
  const sessions = { ...options.sessions, store }
  return [await sessionServer(t, { ...options, sessions }), await sessionServer(t, { ...options, sessions })]
}

export function tokensIn (answer: LightMyRequestResponse): Tokens {
  const body = answer.json<Record<string, unknown>>()
  return { access: String(body.access_token), refresh: String(body.refresh_token) }
}
