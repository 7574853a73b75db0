import type { FastifyInstance } from 'fastify'
import { readGrant } from '../login/grant.js'
import type { Server } from '../server.js'
import { bodyLimit, membersOf } from './bodies.js'

/** `POST /login/:provider`: the exchange. Whose access token comes along links what is proven here to its account. */
export function loginRoute (scope: FastifyInstance, { exchange, guards, routeConfig: config }: Server): void {
  const onRequest = guards.requireLevel('everyone')
  scope.post<{ Params: { provider: string } }>('/login/:provider', { bodyLimit, config, onRequest }, async request => {
    const provider = exchange.provider(request.params.provider)
    const grant = readGrant(membersOf(request.body), provider.accepts)
    return await exchange.login(provider, grant, request, request.auth.user)
  })
}

/** `POST /nonce`: a nonce of this server, for a login at a provider that asks for one. */
export function nonceRoute (scope: FastifyInstance, { singleUse, routeConfig: config }: Server): void {
  scope.post('/nonce', { bodyLimit, config }, async () => singleUse.issueNonce())
}
