import Fastify, { type FastifyInstance } from 'fastify'
import tokenExchange, { type TokenExchangeOptions } from 'fastify-token-exchange'
import { createClient, memoryStorage, type Client } from 'fastify-token-exchange/client'

export async function buildServer (options: TokenExchangeOptions): Promise<FastifyInstance> {
  const app = Fastify()
  await app.register(tokenExchange, {
    ...options,
    sessions: {},
    dpop: 'refresh'
  })
  return app
}

/** For an API whose tokens must not work in other hands either: a payment, a medical record. */
export async function buildStrictServer (options: TokenExchangeOptions): Promise<FastifyInstance> {
  const app = Fastify()
  await app.register(tokenExchange, {
    ...options,
    sessions: {},
    dpop: { mode: 'all', required: true, nonce: 'token' }
  })
  app.get('/me', { onRequest: app.requireUser() }, request => ({ id: request.auth.user?.id }))
  return app
}

export function openClient (url: string): Client {
  return createClient({ url, storage: memoryStorage(), dpop: true })
}
