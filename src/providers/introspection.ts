import { errors } from '../errors.js'
import type { IdentityProvider } from '../identity.js'
import { requestJson } from '../http/client.js'
import { endpointUrl } from '../http/endpoint.js'
import { isObject, type JsonObject } from '../strict-json.js'
import { basicAuthorization } from './authorization-code.js'
import { configuration } from './configuration.js'
import { entering } from './define.js'
import { exactId, standardProfile } from './openid-claims.js'

export interface IntrospectionOptions {
  /** The introspection endpoint; https (http for loopback hosts only). */
  endpoint: string
  /** This server's own credentials there, sent by HTTP Basic. */
  clientId: string
  clientSecret: string
  /** Whom the tokens must be for: the app's client id, or this server's name as a resource. */
  audience: string
}

/**
 * Any authorization server that introspects its access tokens.
 *
 * Deviation: `exp` and `sub`, optional in the RFC, are required here.
 *
 * @throws errors.OptionInvalidError
 * @see https://www.rfc-editor.org/rfc/rfc7662#section-2
 */
export function introspection (options: IntrospectionOptions): IdentityProvider {
  const given = configuration('introspection', options, ['endpoint', 'clientId', 'clientSecret', 'audience'], {})
  const endpoint = endpointUrl(given.text('endpoint'), 'introspection.endpoint')
  const headers = { authorization: basicAuthorization(given.text('clientId'), given.text('clientSecret')) }
  const audience = given.text('audience')
  return entering({
    accepts: ['access_token'],
    async verify ({ token }, context) {
      const { status, body } = await requestJson(endpoint, {
        headers,
        form: { token, token_type_hint: 'access_token' },
        context
      })
      if (status === 401) {
        throw new errors.ProviderUnavailableError('configuration: our client credentials are refused, status 401')
      }
      if (status !== 200 || !isObject(body) || typeof body.active !== 'boolean') {
        throw new errors.ProviderUnavailableError(`status ${status}, junk`)
      }
      return { subject: check(body, audience), clientId: audience, ...standardProfile(body) }
    }
  })
}

function check ({ active, client_id: clientId, aud, sub, exp, nbf }: JsonObject, audience: string): string {
  const now = Date.now() / 1000
  if (active !== true) throw new errors.GrantRejectedError('active')
  if (![clientId, aud].flat().includes(audience)) throw new errors.GrantRejectedError('aud')
  if (typeof exp !== 'number' || exp <= now) throw new errors.GrantRejectedError('exp')
  if (nbf !== undefined && !(typeof nbf === 'number' && nbf <= now)) throw new errors.GrantRejectedError('nbf')
  const subject = exactId(sub)
  if (subject === null || subject.length > 255) throw new errors.GrantRejectedError('sub')
  return subject
}
