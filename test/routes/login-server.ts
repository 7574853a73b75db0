import type { FastifyInstance, InjectOptions, LightMyRequestResponse } from 'fastify'
import { buildServer, logStream, ownProvider, type Options, type Surroundings } from '../server.js'

export interface LoginServer {
  app: FastifyInstance
  log: () => string
  login: (payload?: InjectOptions['payload'], more?: InjectOptions) => Promise<LightMyRequestResponse>
}

/** A server with one own provider `own`, and its log at the finest level. */
export async function loginServer (
  options: Options = {},
  { fastify = {}, ...surroundings }: Surroundings = {}
): Promise<LoginServer> {
  const { stream, text } = logStream()
  const app = await buildServer(
    { providers: { own: ownProvider() }, ...options },
    { ...surroundings, fastify: { logger: { level: 'trace', stream }, ...fastify } }
  )
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
