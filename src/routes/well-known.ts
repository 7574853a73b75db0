import type { FastifyInstance } from 'fastify'
import type { Server } from '../server.js'
import type { ServerKey } from '../tokens/keys.js'
import { tokenGrants } from './token.js'

/** What another service needs to verify our tokens: RFC 7517, 5 and RFC 8414. */
export function wellKnownRoutes (scope: FastifyInstance, server: Server): void {
  const { options: { issuer, keys, providers }, routeConfig: config } = server
  const keySet = keySetOf(keys)
  const hasKeySet = keySet.keys.length > 0
  // Whatever serializer the application has set; and the same for all, so anybody may keep it.
  scope.setReplySerializer(payload => JSON.stringify(payload))
  scope.addHook('onSend', (_request, reply, _payload, done) => {
    if (reply.statusCode === 200) reply.header('cache-control', 'public, max-age=300')
    done()
  })
  if (hasKeySet) scope.get('/.well-known/jwks.json', { config }, () => keySet)
  if (providers.size === 0) return
  // RFC 8414, 3.1: the path of the issuer comes after.
  const path = new URL(issuer).pathname.replace(/\/$/, '').replaceAll(':', '::')
  const metadata = metadataOf(scope.prefix, server, hasKeySet)
  scope.get(`/.well-known/oauth-authorization-server${path}`, { config }, () => metadata)
}

function keySetOf (keys: readonly ServerKey[]): { keys: object[] } {
  return {
    keys: keys.flatMap(({ jwk, kid, algorithm }) => (jwk === null ? [] : { ...jwk, kid, alg: algorithm, use: 'sig' }))
  }
}

// RFC 8414, 2. There is no authorization endpoint, so no response type; clients are public (RFC 8252).
function metadataOf (scopePrefix: string, server: Server, hasKeySet: boolean): object {
  const { options: { issuer, prefix }, sessions } = server
  const endpoint = (path: string): string => addressOf(issuer, `${scopePrefix}${prefix}${path}`)
  return {
    issuer,
    token_endpoint: endpoint('/token'),
    token_endpoint_auth_methods_supported: ['none'],
    response_types_supported: [],
    grant_types_supported: [...tokenGrants(server).keys()],
    ...(hasKeySet && { jwks_uri: `${new URL(issuer).origin}${scopePrefix}/.well-known/jwks.json` }),
    ...(sessions !== null && {
      revocation_endpoint: endpoint('/revoke'),
      revocation_endpoint_auth_methods_supported: ['none']
    })
  }
}

/** A public address: below the issuer, whose path may be that of the scope, or one that a proxy takes away. */
function addressOf (issuer: string, path: string): string {
  const { origin, pathname } = new URL(issuer)
  const isBelow = pathname === '/' || path.startsWith(`${pathname}/`)
  return isBelow ? `${origin}${path}` : `${issuer}${path}`
}
