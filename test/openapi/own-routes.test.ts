import { generateKeyPairSync } from 'node:crypto'
import swagger from '@fastify/swagger'
import type { FastifyInstance, InjectOptions, LightMyRequestResponse } from 'fastify'
import openapiTypescript, { astToString } from 'openapi-typescript'
import t from 'tap'
import { facebook } from '../../src/providers/index.js'
import { memoryStore } from '../../src/sessions/stores/index.js'
import { openWorkshop } from '../readme/blocks.js'
import { compiles } from '../readme/compiles.js'
import { clients, redirectProvider } from '../routes/authorization-server.js'
import { buildServer, issuer, ownProvider, type Options } from '../server.js'
import { documentedApp, documentOf, securityOf } from './documented.js'

const { privateKey } = generateKeyPairSync('ed25519')
const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()

/** All routes that the plugin has. */
const everything = (): Options => ({
  keys: [{ algorithm: 'EdDSA', privateKey: pem }],
  providers: {
    own: { ...redirectProvider, responseMode: 'form_post' },
    facebook: facebook({ appId: '1', appSecret: 'secret', events: { deletionUrl: () => issuer } })
  },
  clients,
  sessions: { store: memoryStore() }
})

const dialects: Array<[name: string, options: Options, paths: string[]]> = [
  ['the contract', {}, [
    '/.well-known/jwks.json', '/.well-known/oauth-authorization-server', '/.well-known/oauth-protected-resource',
    '/token', '/revoke', '/authorize', '/callback/{provider}', '/login/{provider}', '/logout', '/sessions', '/nonce',
    '/events/{provider}', '/events/{provider}/deletion'
  ]],
  ['the Azure dialect', { azureMobileServices: true }, [
    '/.auth/me', '/.auth/refresh', '/.auth/logout', '/.auth/login/{provider}', '/login', '/login/done', '/logout'
  ]]
]

for (const [dialect, options, paths] of dialects) {
  t.test(`every route of ${dialect} has a tag, a summary, a body where it takes one, and answers`, async t => {
    const document = await documentOf(await documentedApp(t, { ...everything(), ...options }))
    t.strictSame(paths.filter(path => document.paths[path] === undefined), [])
    for (const [path, item] of Object.entries(document.paths)) {
      for (const [method, { tags, summary, responses, requestBody }] of Object.entries(item)) {
        const name = `${method} ${path}`
        t.equal(tags?.length, 1, name)
        t.type(summary, 'string', name)
        t.notMatch(JSON.stringify(responses), 'Default Response', name)
        // A nonce is asked for with nothing; the provider's form is the provider's.
        if (method === 'post' && !/nonce|callback/.test(path)) t.type(requestBody, 'object', name)
      }
    }
    t.notMatch(JSON.stringify(document), 'x-fastify-token-exchange')
    t.strictSame(Object.keys(document.paths).filter(path => path.endsWith('/')), [], 'each path once')
  })
}

t.test('proofs of possession in the document: where they are taken, and how they are refused', async t => {
  const { paths } = await documentOf(await documentedApp(t, { ...everything(), dpop: 'all' }))
  const login = paths['/login/{provider}']?.post
  t.match(login?.parameters, [{ name: 'provider' }, { name: 'DPoP', in: 'header', required: false }])
  t.match(JSON.stringify(login?.responses[400]), '"AUTH_ERR_DPOP_INVALID"')
  t.match(paths['/token']?.post?.parameters, [{ name: 'DPoP' }])
  t.match(JSON.stringify(paths['/token']?.post?.responses[400]), '"invalid_dpop_proof","use_dpop_nonce"')
  t.match(JSON.stringify(paths['/sessions']?.get?.responses[401]), '"AUTH_ERR_DPOP_INVALID"')
  t.notMatch(JSON.stringify(await documentOf(await documentedApp(t, everything()))), /DPOP_INVALID|dpop_proof/)
})

t.test('a login in the document: the grants of the providers, the codes of its errors by their status', async t => {
  const accepts = ['id_token', 'access_token'] as const
  const app = await documentedApp(t, { providers: { own: ownProvider(undefined, { accepts }), other: ownProvider() } })
  const login = (await documentOf(app)).paths['/login/{provider}']?.post
  t.match(login, {
    tags: ['Authentication'],
    parameters: [{ name: 'provider', in: 'path', schema: { enum: ['own', 'other'] } }],
    requestBody: {
      required: true,
      content: { 'application/x-www-form-urlencoded': { schema: { properties: { code_verifier: {}, nonce: {} } } } }
    },
    responses: {
      200: { content: { 'application/json': { schema: { required: ['access_token', 'token_type', 'expires_in'] } } } },
      401: { headers: { 'WWW-Authenticate': {} } },
      503: { headers: { 'Retry-After': {} } }
    }
  })
  const codes: Array<[number, string]> = [
    [400, 'REQUEST_INVALID'], [401, 'GRANT_REJECTED'], [403, 'ACCESS_DENIED'], [404, 'PROVIDER_UNKNOWN'],
    [409, 'LINK_REQUIRED'], [503, 'PROVIDER_UNAVAILABLE'], [503, 'LOOKUP_FAILED'], [503, 'OVERLOADED']
  ]
  for (const [status, code] of codes) t.match(JSON.stringify(login?.responses[status]), `"AUTH_ERR_${code}"`)
  t.equal(login && 'security' in login, false)
})

