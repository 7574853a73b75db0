import type { FastifyInstance } from 'fastify'
import type { IdentityProvider, TokenExchangeOptions } from '../../src/index.js'
import { buildServer, logStream, ownProvider, type Surroundings } from '../server.js'

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
  { fastify = {}, ...surroundings }: Surroundings = {}
): Promise<DialectServer> {
  const { stream, text } = logStream()
  const app = await buildServer(
    { providers: { facebook: own }, azureMobileServices: true, ...options },
    { ...surroundings, fastify: { logger: { level: 'trace', stream }, ...fastify } }
  )
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
