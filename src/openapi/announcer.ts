import type { FastifyInstance } from 'fastify'
import { kOwnRoute } from '../guards/guards.js'

/** A document in the making, as far as it is completed here: OpenAPI 3, or Swagger 2.0. */
export interface Document { paths?: unknown, security?: unknown, components?: unknown, swagger?: unknown }

/** What @fastify/swagger hands to `swaggerTransform`: one document, by the name of its kind. */
interface Transformed { url: string, openapiObject?: Document, swaggerObject?: Document }

/** Has the document completed each time that it is made, when all operations are in it. */
export type Announce = (complete: (document: Document) => void) => void

/**
 * @fastify/swagger hands the document to the `swaggerTransform` of each route, one after the other, before the
 * application's `transformObject`. So a last route is announced to it and withdrawn again: the hook that throws keeps
 * it out of the router.
 */
export async function announcer (app: FastifyInstance): Promise<Announce> {
  const withdrawn = new Error('announced, and withdrawn')
  let scope = app
  await app.register(async child => {
    child.addHook('onRoute', () => { throw withdrawn })
    scope = child
  })

  return complete => {
    const schema: object = { hide: true }
    const config: object = {
      [kOwnRoute]: true,
      swaggerTransform ({ url, openapiObject, swaggerObject }: Transformed) {
        const document = openapiObject ?? swaggerObject
        if (document !== undefined) complete(document)
        return { url, schema }
      }
    }
    try {
      scope.get('/.well-known/fastify-token-exchange', { config, schema }, () => {})
    } catch (thrown) {
      if (thrown !== withdrawn) scope.log.warn({ err: thrown }, 'the OpenAPI document may lack the security of routes')
    }
  }
}
