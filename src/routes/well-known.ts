import type { FastifyInstance } from 'fastify'
import type { ServerKey } from '../tokens/keys.js'
import { exchangeGrant, refreshGrant } from './token.js'

export interface WellKnownParts {
  issuer: string
  keys: readonly ServerKey[]
  /** Where the plugin's own routes are. */
  prefix: string
  hasProviders: boolean
  hasSessions: boolean
  /** `config` of the routes. */
  config: object
}

/** What another service needs to verify our tokens: RFC 7517, 5 and RFC 8414. */
export async function wellKnownRoutes (app: FastifyInstance, parts: WellKnownParts): Promise<void> {
  const { issuer, hasProviders, config } = parts
  const keySet = keySetOf(parts.keys)
  await app.register(async scope => {
    // Whatever serializer the application has set; and the same for all, so anybody may keep it.
    scope.setReplySerializer(payload => JSON.stringify(payload))
    scope.addHook('onSend', (_request, reply, _payload, done) => {
      if (reply.statusCode === 200) reply.header('cache-control', 'public, max-age=300')
      done()
    })
    if (keySet.keys.length > 0) scope.get('/.well-known/jwks.json', { config }, () => keySet)
    // RFC 8414, 3.1: the path of the issuer comes after.
    const path = new URL(issuer).pathname.replace(/\/$/, '').replaceAll(':', '::')
    if (hasProviders) {
      scope.get(`/.well-known/oauth-authorization-server${path}`, { config }, () =>
        metadataOf(app, parts, keySet.keys.length > 0)
      )
    }
  })
}

function keySetOf (keys: readonly ServerKey[]): { keys: object[] } {
  return {
    keys: keys.flatMap(({ jwk, kid, algorithm }) => (jwk === null ? [] : { ...jwk, kid, alg: algorithm, use: 'sig' }))
  }
}

// RFC 8414, 2. There is no authorization endpoint, so no response type; clients are public (RFC 8252).
function metadataOf (app: FastifyInstance, { issuer, prefix, hasSessions }: WellKnownParts, hasKeySet: boolean): object {
  const endpoint = (path: string): string => addressOf(issuer, `${app.prefix}${prefix}${path}`)
  return {
    issuer,
    token_endpoint: endpoint('/token'),
    token_endpoint_auth_methods_supported: ['none'],
    response_types_supported: [],
    grant_types_supported: hasSessions ? [refreshGrant, exchangeGrant] : [exchangeGrant],
    ...(hasKeySet && { jwks_uri: `${new URL(issuer).origin}${app.prefix}/.well-known/jwks.json` }),
    ...(hasSessions && {
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
