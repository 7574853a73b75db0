import type { FastifyInstance } from 'fastify'
import { kOwnRoute } from '../guards/guards.js'

/** A document in the making (OpenAPI, OpenAPI Object), as far as it is completed here. */
export interface Document { paths?: unknown, security?: unknown, components?: unknown }

/** What @fastify/swagger hands to `swaggerTransform`; there is no `openapiObject` where it makes Swagger 2.0. */
interface Transformed { url: string, openapiObject?: Document }

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
      swaggerTransform ({ url, openapiObject }: Transformed) {
        if (openapiObject !== undefined) complete(openapiObject)
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
