import type { ErrorClass } from '../errors.js'

/** What an OpenAPI document says of one of the plugin's own routes (OpenAPI, Operation Object). */
export interface Operation {
  readonly tags: readonly string[]
  readonly summary: string
  readonly description?: string
  /** Left out of the document. */
  readonly hide?: true
  readonly parameters?: readonly Parameter[]
  readonly requestBody?: RequestBody
  readonly responses: Responses
}

/** OpenAPI, Schema Object, in what 3.0 and 3.1 have in common. */
export type Schema = Readonly<Record<string, unknown>>

export interface Parameter {
  readonly name: string
  readonly in: 'path' | 'query' | 'header'
  readonly required: boolean
  readonly description?: string
  readonly schema: Schema
}

type Content = Readonly<Record<string, { readonly schema: Schema }>>

export interface RequestBody { readonly required: boolean, readonly content: Content }

interface Response {
  readonly description: string
  readonly headers?: Readonly<Record<string, { readonly schema: Schema }>>
  readonly content?: Content
}

export type Responses = Readonly<Record<string, Response>>

export const text: Schema = { type: 'string' }
export const whole: Schema = { type: 'integer' }

export function oneOf (...values: readonly string[]): Schema {
  return { type: 'string', enum: values }
}

/** An object. A name that ends in `?` may be missing. */
export function object (properties: Readonly<Record<string, Schema>>): Schema {
  const names = Object.keys(properties)
  const required = names.filter(name => !name.endsWith('?'))
  return {
    type: 'object',
    ...(required.length > 0 && { required }),
    properties: Object.fromEntries(names.map(name => [name.replace('?', ''), properties[name]]))
  }
}

export function arrayOf (items: Schema): Schema {
  return { type: 'array', items }
}

export function inPath (name: string, schema: Schema): Parameter {
  return { name, in: 'path', required: true, schema }
}

export function inQuery (name: string, description: string, schema = text): Parameter {
  return { name: name.replace('?', ''), in: 'query', required: !name.endsWith('?'), description, schema }
}

/** A body, as JSON or as a form. */
export function body (schema: Schema, required = true): RequestBody {
  return { required, content: { 'application/json': { schema }, 'application/x-www-form-urlencoded': { schema } } }
}

export function answer (status: number, description: string, schema?: Schema): Responses {
  return { [status]: { description, ...(schema !== undefined && json(schema)) } }
}

/** A redirect of a browser. */
export function redirect (status: number, description: string): Responses {
  return { [status]: { description, headers: { Location: { schema: text } } } }
}

export function page (description: string): Responses {
  return { 200: { description, content: { 'text/html': { schema: text } } } }
}

function json (schema: Schema): { content: Content } {
  return { content: { 'application/json': { schema } } }
}

type AnyError = ErrorClass<string, number>

/** How a dialect renders errors. */
export type Refusals = (...refused: ReadonlyArray<AnyError | Refusal>) => Responses

/** The answers of these errors, by their status, as Fastify renders them. */
export const refusals: Refusals = (...refused) => byStatus(
  refused.map(refusalOf),
  codes => object({ statusCode: whole, code: oneOf(...codes), error: text, message: text })
)

/** What an answer shows of an error. */
export interface Refusal { readonly code: string, readonly statusCode: number, readonly message: string }

export function refusalOf (Refused: AnyError | Refusal): Refusal {
  return typeof Refused === 'function' ? new Refused() : Refused
}

export function byStatus (rows: readonly Refusal[], schemaOf: (codes: readonly string[]) => Schema): Responses {
  const statuses = new Set(rows.map(({ statusCode }) => statusCode))
  return Object.fromEntries(Array.from(statuses, status => {
    const these = rows.filter(({ statusCode }) => statusCode === status)
    const description = these.map(({ message }) => message).join('; ')
    return [status, { description, ...headersOf(status), ...json(schemaOf(these.map(({ code }) => code))) }]
  }))
}

/** What comes with each answer of a status (RFC 9110, 15.5.2 and 10.2.3). */
function headersOf (status: number): Pick<Response, 'headers'> {
  if (status === 401) return { headers: { 'WWW-Authenticate': { schema: text } } }
  return status === 503 ? { headers: { 'Retry-After': { schema: text } } } : {}
}

/** Those of a body that cannot be read. */
export const bodyRefusals: Responses = {
  ...answer(413, 'The body is too large', { type: 'object' }),
  ...answer(415, 'The body is neither JSON nor a form', { type: 'object' })
}

/** The errors of OAuth's endpoints by their status (RFC 6749, 5.2). */
export function oauthRefusals (words: Readonly<Record<number, readonly string[]>>): Responses {
  return Object.fromEntries(Object.entries(words).map(([status, names]) => [status, {
    description: names.join(', '),
    ...headersOf(Number(status)),
    ...json(object({ error: oneOf(...names), error_description: text, 'code?': text }))
  }]))
}
