import type { FastifyInstance } from 'fastify'
import { addressOf, wellKnownPath } from '../public-address.js'
import type { Server } from '../server.js'
import type { ServerKey } from '../tokens/keys.js'
import { tokenGrants } from './token.js'

/** What another service needs to verify our tokens: RFC 7517, 5 and RFC 8414. */
export function wellKnownRoutes (scope: FastifyInstance, server: Server): void {
  const { options: { clients, dpop, issuer, keys, handsOutTokens }, routeConfig: config } = server
  const keySet = keySetOf(keys)
  const hasKeySet = keySet.keys.length > 0
  // Whatever serializer the application has set; and the same for all, so anybody may keep it.
  scope.setReplySerializer(payload => JSON.stringify(payload))
  scope.addHook('onSend', (_request, reply, _payload, done) => {
    if (reply.statusCode === 200) reply.header('cache-control', 'public, max-age=300')
    done()
  })
  if (hasKeySet) scope.get('/.well-known/jwks.json', { config }, () => keySet)
  if (!handsOutTokens) return
  const path = wellKnownPath(issuer)
  const metadata = metadataOf(scope.prefix, server, hasKeySet)
  scope.get(`/.well-known/oauth-authorization-server${path}`, { config }, () => metadata)
  if (clients.size === 0) return
  // RFC 9728, 3.1: likewise.
  const resource = {
    resource: issuer,
    authorization_servers: [issuer],
    bearer_methods_supported: ['header'],
    ...(dpop?.mode === 'all' && { dpop_signing_alg_values_supported: dpop.algorithms })
  }
  scope.get(`/.well-known/oauth-protected-resource${path}`, { config }, () => resource)
}

function keySetOf (keys: readonly ServerKey[]): { keys: object[] } {
  return {
    keys: keys.flatMap(({ jwk, kid, algorithm }) => (jwk === null ? [] : { ...jwk, kid, alg: algorithm, use: 'sig' }))
  }
}

// RFC 8414, 2. Clients are public (RFC 8252); without any there is no authorization endpoint, so no response type.
function metadataOf (scopePrefix: string, server: Server, hasKeySet: boolean): object {
  const { options: { clients, dpop, issuer, prefix }, sessions } = server
  const endpoint = (path: string): string => addressOf(issuer, `${scopePrefix}${prefix}${path}`)
  return {
    issuer,
    token_endpoint: endpoint('/token'),
    token_endpoint_auth_methods_supported: ['none'],
    response_types_supported: [],
    ...(clients.size > 0 && {
      authorization_endpoint: endpoint('/authorize'),
      response_types_supported: ['code'],
      response_modes_supported: ['query'],
      code_challenge_methods_supported: ['S256'],
      authorization_response_iss_parameter_supported: true
    }),
    // RFC 9449, 5.1.
    ...(dpop !== null && { dpop_signing_alg_values_supported: dpop.algorithms }),
    grant_types_supported: [...tokenGrants(server).keys()],
    ...(hasKeySet && { jwks_uri: `${new URL(issuer).origin}${scopePrefix}/.well-known/jwks.json` }),
    ...(sessions !== null && {
      revocation_endpoint: endpoint('/revoke'),
      revocation_endpoint_auth_methods_supported: ['none']
    })
  }
}
