import swagger, { type FastifyDynamicSwaggerOptions } from '@fastify/swagger'
import { validate } from '@readme/openapi-parser'
import type { FastifyInstance } from 'fastify'
import { buildServer, type Closing, type Options } from '../server.js'

/** An operation of a document, as far as the tests look at it. */
export interface Operation {
  tags?: string[]
  summary?: string
  security?: Array<Record<string, string[]>>
  parameters?: Array<{ name: string, in: string }>
  requestBody?: { required: boolean, content: Record<string, { schema: object }> }
  responses: Record<string, object>
}

export interface Document {
  openapi: string
  security?: object[]
  components: { securitySchemes?: Record<string, object> }
  paths: Record<string, Record<string, Operation>>
}

/** A server with @fastify/swagger, and the plugin after it. @param declare what comes between the two */
export async function documentedApp (
  t: Closing,
  options: Options = {},
  settings: FastifyDynamicSwaggerOptions = {},
  declare: (app: FastifyInstance) => unknown = () => {}
): Promise<FastifyInstance> {
  return await buildServer(options, {
    prepare: async app => {
      t.teardown(() => app.close())
      await app.register(swagger, { openapi: {}, ...settings })
      await declare(app)
    }
  })
}

/** The document, which is valid. */
export async function documentOf (app: FastifyInstance): Promise<Document> {
  await app.ready()
  const text = JSON.stringify(app.swagger())
  const result = await validate(JSON.parse(text))
  if (!result.valid) throw new Error(JSON.stringify(result.errors))
  return JSON.parse(text)
}

/** What a path asks for: names of schemes, `+` between those that are needed together. */
export function securityOf ({ paths }: Document, path: string, method = 'get'): string[] | undefined {
  return paths[path]?.[method]?.security?.map(requirement => Object.keys(requirement).join('+'))
}
