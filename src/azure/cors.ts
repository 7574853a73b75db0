import type { FastifyCorsOptions } from '@fastify/cors'
import type { CorsOptions, CorsPolicy } from '../guards/cors.js'

const methods = ['GET', 'HEAD', 'PUT', 'PATCH', 'POST', 'DELETE', 'OPTIONS']
const exposedHeaders = ['Link', 'ETag', 'Location', 'WWW-Authenticate', 'Retry-After']

/**
 * Cross-origin answers as the original's: `OPTIONS` is answered to anybody, whatever headers are asked for are
 * allowed; what an answer may show is said to the listed origins only.
 */
export function dialectCors ({ origins }: CorsOptions): CorsPolicy {
  return {
    delegator (request, callback) {
      callback(null, {
        ...common,
        origin: [...origins],
        ...(isListed(origins, request.headers.origin) && { exposedHeaders })
      })
    }
  }
}

const common: FastifyCorsOptions = { methods, maxAge: 300, strictPreflight: false }

function isListed (origins: readonly string[], origin: string | undefined): boolean {
  return origin !== undefined && origins.includes(origin)
}
