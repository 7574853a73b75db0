import type { FastifyInstance } from 'fastify'
import { parser, readJson, type Body } from '../routes/bodies.js'

/** Beside the strict bodies of all own routes: no `Content-Type` at all is JSON, and an array is a body without members. */
export function parseBodiesOfSdks (scope: FastifyInstance): void {
  const parseJson = parser(readJsonOrArray)
  scope.removeContentTypeParser('application/json')
  scope.addContentTypeParser('application/json', { parseAs: 'buffer' }, parseJson)
  // The one for everything else is the only one that Fastify asks when the header is missing.
  scope.addContentTypeParser('*', { parseAs: 'buffer' }, (request, body, done) => {
    if (request.headers['content-type'] === undefined) parseJson(request, body, done)
    else done(unsupported())
  })
}

function readJsonOrArray (text: string): Body {
  return Array.isArray(JSON.parse(text)) ? readJson('') : readJson(text)
}

// As Fastify refuses a type that it has no parser for.
function unsupported (): Error {
  return Object.assign(new Error('Unsupported Media Type'), { statusCode: 415, code: 'FST_ERR_CTP_INVALID_MEDIA_TYPE' })
}
