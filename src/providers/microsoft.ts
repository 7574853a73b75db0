import { rejected } from '../errors.js'
import { isId, type IdentityProvider } from '../identity.js'
import { list, open, refused, text, withoutSlash, type Reader } from '../options/values.js'
import type { JsonObject } from '../strict-json.js'
import { readRedirect, type AuthorizationServer, type RedirectOptions } from './code-flow.js'
import { defineProvider } from './define.js'
import { endpoints, idTokenOptions, readPolicies, type IdTokenOptions } from './definition.js'
import { textOrNull, toBoolean, type StandardIdentity } from './openid-claims.js'

export interface MicrosoftOptions extends IdTokenOptions {
  /** Application (client) ids of your apps: one of them must be the token's audience. */
  clientIds: readonly string[]
  /**
   * Ids of the tenants whose users may come (personal accounts: 9188040d-6c67-4c5b-b112-36a304b66dad), or `'any'`.
   */
  tenants: readonly string[] | 'any'
  /** @default { authority: 'https://login.microsoftonline.com' } */
  endpoints?: { authority?: string }
  /** Logins by redirect. `scope` @default 'openid email profile' */
  redirect?: RedirectOptions & { clientSecret: string }
}

const defaults = { authority: 'https://login.microsoftonline.com' }
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/**
 * Microsoft Entra ID and personal Microsoft accounts: ID tokens of the v2.0 endpoint.
 *
 * Deviation: an issuer per tenant; the keys of all are at one address, and a key may be bound to one issuer. The
 * subject is `{tid}:{oid}`; `sub` differs from app to app, and e-mail addresses are for the tenant to choose.
 *
 * @example
 * ```ts
 * const provider = microsoft({
 *   clientIds: ['6731de76-14a6-49ae-97bc-6eba6914391e'],
 *   tenants: ['72f988bf-0000-4000-8000-2d7cd011db47']
 * })
 * ```
 * @throws errors.OptionInvalidError
 * @see https://learn.microsoft.com/en-us/entra/identity-platform/id-token-claims-reference
 * @see https://learn.microsoft.com/en-us/entra/identity-platform/access-tokens#validate-the-issuer the key's issuer
 */
export function microsoft (options: MicrosoftOptions): IdentityProvider {
  const given = open(options, 'microsoft', ['clientIds', 'tenants', 'endpoints', 'redirect', ...idTokenOptions])
  const tenants = given.read('tenants', readTenants)
  const authority = withoutSlash(given.read('endpoints', endpoints(defaults), defaults).authority)
  const clientIds = given.read('clientIds', list(text))
  const server = serverOf(authority, tenants)
  return defineProvider({
    ...readPolicies(given),
    idToken: {
      algorithms: ['RS256'],
      issuers ({ tid }) {
        const isKnown = typeof tid === 'string' && uuid.test(tid) && (tenants === 'any' || tenants.includes(tid))
        if (!isKnown) throw rejected('issuer', 'tid')
        return `${authority}/${tid}/v2.0`
      },
      clientIds,
      keys: `${authority}/common/discovery/v2.0/keys`,
      check,
      identity
    },
    redirect: given.read('redirect', readRedirect(server, { clientIds, secret: 'required' }), null)
  })
}

/**
 * Users of one tenant log in at it, those of several at the address of all.
 * @see https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-auth-code-flow
 */
function serverOf (authority: string, tenants: readonly string[] | 'any'): AuthorizationServer {
  const [only, another] = tenants === 'any' ? [] : tenants
  const tenant = only !== undefined && another === undefined ? only : null
  const base = `${authority}/${tenant ?? 'common'}/oauth2/v2.0`
  return {
    issuer: tenant === null ? null : `${authority}/${tenant}/v2.0`,
    authorizationEndpoint: `${base}/authorize`,
    tokenEndpoint: `${base}/token`
  }
}

const readTenants: Reader<readonly string[] | 'any'> = (value, path) => {
  if (value === 'any') return value
  if (!Array.isArray(value)) throw refused(path, "must be a list of tenant ids, or 'any'")
  return list(tenantId)(value, path)
}

const tenantId: Reader<string> = (value, path) => {
  const id = text(value, path).toLowerCase()
  if (!uuid.test(id)) throw refused(path, 'must be the id of a tenant, a UUID')
  return id
}

function check ({ iss, tid, oid }: JsonObject, jwk: JsonObject): void {
  if (textOrNull(oid) === null || !isId(`${String(tid)}:${String(oid)}`)) throw rejected('subject', 'oid')
  const bound = typeof jwk.issuer === 'string' ? jwk.issuer.replace('{tenantid}', String(tid)) : jwk.issuer
  if (bound !== undefined && bound !== iss) throw rejected('issuer', "the key's issuer")
}

function identity (standard: StandardIdentity): StandardIdentity {
  const { tid, oid, xms_edov: isDomainOwnerVerified } = standard.claims
  return { ...standard, subject: `${String(tid)}:${String(oid)}`, emailVerified: toBoolean(isDomainOwnerVerified) }
}
