import { errors } from '../errors.js'
import type { IdentityProvider } from '../identity.js'
import { createKeySet } from '../http/key-set.js'
import { configuration, ID_TOKEN_OPTIONS, type IdTokenOptions } from './configuration.js'
import { idTokenProvider, standardIdentity } from './id-token-provider.js'
import { textOrNull, toBoolean } from './openid-claims.js'

export interface MicrosoftOptions extends IdTokenOptions {
  clientIds: readonly string[]
  /** Ids of the tenants whose users may come (personal accounts: 9188040d-6c67-4c5b-b112-36a304b66dad), or `'any'`. */
  tenants: readonly string[] | 'any'
  /** @default { authority: 'https://login.microsoftonline.com' } */
  endpoints?: { authority?: string }
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/**
 * Microsoft Entra ID and personal Microsoft accounts: ID tokens of the v2.0 endpoint.
 *
 * Deviation: an issuer per tenant; the keys of all are at one address, and a key may be bound to one issuer. The
 * subject is `{tid}:{oid}`; `sub` differs from app to app, and an e-mail address is the tenant administrator's to choose.
 *
 * @throws errors.OptionInvalidError
 * @see https://learn.microsoft.com/en-us/entra/identity-platform/id-token-claims-reference
 * @see https://learn.microsoft.com/en-us/entra/identity-platform/access-tokens#validate-the-issuer the key's issuer
 */
export function microsoft (options: MicrosoftOptions): IdentityProvider {
  const given = configuration('microsoft', options, ['clientIds', 'tenants', ...ID_TOKEN_OPTIONS], {
    authority: 'https://login.microsoftonline.com'
  })
  const tenants = options.tenants === 'any' ? undefined : given.list('tenants').map(tenant => tenant.toLowerCase())
  if (tenants?.every(tenant => UUID.test(tenant)) === false) {
    throw new errors.OptionInvalidError("microsoft.tenants must be UUIDs, or 'any'")
  }
  const authority = given.endpoints.authority.replace(/\/+$/, '')
  return idTokenProvider({
    algorithms: ['RS256'],
    issuers: ({ tid }) => {
      if (typeof tid !== 'string' || !UUID.test(tid) || tenants?.includes(tid) === false) {
        throw new errors.GrantRejectedError('tid')
      }
      return `${authority}/${tid}/v2.0`
    },
    clientIds: given.list('clientIds'),
    nonce: given.nonce,
    replay: given.replay,
    keys: createKeySet(`${authority}/common/discovery/v2.0/keys`),
    check: ({ iss, tid, oid }, { jwk }) => {
      if (textOrNull(oid) === null) throw new errors.GrantRejectedError('oid')
      const bound = typeof jwk.issuer === 'string' ? jwk.issuer.replace('{tenantid}', String(tid)) : jwk.issuer
      if (bound !== undefined && bound !== iss) throw new errors.GrantRejectedError("the key's issuer")
    },
    identity: token => {
      const { tid, oid, xms_edov: isDomainOwnerVerified } = token.claims
      return {
        ...standardIdentity(token),
        subject: `${String(tid)}:${String(oid)}`,
        emailVerified: toBoolean(isDomainOwnerVerified)
      }
    }
  })
}
