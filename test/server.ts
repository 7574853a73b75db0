import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import { tokenExchange, type TokenExchangeOptions } from '../src/index.js'

export const issuer = 'https://api.example.com'
export const secret = 'a5f0c9d2e7b84613-5c1e9b7a40d83f26-hs256'
export const applicationKey = 'application-key-of-ios'
export const masterKey = 'master-key-of-operations'

/** Options of a server that has guards and no login routes. */
export const guardsOnly: TokenExchangeOptions = {
  issuer,
  keys: secret,
  applicationKeys: { ios: applicationKey, android: 'application-key-of-android' },
  masterKeys: { ops: masterKey }
}

/** A test, as far as a server needs it: to be closed with it. */
export interface Closing { teardown (close: () => unknown): void }

/** A server with the plugin; it closes with the test. */
export async function startApp (
  t: Closing,
  options: Partial<TokenExchangeOptions> = {},
  fastify: FastifyServerOptions = {}
): Promise<FastifyInstance> {
  const app = Fastify({ ...fastify })
  t.teardown(() => app.close())
  await app.register(tokenExchange, { ...guardsOnly, ...options })
  return app
}

/** A server whose `GET /` answers who calls, to users only. */
export async function startUsersApp (
  t: Closing,
  options: Partial<TokenExchangeOptions> = {},
  fastify: FastifyServerOptions = {}
): Promise<FastifyInstance> {
  const app = await startApp(t, options, fastify)
  app.get('/', { onRequest: app.requireLevel('authenticated') }, request => request.auth)
  await app.ready()
  return app
}

export interface Outcome { status: number, code: string | undefined, challenge: string | undefined }

/** What the answer to a request comes to. */
export async function ask (
  app: FastifyInstance,
  headers: Record<string, string | string[]> = {},
  url = '/',
  method: 'GET' | 'HEAD' | 'OPTIONS' | 'POST' = 'GET'
): Promise<Outcome> {
  const answer = await app.inject({ method, url, headers })
  return {
    status: answer.statusCode,
    code: codeIn(answer.body),
    challenge: answer.headers['www-authenticate']?.toString()
  }
}

export function codeIn (body: string): string | undefined {
  if (!body.startsWith('{')) return undefined
  const parsed: unknown = JSON.parse(body)
  const code: unknown = typeof parsed === 'object' && parsed !== null ? Reflect.get(parsed, 'code') : undefined
  return typeof code === 'string' ? code : undefined
}
