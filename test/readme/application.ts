import { randomBytes } from 'node:crypto'
import Fastify, { type FastifyInstance, type LightMyRequestResponse } from 'fastify'
import tokenExchange, { type Permissions, type TokenExchangeOptions } from '../../src/index.js'
import { facebook } from '../../src/providers/index.js'
import { startIdentityServer } from '../../src/testing/index.js'

/** What the fragments of the pages take for granted: an application, its options, its users. */

export const idp = await startIdentityServer()

export const applicationKey = randomBytes(16).toString('hex')
export const masterKey = randomBytes(16).toString('hex')

export const options: TokenExchangeOptions = {
  issuer: 'http://localhost:3000',
  keys: randomBytes(32).toString('hex'),
  providers: { facebook: facebook(idp.facebook.options) },
  applicationKeys: { ios: applicationKey },
  masterKeys: { operations: masterKey }
}

export async function newApplication (changes: Partial<TokenExchangeOptions> = {}): Promise<FastifyInstance> {
  const app = Fastify()
  await app.register(tokenExchange, { ...options, ...changes })
  return app
}

/** A login with Facebook, which always succeeds there. */
export async function logIn (app: FastifyInstance, person: { id?: string } = {}): Promise<LightMyRequestResponse> {
  const payload = { access_token: idp.facebook.accessToken(person) }
  return await app.inject({ method: 'POST', url: '/login/facebook', payload })
}

export async function refresh (app: FastifyInstance, token: string): Promise<LightMyRequestResponse> {
  const payload = { grant_type: 'refresh_token', refresh_token: token }
  return await app.inject({ method: 'POST', url: '/token', payload })
}

/** The status of a request, by its method and path (`GET /todos`) and its headers. */
export async function statusOf (
  app: FastifyInstance,
  request: string,
  headers: Record<string, string> = {}
): Promise<number> {
  const [name, url = ''] = request.split(' ')
  const method = name === 'POST' || name === 'DELETE' ? name : 'GET'
  return (await app.inject({ method, url, headers })).statusCode
}

/** Headers of a user to whom this application issues a token itself. */
export function userWith (app: FastifyInstance, granted: Permissions): Record<string, string> {
  return { authorization: `Bearer ${app.tokenExchange.issue({ userId: 'user-42', ...granted }).access_token}` }
}

interface Person { id: string, blocked: boolean, isAdmin: boolean, permissions: ['todo:read'], tenant: string }

/** A database of users, as an application would have one. */
export const users = {
  async findOrCreate (provider: string, subject: string, { signal }: { signal: AbortSignal }): Promise<Person> {
    signal.throwIfAborted()
    return {
      id: `${provider}/${subject}`,
      blocked: subject === '666',
      isAdmin: false,
      permissions: ['todo:read'],
      tenant: 'acme'
    }
  }
}
