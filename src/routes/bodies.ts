import type { FastifyInstance } from 'fastify'
import { errors } from '../errors.js'
import type { Members } from '../exchange/grant.js'
import { decodeUtf8, isObject, namesAtMost } from '../json.js'

/** A parsed body, without a prototype: a client's `__proto__` is a member like any other. */
export type Body = Record<string, unknown>

/** Bytes; the largest grants are ID tokens of a few KiB. */
export const bodyLimit = 32 * 1024

/**
 * The parsers of this scope's routes: JSON and forms, strictly. They take the place of the inherited ones, so that
 * neither an application's parser, its schemas nor Ajv's coercion decides what a grant is.
 */
export function parseBodiesStrictly (scope: FastifyInstance): void {
  scope.removeAllContentTypeParsers()
  scope.addContentTypeParser('application/json', { parseAs: 'buffer' }, parser(readJson))
  scope.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'buffer' }, parser(readForm))
}

type Done = (error: Error | null, body?: Body) => void

/** A content-type parser of Fastify's, from a reader of text. */
export function parser (read: (text: string) => Body): (request: unknown, body: string | Buffer, done: Done) => void {
  return (_request, body, done) => parse(read, body, done)
}

function parse (read: (text: string) => Body, body: string | Buffer, done: Done): void {
  let members: Body
  try {
    members = read(typeof body === 'string' ? body : decodeUtf8(body))
  } catch {
    // The parser's own message quotes the body: no cause here.
    return done(new errors.RequestInvalidError('the body cannot be parsed'))
  }
  done(null, members)
}

/** @throws for what is no JSON object, and for a repeated member */
export function readJson (text: string): Body {
  // A client that says its content type with every request, and sends nothing with this one: no members, as in a form.
  if (text === '') return Object.create(null)
  const value: unknown = JSON.parse(text)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new TypeError('no object')
  if (namesAtMost(text) > Object.keys(value).length) refuseRepeated(topLevelNames(text))
  return Object.assign(Object.create(null), value)
}

function readForm (text: string): Body {
  // Throws where URLSearchParams would read on: at a broken escape, and at escapes that are not UTF-8.
  decodeURIComponent(text)
  const parameters = [...new URLSearchParams(`?${text}`)]
  refuseRepeated(parameters.map(([name]) => name))
  return Object.assign(Object.create(null), Object.fromEntries(parameters))
}

/** RFC 8259, 4 and RFC 6749, 3.2: a name stands once, or two readers may see two different bodies. */
function refuseRepeated (names: readonly string[]): void {
  if (new Set(names).size !== names.length) throw new TypeError('a repeated member')
}

/** The names of the outermost object of a text that is valid JSON. */
function topLevelNames (text: string): string[] {
  const names: string[] = []
  let depth = 0
  for (const [token, colon] of text.matchAll(/"[^"\\]*(?:\\.[^"\\]*)*"(\s*:)?|[{}[\]]/g)) {
    if (token === '{' || token === '[') depth++
    else if (token === '}' || token === ']') depth--
    else if (depth === 1 && colon !== undefined) names.push(String(JSON.parse(token.slice(0, -colon.length))))
  }
  return names
}

/** The members of a parsed body; a request without one has none. */
export function membersOf (body: unknown): Members {
  // As the parsers of this file leave it. What a hook of the application put in its place may inherit.
  const isOurs = isObject(body) && Object.getPrototypeOf(body) === null
  return isOurs ? body : Object.assign(Object.create(null), isObject(body) ? body : {})
}
