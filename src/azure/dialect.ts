import type { FastifyCorsOptions } from '@fastify/cors'
import type { FastifyInstance, FastifyRequest, RouteOptions } from 'fastify'
import type { CorsHeaders, CorsOptions, CorsPolicy } from '../guards/cors.js'
import type { Destinations } from '../login/destinations.js'
import type { Dialect } from '../routes/standard-dialect.js'
import type { Server } from '../server.js'
import { accountRoutes } from './account.js'
import { clientDirectedLogin } from './login.js'
import { azureOperations, azureRefusals } from './operations.js'
import { serviceDirectedLogin } from './redirect-login.js'
import { noteErrorHandlers, refuseWith401, renderErrors, turnAway } from './refusals.js'

/** The wire dialect of Azure Mobile Services and Azure Mobile Apps. @param destinations of browsers */
export function azureDialect (destinations: Destinations): Dialect {
  return {
    prepare (app) {
      noteErrorHandlers(app)
      acceptBodylessDelete(app)
    },
    cors: dialectCors,
    turnAway,
    renderErrors,
    routes: (scope, server) => registerRoutes(scope, server, destinations),
    operations: azureOperations,
    refusals: azureRefusals
  }
}

async function registerRoutes (scope: FastifyInstance, server: Server, destinations: Destinations): Promise<void> {
  await scope.register(async dialect => {
    dialect.addHook('onRoute', route => acceptTrailingSlash(dialect, route))
    refuseWith401(dialect)
    accountRoutes(dialect, server, destinations)
    if (server.options.providers.size === 0) return
    await dialect.register(async login => { clientDirectedLogin(login, server) })
    serviceDirectedLogin(dialect, server, destinations)
  })
}

/** Clients write paths with and without one trailing slash. A router may ignore it anyway. */
function acceptTrailingSlash (
  scope: FastifyInstance,
  { url, routePath, ...route }: RouteOptions & { routePath: string }
): void {
  const { ignoreTrailingSlash, routerOptions } = scope.initialConfig
  const isIgnored = ignoreTrailingSlash === true || routerOptions?.ignoreTrailingSlash === true
  if (!isIgnored && !url.endsWith('/')) scope.route({ ...route, url: `${routePath}/` })
}

/**
 * Cross-origin answers as the original's: `OPTIONS` is answered to anybody, whatever headers are asked for are
 * allowed; what an answer may show is said to the listed origins only.
 */
function dialectCors ({ origins }: CorsOptions, { exposed }: CorsHeaders): CorsPolicy {
  // The original's first.
  const exposedHeaders = [...new Set(['Link', 'ETag', 'Location', ...exposed])]
  return {
    delegator (request, callback) {
      const { origin } = request.headers
      const isListed = origin !== undefined && origins.includes(origin)
      callback(null, { ...common, origin: [...origins], ...(isListed && { exposedHeaders }) })
    }
  }
}

const common: FastifyCorsOptions = {
  methods: ['GET', 'HEAD', 'PUT', 'PATCH', 'POST', 'DELETE', 'OPTIONS'],
  maxAge: 300,
  strictPreflight: false
}

/**
 * Some clients send `Content-Type: application/json` with every call. Fastify parses the body of a DELETE that has
 * this header, and refuses the empty one; without the header it knows that there is no body.
 */
function acceptBodylessDelete (app: FastifyInstance): void {
  app.addHook('onRequest', (request, _reply, done) => {
    if (request.method === 'DELETE' && request.headers['content-type'] !== undefined && hasNoBody(request)) {
      delete request.headers['content-type']
    }
    done()
  })
}

function hasNoBody ({ headers, raw }: FastifyRequest): boolean {
  if (headers['transfer-encoding'] !== undefined) return false
  if (headers['content-length'] !== undefined) return headers['content-length'] === '0'
  if (raw.httpVersionMajor < 2) return true
  // RFC 9113, 8.1: a body may come without either header; there is none where the stream ends with the headers.
  const stream: unknown = Reflect.get(raw, 'stream')
  return typeof stream === 'object' && stream !== null && Reflect.get(stream, 'endAfterHeaders') === true
}
