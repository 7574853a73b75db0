import type { FastifyInstance } from 'fastify'

/** A path as clients write it, with and without one trailing slash; once where the router ignores that slash anyway. */
export function ownPaths (scope: FastifyInstance, path: string): string[] {
  const { ignoreTrailingSlash, routerOptions } = scope.initialConfig
  return ignoreTrailingSlash === true || routerOptions?.ignoreTrailingSlash === true ? [path] : [path, `${path}/`]
}
