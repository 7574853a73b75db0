import { Writable } from 'node:stream'
import Fastify, {
  type FastifyInstance,
  type FastifyServerOptions,
  type InjectOptions,
  type LightMyRequestResponse
} from 'fastify'
import { tokenExchange } from '../../src/plugin.js'
import type { TokenExchangeOptions } from '../../src/options/options.js'
import type { AuthorizationGrant, IdentityProvider, VerifiedIdentity, VerifyContext } from '../../src/identity.js'

export const issuer = 'https://api.example.com'
export const secret = 'Wm2vN7cQx4Tz9Lr6Kp1Yb8Hd5Js3Fg0A'

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

export interface LoginServer {
  app: FastifyInstance
  log: () => string
  login: (payload?: InjectOptions['payload'], more?: InjectOptions) => Promise<LightMyRequestResponse>
}

/** A server with the plugin and one own provider `own`; `prepare` is what the application does before. */
export async function loginServer (
  options: Partial<TokenExchangeOptions> = {},
  {
    prepare = () => {},
    server = {}
  }: { prepare?: (app: FastifyInstance) => unknown, server?: FastifyServerOptions } = {}
): Promise<LoginServer> {
  const { stream, text } = logStream()
  const app = Fastify({ logger: { level: 'trace', stream }, ...server })
  await prepare(app)
  await app.register(tokenExchange, { issuer, keys: secret, providers: { own: ownProvider() }, ...options })
  return {
    app,
    log: text,
    login: async (payload, more = {}) =>
      await app.inject({ method: 'POST', url: '/login/own', ...(payload !== undefined && { payload }), ...more })
  }
}

/** The claims of a token, unverified. */
export function decodeClaims (token: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
}
