import type { Discovery } from '../http/discovery.js'
import type { VerifyContext } from '../identity.js'
import type { AuthorizationServer } from '../redirect/code-flow.js'

export interface OpenidServer {
  issuer: string
  algorithms: readonly string[]
  discovery: Discovery
  /** Empty where the discovery document says. */
  endpoints: { authorize: string, token: string }
}

/** An issuer of OpenID Connect as a server for logins by redirect. Nothing is discovered where both endpoints are configured. */
export async function authorizationServer (
  { issuer, algorithms, discovery, endpoints }: OpenidServer,
  context: VerifyContext
): Promise<AuthorizationServer> {
  const server = { issuer, algorithms, secretIn: 'basic' as const }
  if (endpoints.authorize !== '' && endpoints.token !== '') {
    return { ...server, authorizationEndpoint: endpoints.authorize, tokenEndpoint: endpoints.token }
  }
  const document = await discovery.document(context)
  const methods: unknown = document.token_endpoint_auth_methods_supported
  // OpenID Connect Discovery, 3: without a list it is client_secret_basic.
  const isPostOnly =
    Array.isArray(methods) && methods.includes('client_secret_post') && !methods.includes('client_secret_basic')
  return {
    ...server,
    secretIn: isPostOnly ? 'post' : 'basic',
    namesIssuer: document.authorization_response_iss_parameter_supported === true,
    authorizationEndpoint: endpoints.authorize || (await discovery.endpoint('authorization_endpoint', context)),
    tokenEndpoint: endpoints.token || (await discovery.endpoint('token_endpoint', context))
  }
}
