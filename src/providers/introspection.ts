import { errors, rejected } from '../errors.js'
import { requestJson } from '../http/client.js'
import { isId, type IdentityProvider, type VerifyContext } from '../identity.js'
import { endpointUrl, open, text } from '../options/values.js'
import { isObject, type JsonObject } from '../strict-json.js'
import { basicAuthorization } from './code-flow.js'
import { defineProvider } from './define.js'
import { endpoints } from './definition.js'
import { exactId, standardIdentity } from './openid-claims.js'

export interface IntrospectionOptions {
  /** The introspection endpoint; https (http for loopback hosts only). */
  endpoint: string
  /** This server's own credentials there, sent by HTTP Basic. */
  clientId: string
  clientSecret: string
  /** Whom the tokens must be for: the app's client id, or this server's name as a resource. */
  audience: string
  /** As every factory; there is none beside `endpoint`. */
  endpoints?: Record<never, string>
}

/**
 * Any authorization server that introspects its access tokens.
 *
 * Deviation: `exp` and `sub`, optional in the RFC, are required here.
 *
 * @example
 * ```ts
 * const provider = introspection({
 *   endpoint: 'https://partner.example.com/introspect',
 *   clientId: 'our-server',
 *   clientSecret: process.env.INTROSPECTION_SECRET ?? '',
 *   audience: 'mobile-app'
 * })
 * ```
 * @throws errors.OptionInvalidError
 * @see https://www.rfc-editor.org/rfc/rfc7662#section-2
 */
export function introspection (options: IntrospectionOptions): IdentityProvider {
  const given = open(options, 'introspection', ['endpoint', 'clientId', 'clientSecret', 'audience', 'endpoints'])
  given.read('endpoints', endpoints({}), {})
  const endpoint = given.read('endpoint', endpointUrl)
  const headers = { authorization: basicAuthorization(given.read('clientId', text), given.read('clientSecret', text)) }
  const audience = given.read('audience', text)
  return defineProvider({
    async accessToken (token: string, context: VerifyContext) {
      const form = { token, token_type_hint: 'access_token' }
      const { status, body } = await requestJson(endpoint, { headers, form, context })
      if (status === 401) {
        throw new errors.ProviderUnavailableError('configuration: our client credentials are refused, status 401')
      }
      if (status !== 200 || !isObject(body) || typeof body.active !== 'boolean') {
        throw new errors.ProviderUnavailableError(`status ${status}, no introspection response (RFC 7662, 2.2)`)
      }
      return standardIdentity(body, audience, subjectOf(body, audience))
    }
  })
}

function subjectOf ({ active, client_id: clientId, aud, sub, exp, nbf }: JsonObject, audience: string): string {
  const now = Date.now() / 1000
  if (active !== true) throw rejected('token', 'active')
  if (![clientId, aud].flat().includes(audience)) throw rejected('audience', 'aud')
  if (typeof exp !== 'number' || exp <= now) throw rejected('time', 'exp')
  if (nbf !== undefined && !(typeof nbf === 'number' && nbf <= now)) throw rejected('time', 'nbf')
  const subject = exactId(sub)
  if (!isId(subject)) throw rejected('subject', 'sub')
  return subject
}