t.test('the routes of users say so, and /logout that it takes no body as well', async t => {
  const app = await documentedApp(t, everything())
  const document = await documentOf(app)
  t.strictSame(securityOf(document, '/sessions'), ['bearer'])
  t.strictSame(securityOf(document, '/logout', 'post'), ['bearer'])
  t.equal(document.paths['/logout']?.post?.requestBody?.required, false)
  t.equal(document.paths['/token']?.post?.requestBody?.required, true)

  const { access_token: token } = app.tokenExchange.issue({ userId: 'u' })
  const answer = await app.inject({ method: 'POST', url: '/logout', headers: { authorization: `Bearer ${token}` } })
  t.equal(answer.statusCode, 204)
})

t.test('below prefixes, and an issuer with a path', async t => {
  const options = { ...everything(), prefix: '/auth', issuer: 'https://api.example.com/shop' }
  const { paths } = await documentOf(await documentedApp(t, options))
  t.hasOwnProps(paths, ['/auth/login/{provider}', '/.well-known/oauth-authorization-server/shop'])
  t.match(paths['/.well-known/oauth-authorization-server/shop']?.get, { tags: ['Metadata'] })
})

t.test('the types that are made of the document compile', async t => {
  const document = await documentOf(await documentedApp(t, everything()))
  const workshop = openWorkshop()
  t.teardown(() => workshop.remove())
  workshop.write('api.ts', astToString(await openapiTypescript(JSON.stringify(document))))
  workshop.write('client.ts', `import type { paths } from './api.js'
type Login = paths['/login/{provider}']['post']
export const body: NonNullable<Login['requestBody']>['content']['application/json'] = { access_token: 'EAAB' }
type Answer = Login['responses'][200]['content']['application/json']
export const tell = ({ access_token: token, user }: Answer): string => token + user.userId
type LogoutBody = paths['/logout']['post']['requestBody']
export const nothing: LogoutBody = undefined
type Refresh = paths['/token']['post']['requestBody']['content']['application/json']
export const refresh: Refresh = { grant_type: 'refresh_token', refresh_token: 'r' }
// @ts-expect-error a grant type that there is not
export const password: Refresh = { grant_type: 'password', username: 'u' }
`)
  await compiles(t, workshop.directory)
})

const form = { 'content-type': 'application/x-www-form-urlencoded' }

/** Requests of all kinds, good and bad. */
const requests: InjectOptions[] = [
  { url: '/login/own', payload: { access_token: 'good' } },
  { url: '/login/own', payload: { access_token: 'good', more: 1 } },
  { url: '/login/own', payload: 'access_token=good', headers: form },
  { url: '/login/own', payload: 'access_token=good&access_token=good', headers: form },
  { url: '/login/own', payload: { access_token: ['good'] } },
  { url: '/login/own', payload: { access_token: 7 } },
  { url: '/login/own', payload: { access_token: 'bad' } },
  { url: '/login/own', payload: { access_token: 'good', id_token: 'good' } },
  { url: '/login/own', payload: {} },
  { url: '/login/own' },
  { url: '/login/own', payload: '{', headers: { 'content-type': 'application/json' } },
  { url: '/login/own', payload: '{"access_token":"good"}', headers: { 'content-type': 'text/plain' } },
  { url: '/login/own', payload: { access_token: 'x'.repeat(40_000) } },
  { url: '/login/nobody', payload: { access_token: 'good' } },
  { url: '/token', payload: { grant_type: 'refresh_token', refresh_token: 'none' } },
  { url: '/token', payload: { grant_type: 'password' } },
  { url: '/revoke', payload: { token: 'none' } },
  { url: '/revoke' },
  { url: '/logout' },
  { url: '/logout', payload: { scope: 7 } },
  { url: '/nonce' },
  { url: '/sessions', method: 'GET' },
  { url: '/authorize?response_type=code', method: 'GET' },
  { url: '/callback/own?code=1', method: 'GET' },
  { url: '/.well-known/oauth-authorization-server', method: 'GET' }
]

/** What a client sees, but for what differs from request to request. */
function seen ({ statusCode, headers: { date: _, ...headers }, body }: LightMyRequestResponse) {
  const isRandom = /"(access_token|authenticationToken|refresh_token|nonce)":"[^"]+"/g
  return { statusCode, headers, body: body.replace(isRandom, (_member, name) => `"${name}":"…"`) }
}

async function answersOf (app: FastifyInstance) {
  const answers = []
  for (const request of requests) answers.push(seen(await app.inject({ method: 'POST', ...request })))
  await app.close()
  return answers
}

const fail = (): never => { throw new Error('not for this route') }
const compilers: Array<[string, (app: FastifyInstance) => unknown]> = [
  ['none of its own', () => {}],
  ['a validator compiler that throws', app => app.setValidatorCompiler(fail)],
  ['a validator that coerces', app => app.setValidatorCompiler(() => () => ({ value: { access_token: 'good' } }))],
  ['a serializer compiler that throws', app => app.setSerializerCompiler(fail)],
  ['a serializer of its own', app => app.setSerializerCompiler(() => () => '"mine"')]
]

for (const [name, prepare] of compilers) {
  t.test(`the document changes no answer of an application that has ${name}`, async t => {
    const [plain, documented] = await Promise.all([false, true].map(async isDocumented => await answersOf(
      await buildServer(everything(), {
        prepare: async app => {
          if (isDocumented) await app.register(swagger, { openapi: {} })
          prepare(app)
        }
      })
    )))
    t.equal(plain?.length, requests.length)
    t.strictSame(documented, plain)
  })
}

t.test('no route is added to the application', async t => {
  const app = await documentedApp(t)
  await app.ready()
  t.equal(app.printRoutes(), '(empty tree)')
})
