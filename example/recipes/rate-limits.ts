import rateLimit, { type errorResponseBuilderContext, type RateLimitOptions } from '@fastify/rate-limit'
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import tokenExchange, { type TokenExchangeOptions } from 'fastify-token-exchange'

export async function limitedServer (options: TokenExchangeOptions): Promise<FastifyInstance> {
  // Behind a proxy every request has the proxy's address: then trustProxy says which proxies are yours.
  const app = Fastify({ trustProxy: 'loopback' })
  await app.register(rateLimit, { global: false, errorResponseBuilder: tooManyRequests })
  await app.register(tokenExchange, { ...options, rateLimit: byAddress })

  // All routes of a scope together, by user.
  await app.register(async scope => {
    scope.addHook('onRequest', scope.requireLevel('authenticated'))
    scope.addHook('onRequest', scope.rateLimit(byUser(100)))
    scope.get('/todos', () => [])
    scope.get('/lists', () => [])
  })
  // One route that costs more.
  const few = { onRequest: app.requireLevel('authenticated'), config: { rateLimit: byUser(5) } }
  app.get('/export', few, () => ({ rows: [] }))
  return app
}

/** The plugin's own routes. Many phones share the address of their network, and each of them refreshes. */
const byAddress: RateLimitOptions = {
  max: ({ routeOptions: { url } }) => url === '/token' ? 300 : 20,
  timeWindow: '1 minute'
}

/** Guarded routes. The guard has run before: `request.auth` is there. A master key has no limit. */
const byUser = (max: number): RateLimitOptions => ({
  max,
  timeWindow: '1 minute',
  keyGenerator: ({ auth }) => auth.user?.id ?? '',
  allowList: ({ auth }) => auth.master !== null
})

function tooManyRequests (_request: FastifyRequest, { statusCode, ttl }: errorResponseBuilderContext): Error {
  const message = `Too many requests: try again in ${Math.ceil(ttl / 1000)} seconds`
  return Object.assign(new Error(message), { statusCode, code: 'RATE_LIMITED' })
}
