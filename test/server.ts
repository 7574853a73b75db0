import { Writable } from 'node:stream'
import Fastify, { type FastifyInstance, type FastifyServerOptions, type RegisterOptions } from 'fastify'
import {
  tokenExchange,
  type AuthorizationGrant,
  type IdentityProvider,
  type TokenExchangeOptions,
  type VerifiedIdentity,
  type VerifyContext
} from '../src/index.js'

export const issuer = 'https://api.example.com'
export const secret = 'a5f0c9d2e7b84613-5c1e9b7a40d83f26-hs256'
export const applicationKey = 'application-key-of-ios'
export const masterKey = 'master-key-of-operations'

/** Why a test has to be skipped with the Fastify at hand; false from the release on that has what it needs. */
export function fastifyBefore (release: string, what: string): string | false {
  const isOlder = Fastify().version.localeCompare(release, 'en', { numeric: true }) < 0
  return isOlder ? `Fastify has ${what} from ${release} on` : false
}

/** Options of a server that has guards and no login routes. */
export const guardsOnly: TokenExchangeOptions = {
  issuer,
  keys: secret,
  applicationKeys: { ios: applicationKey, android: 'application-key-of-android' },
  masterKeys: { ops: masterKey }
}

/** The names of the access token itself, which the application's claims may not have. */
export const reservedClaims = [
  'iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti', 'client_id', 'idp', 'idp_sub', 'level', 'permissions', 'sid', 'cnf',
  'auth_time', 'acr', 'amr'
] as const

/** An application's own provider: a plain object. It vouches for whoever says `good`, unless told otherwise. */
export function ownProvider (
  verify: (grant: AuthorizationGrant, context: VerifyContext) => unknown = vouch,
  members: Partial<IdentityProvider> = {}
): IdentityProvider {
  return {
    accepts: ['access_token', 'id_token', 'authorization_code'],
    verify: verify as IdentityProvider['verify'],
    ...members
  }
}

export function vouch ({ token }: AuthorizationGrant): VerifiedIdentity {
  if (token !== 'good') throw Object.assign(new Error('no'), { code: 'AUTH_ERR_GRANT_REJECTED' })
  return { subject: '10158' }
}

/** Lines of the log, at the finest level. */
export function logStream (): { stream: Writable, text: () => string } {
  const lines: string[] = []
  return {
    stream: new Writable({ write (chunk, _encoding, done) { lines.push(String(chunk)); done() } }),
    text: () => lines.join('')
  }
}

/** Options of the plugin, what a server needs aside, and those that Fastify has for every plugin. */
export type Options = Partial<TokenExchangeOptions & RegisterOptions>

/** What is the application's own: the options of Fastify, and what it does before it registers the plugin. */
export interface Surroundings {
  readonly fastify?: FastifyServerOptions
  readonly prepare?: (app: FastifyInstance) => unknown
}

/** Every server of the tests. Without options it has guards and no login routes. */
export async function buildServer (
  options: Options = {},
  { fastify = {}, prepare = () => {} }: Surroundings = {}
): Promise<FastifyInstance> {
  const app = Fastify({ ...fastify })
  await prepare(app)
  await app.register(tokenExchange, { ...guardsOnly, ...options })
  return app
}

/** A test, as far as a server needs it: to be closed with it. */
export interface Closing { teardown (close: () => unknown): void }

/** A server that closes with the test. */
export async function startApp (
  t: Closing,
  options: Options = {},
  fastify: FastifyServerOptions = {}
): Promise<FastifyInstance> {
  const app = await buildServer(options, { fastify, prepare: app => { t.teardown(() => app.close()) } })
  return app
}

/** A server whose `GET /` answers who calls, to users only. */
export async function startUsersApp (
  t: Closing,
  options: Options = {},
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
