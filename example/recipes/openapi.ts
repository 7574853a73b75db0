import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import Fastify, { type FastifyInstance } from 'fastify'
import tokenExchange, { type TokenExchangeOptions } from 'fastify-token-exchange'

export async function documentedServer (options: TokenExchangeOptions): Promise<FastifyInstance> {
  const app = Fastify()
  // Before the plugin, so that it hears of the plugin's routes.
  await app.register(swagger, { openapi: { info: { title: 'Todos', version: '1.0.0' } } })
  await app.register(tokenExchange, {
    ...options,
    // Every route is guarded, but for the pages of the documentation.
    defaultLevel: { level: 'authenticated', except: ['/documentation', '/documentation/*'] }
  })
  await app.register(swaggerUi, { routePrefix: '/documentation' })

  app.get('/todos', { onRequest: app.requirePermission('todo:read') }, () => [])
  app.get('/lists', () => []) // guarded by the default
  // The document itself is for everyone, and not in the document.
  app.get('/openapi.json', { onRequest: app.requireLevel('everyone'), schema: { hide: true } }, () => app.swagger())
  return app
}
