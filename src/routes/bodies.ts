import type { FastifyInstance } from 'fastify'
import { RequestMalformed } from '../errors.js'
import type { Members } from '../login/grant.js'
import { decodeUtf8, isObject, parseMembers } from '../strict-json.js'

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
    return done(new RequestMalformed('the body cannot be parsed'))
  }
  done(null, members)
}

/** @throws for what is no JSON object, and for a repeated member */
function readJson (text: string): Body {
  // A client that says its content type with every request, and sends nothing with this one: no members, as in a form.
  if (text === '') return Object.create(null)
  return Object.assign(Object.create(null), parseMembers(text))
}

function readForm (text: string): Body {
  // Throws where URLSearchParams would read on: at a broken escape, and at escapes that are not UTF-8.
  decodeURIComponent(text)
  const parameters = new URLSearchParams(`?${text}`)
  const members = Object.fromEntries(parameters)
  // RFC 6749, 3.2: a name stands once, or two readers may see two different bodies.
  if (Object.keys(members).length !== parameters.size) throw new TypeError('a repeated member')
  return Object.assign(Object.create(null), members)
}

/** The members of a parsed body; a request without one has none. */
export function membersOf (body: unknown): Members {
  // As the parsers of this file leave it. What a hook of the application put in its place may inherit.
  const isOurs = isObject(body) && Object.getPrototypeOf(body) === null
  return isOurs ? body : Object.assign(Object.create(null), isObject(body) ? body : {})
}
