import Fastify, { type FastifyInstance, type FastifyRequest, type FastifyTypeProvider } from 'fastify'
import { describe, expect, test } from 'tstyche'
import {
  errors,
  tokenExchange,
  userOf,
  type Auth,
  type DefaultLevel,
  type ErrorCode,
  type Guard,
  type Level,
  type Permission,
  type TokenAnswer,
  type TokenExchangeOptions,
  type User
} from '../../src/index.js'

interface Listed { Params: { id: string }, Querystring: { open: boolean } }

const app = Fastify()

describe('request.auth', () => {
  test('is there on every request, and read-only', () => {
    app.get('/', request => {
      expect(request.auth).type.toBe<Auth>()
      expect(request.auth.level).type.toBe<'everyone' | 'application' | 'authenticated' | 'admin'>()
      expect(request.auth.user).type.toBe<User | null>()
      expect(request.auth.application).type.toBe<string | null>()
      expect(request.auth.master).type.toBe<string | null>()
    })
    expect<Auth>().type.not.toBeAssignableTo<{ level: 'x' }>()
  })

  test('has a user whose extra members are unknown until the application names them', () => {
    expect<User['permissions']>().type.toBe<readonly string[]>()
    expect<User['claims']>().type.toBe<Readonly<Record<string, unknown>>>()
    expect<Permission>().type.toBe<string>()
    expect<User['level']>().type.toBe<'authenticated' | 'admin'>()
    expect<User['provider']>().type.toBe<string | null>()
    expect<User['expiresAt']>().type.toBe<number>()
    expect<User['authenticatedAt']>().type.toBe<number | null>()
    expect<User['acr']>().type.toBe<string | null>()
    expect<User['amr']>().type.toBe<readonly string[]>()
  })
})

describe('guards', () => {
  test('take levels and permissions', () => {
    expect(app.requireLevel).type.toBeCallableWith('everyone')
    expect(app.requireLevel).type.toBeCallableWith('application')
    expect(app.requireLevel).type.toBeCallableWith('authenticated')
    expect(app.requireLevel).type.toBeCallableWith('admin')
    expect(app.requireLevel).type.not.toBeCallableWith('user')
    expect(app.requireLevel).type.not.toBeCallableWith()
    expect(app.requirePermission).type.toBeCallableWith('a', 'b')
    expect(app.requirePermission).type.not.toBeCallableWith(['a'])
    app.requirePermission('a', request => `list:${request.params.id}:read`)
    app.requireAnyPermission(({ params }: FastifyRequest<{ Params: { id: string } }>) => params.id)
    expect(app.requirePermission).type.not.toBeCallableWith(() => 7)
    expect(app.requirePermission).type.not.toBeCallableWith(async () => 'a')
    app.requireAccess(({ user, master }, { params }) => master === null && user?.id === params.id)
    app.requireAccess(async (_auth, { query }: FastifyRequest<Listed>) => query.open)
    expect(app.requireAccess(() => true)).type.toBe<Guard>()
    expect(app.requireAccess).type.not.toBeCallableWith(() => 1)
    expect(app.requireAccess).type.not.toBeCallableWith(true)
    expect(app.requireAnyPermission).type.not.toBeCallableWith(7)
    expect(app.requireUser).type.toBeCallableWith()
    expect(app.requireUser()).type.toBe<Guard>()
    expect(app.requireRecentLogin).type.toBeCallableWith({ maxAge: 300 })
    expect(app.requireRecentLogin).type.toBeCallableWith({ maxAge: 300, acr: ['urn:mfa'] })
    expect(app.requireRecentLogin).type.not.toBeCallableWith({ acr: ['urn:mfa'] })
    expect(app.requireRecentLogin).type.not.toBeCallableWith(300)
    expect<Level>().type.toBe<'everyone' | 'application' | 'authenticated' | 'admin'>()
  })

  test('fit routes and hooks of every kind', () => {
    interface Typed extends FastifyTypeProvider {
      readonly validator: this['schema'] extends { type: infer Type } ? Type : string
    }
    const http2 = Fastify({ http2: true })
    const https = Fastify({ https: {} })
    const typed = app.withTypeProvider<Typed>()
    http2.get('/', { onRequest: http2.requireUser() }, request => expect(userOf(request)).type.toBe<User>())
    http2.addHook('onRequest', http2.requireUser())
    https.get('/', { onRequest: [https.requireUser(), async () => {}] }, request => userOf(request))
    typed.get('/', { schema: { params: { type: 1 } }, onRequest: typed.requireUser() }, request => request.auth)
    typed.get(
      '/',
      { schema: { body: { type: 1 } }, onRequest: [typed.requireUser(), typed.requireLevel('admin')] },
      request => [request.auth, userOf(request)]
    )
    app.get<{ Params: { id: number }; Reply: { id: number } }>('/:id', { onRequest: app.requireUser() }, request => ({
      id: request.params.id
    }))
    app.route({ method: 'GET', url: '/', onRequest: [app.requireUser()], handler: request => request.auth })
    app.addHook('onRequest', app.requireLevel('application'))
    expect<(app: FastifyInstance) => Promise<void>>().type.toBeAssignableFrom(async (app: FastifyInstance) => {
      app.get('/', { onRequest: app.requireUser() }, request => request.auth)
    })
  })
})

describe('the plugin', () => {
  test('needs an issuer and keys, and knows its options', () => {
    expect<TokenExchangeOptions>().type.toBeAssignableFrom<{ issuer: string, keys: string | undefined }>()
    expect<TokenExchangeOptions>().type.not.toBeAssignableFrom<{ issuer: string }>()
    expect<TokenExchangeOptions>().type.not.toBeAssignableFrom<{ keys: string }>()
    expect<TokenExchangeOptions['defaultLevel']>().type.toBe<Level | DefaultLevel | undefined>()
    app.register(tokenExchange, {
      issuer: 'https://api.example.com',
      keys: process.env.SIGNING_SECRET,
      logLevel: 'warn'
    })
    app.register(tokenExchange, { issuer: 'https://api.example.com', keys: [{ algorithm: 'ES256', privateKey: '' }] })
  })

  test('issues and verifies', () => {
    expect(app.tokenExchange.issue({ userId: 'ada' })).type.toBe<TokenAnswer>()
    expect(app.tokenExchange.verify('')).type.toBe<User>()
    expect(app.tokenExchange.issue).type.not.toBeCallableWith({})
    expect(app.tokenExchange.issue).type.not.toBeCallableWith({ userId: 'ada', level: 'everyone' })
  })
})

describe('errors', () => {
  test('have literal codes', () => {
    expect(errors.TokenExpiredError.code).type.toBe<'AUTH_ERR_TOKEN_EXPIRED'>()
    expect(new errors.GrantRejectedError().code).type.toBe<'AUTH_ERR_GRANT_REJECTED'>()
    expect(new errors.GrantRejectedError('reason', { cause: 1 }).statusCode).type.toBe<401>()
    expect(new errors.ProviderUnavailableError().statusCode).type.toBe<503>()
    expect<ErrorCode>().type.toBeAssignableFrom<'AUTH_ERR_NOT_GUARDED'>()
    expect<ErrorCode>().type.not.toBeAssignableFrom<string>()
  })
})
