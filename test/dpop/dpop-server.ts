import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import type { TokenExchangeOptions } from '../../src/plugin-options.js'
import { memoryStore } from '../../src/sessions/stores/index.js'
import { codeIn, issuer, ownProvider, startApp, type Closing } from '../server.js'
import { proofBy, proofFor, type ProofChanges, type Prover } from './prover.js'

type Headers = Record<string, string | string[]>

/** What a client does at a server that asks for proofs. */
export interface DpopServer {
  app: FastifyInstance
  login (key: Prover | null, changes?: ProofChanges): Promise<LightMyRequestResponse>
  refresh (refreshToken: string, key: Prover | null, changes?: ProofChanges): Promise<LightMyRequestResponse>
  /** `POST /token`, as a form. */
  token (parameters: Record<string, string>, headers?: Headers): Promise<LightMyRequestResponse>
  /** `GET /me` with a bound token and a proof. */
  call (token: string, key: Prover, changes?: ProofChanges): Promise<LightMyRequestResponse>
  get (headers: Headers, url?: string): Promise<LightMyRequestResponse>
}

export async function dpopServer (
  t: Closing,
  options: Partial<TokenExchangeOptions> = {}
): Promise<DpopServer> {
  const app = await startApp(t, {
    providers: { own: ownProvider() },
    sessions: { store: memoryStore() },
    ...options
  })
  app.get('/me', { onRequest: app.requireUser() }, request => request.auth.user)
  app.get('/everyone', { onRequest: app.requireLevel('everyone') }, request => request.auth)
  app.get('/app', { onRequest: app.requireLevel('application') }, request => request.auth)
  app.get('/recent', { onRequest: app.requireRecentLogin({ maxAge: 60, acr: ['mfa'] }) }, () => 'ok')
  app.get('/todo', { onRequest: app.requirePermission('todo') }, () => 'ok')
  await app.ready()

  const token: DpopServer['token'] = async (parameters, headers = {}) => await app.inject({
    method: 'POST',
    url: '/token',
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
    payload: new URLSearchParams(parameters).toString()
  })
  const get: DpopServer['get'] = async (headers, url = '/me') => await app.inject({ url, headers })
  return {
    app,
    token,
    get,
    async login (key, { claims, ...changes } = {}) {
      const proof = key && proofBy(key, { ...changes, claims: { htu: `${issuer}/login/own`, ...claims } })
      const headers = proof === null ? {} : { dpop: proof }
      return await app.inject({ method: 'POST', url: '/login/own', headers, payload: { access_token: 'good' } })
    },
    async refresh (refreshToken, key, changes) {
      const headers: Headers = key === null ? {} : { dpop: proofBy(key, changes) }
      return await token({ grant_type: 'refresh_token', refresh_token: refreshToken }, headers)
    },
    async call (accessToken, key, changes) {
      return await get({ authorization: `DPoP ${accessToken}`, dpop: proofFor(key, accessToken, '/me', changes) })
    }
  }
}

export interface Bound { access: string, refresh: string, type: string }

export function boundIn (answer: LightMyRequestResponse): Bound {
  const body = answer.json<Record<string, unknown>>()
  return { access: String(body.access_token), refresh: String(body.refresh_token), type: String(body.token_type) }
}

export interface Refused { status: number, code: string | undefined, challenge: string | undefined }

export function refusedWith (answer: LightMyRequestResponse): Refused {
  return {
    status: answer.statusCode,
    code: codeIn(answer.body),
    challenge: answer.headers['www-authenticate']?.toString()
  }
}
