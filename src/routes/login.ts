import type { FastifyInstance } from 'fastify'
import { readGrant } from '../login/grant.js'
import type { Server } from '../server.js'
import { bodyLimit, membersOf } from './bodies.js'

/** `POST /login/:provider`: the exchange. */
export function loginRoute (scope: FastifyInstance, { exchange, routeConfig: config }: Server): void {
  scope.post<{ Params: { provider: string } }>('/login/:provider', { bodyLimit, config }, async request => {
    const provider = exchange.provider(request.params.provider)
    const grant = readGrant(membersOf(request.body), provider.accepts)
    return await exchange.login(provider, grant, request)
  })
}

/** `POST /nonce`: a nonce of this server, for a login at a provider that asks for one. */
export function nonceRoute (scope: FastifyInstance, { singleUse, routeConfig: config }: Server): void {
  scope.post('/nonce', { bodyLimit, config }, async () => singleUse.issueNonce())
}
