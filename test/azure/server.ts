import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import type { IdentityProvider } from '../../src/identity.js'
import type { TokenExchangeOptions } from '../../src/options/options.js'
import { tokenExchange } from '../../src/plugin.js'
import { logStream, ownProvider } from '../routes/login-server.js'

export const issuer = 'https://api.example.com'
export const secret = 'Wm2vN7cQx4Tz9Lr6Kp1Yb8Hd5Js3Fg0A'
export const applicationKey = 'application-key-0001'
export const masterKey = 'master-key-000000001'

/** Vouches for whoever says `good`, whatever kind of grant says so. */
export const own: IdentityProvider = ownProvider()

export interface DialectServer {
  app: FastifyInstance
  log: () => string
  token: (level?: 'authenticated' | 'admin') => string
}

/** A server that speaks the dialect, with the four APIs of the original's quickstarts. */
export async function dialectServer (
  options: Partial<TokenExchangeOptions> = {},
  {
    server = {},
    prepare = () => {}
  }: { server?: FastifyServerOptions, prepare?: (app: FastifyInstance) => unknown } = {}
): Promise<DialectServer> {
  const { stream, text } = logStream()
  const app = Fastify({ logger: { level: 'trace', stream }, ...server })
  await prepare(app)
  await app.register(tokenExchange, {
    issuer,
    keys: secret,
    providers: { facebook: own },
    azureMobileServices: true,
    applicationKeys: { ios: applicationKey },
    masterKeys: { ops: masterKey },
    ...options
  })
  for (const level of ['everyone', 'application', 'authenticated', 'admin'] as const) {
    app.route({
      method: ['GET', 'POST', 'PATCH', 'DELETE'],
      url: `/api/${level}`,
      onRequest: app.requireLevel(level),
      handler: request => ({ level, body: request.body ?? null })
    })
  }
  return {
    app,
    log: text,
    token: (level = 'authenticated') => app.tokenExchange.issue({ userId: 'facebook:10158', level }).access_token
  }
}
