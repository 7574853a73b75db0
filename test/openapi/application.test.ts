import swagger from '@fastify/swagger'
import type { FastifySchema } from 'fastify'
import t from 'tap'
import { parse } from 'yaml'
import { buildServer, ownProvider } from '../server.js'
import { documentedApp, documentOf, securityOf } from './documented.js'

const providers = { own: ownProvider() }

t.test('a transform of the application goes on working, for its routes and ours', async t => {
  const transform = ({ schema, url }: { schema: FastifySchema, url: string }) =>
    ({ schema: { ...schema, description: `at ${url}`, hide: url === '/nonce' }, url: `/v1${url}` })
  const app = await documentedApp(t, { providers }, { transform })
  app.get('/mine', { onRequest: app.requireUser() }, () => 'ok')
  const document = await documentOf(app)
  t.strictSame(securityOf(document, '/v1/mine'), ['bearer'])
  t.match(document.paths['/v1/mine']?.get, { description: 'at /mine' })
  t.match(document.paths['/v1/login/{provider}']?.post, {
    description: 'at /login/:provider', summary: /Exchange/, requestBody: { required: true }
  })
  t.equal(document.paths['/v1/nonce'], undefined)
})

t.test('a transform that reads other schemas than JSON Schema meets none of ours', async t => {
  // As those for Zod do: all but these members is passed on.
  const transform = ({ schema, url }: { schema: FastifySchema, url: string }) => {
    const { body, response, params, querystring, headers, ...others } = schema
    for (const one of [body, response, params, querystring, headers]) if (one !== undefined) throw new Error('no Zod')
    return { schema: structuredClone(others), url }
  }
  const app = await documentedApp(t, { providers }, { transform })
  app.get('/mine', { onRequest: app.requireUser() }, () => 'ok')
  const document = await documentOf(app)
  t.strictSame(securityOf(document, '/mine'), ['bearer'])
  t.equal(document.paths['/login/{provider}']?.post?.requestBody?.required, true)
})

t.test('transformObject sees the whole document, and changes it', async t => {
  let isSecured = false
  const app = await documentedApp(t, { providers }, {
    transformObject (given) {
      if (!('openapiObject' in given)) return {}
      const { '/login/{provider}': login, ...paths } = given.openapiObject.paths ?? {}
      isSecured = given.openapiObject.components?.securitySchemes?.bearer !== undefined && login !== undefined
      return { ...given.openapiObject, paths }
    }
  })
  const document = await documentOf(app)
  t.ok(isSecured)
  t.equal(document.paths['/login/{provider}'], undefined)
  t.ok(document.paths['/nonce'])
})

t.test('as YAML it is the same document, and as often as it is asked for', async t => {
  const app = await documentedApp(t, { providers })
  app.get('/mine', { onRequest: app.requireUser() }, () => 'ok')
  const document = await documentOf(app)
  t.same(parse(app.swagger({ yaml: true })), document)
  t.same(await documentOf(app), document)
})

t.test('an OpenAPI 3.1 document is valid too', async t => {
  const document = await documentOf(await documentedApp(t, { providers }, { openapi: { openapi: '3.1.0' } }))
  t.equal(document.openapi, '3.1.0')
})

t.test('a Swagger 2.0 document shows nothing that is not for it', async t => {
  const app = await buildServer({ providers }, { prepare: app => app.register(swagger, { swagger: {} }) })
  t.teardown(() => app.close())
  await app.ready()
  t.match(app.swagger(), { swagger: '2.0', paths: { '/login/{provider}': { post: { summary: /Exchange/ } } } })
  t.notMatch(JSON.stringify(app.swagger()), 'x-fastify-token-exchange')
})

t.test('the schemas of the application are left as they were', async t => {
  const schema = { response: { 200: { type: 'object', properties: { a: { type: 'string' } } } } }
  const app = await documentedApp(t)
  app.get('/', { onRequest: app.requireLevel('everyone'), schema }, request => {
    t.strictSame(Object.keys(request.routeOptions.schema ?? {}), ['response'])
    return { a: 'a', b: 'b' }
  })
  await documentOf(app)
  t.equal((await app.inject('/')).body, '{"a":"a"}')
  t.strictSame(Object.keys(schema), ['response'])
})
