import type { FastifyInstance } from 'fastify'
import type { Exchange } from '../login/login.js'
import { readGrant } from '../login/grant.js'
import { bodyLimit, membersOf } from './bodies.js'

/** `POST /login/:provider`: the exchange. */
export function loginRoute (scope: FastifyInstance, exchange: Exchange, config: object): void {
  scope.post<{ Params: { provider: string } }>('/login/:provider', { bodyLimit, config }, async request => {
    const provider = exchange.provider(request.params.provider)
    const grant = readGrant(membersOf(request.body), provider.accepts)
    return exchange.login(provider, grant, request)
  })
}
