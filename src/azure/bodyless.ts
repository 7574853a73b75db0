import type { FastifyInstance, FastifyRequest } from 'fastify'

/**
 * Some clients send `Content-Type: application/json` with every call. Fastify parses the body of a DELETE that has
 * this header, and refuses the empty one; without the header it knows that there is no body.
 */
export function acceptBodylessDelete (app: FastifyInstance): void {
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
