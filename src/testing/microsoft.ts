import { randomBytes } from 'node:crypto'
import { answerCode, createAuthorizationCodes, type CodeSubject } from './authorization-codes.js'
import { serveLoginPage } from './login-page.js'
import { subjectOf, type LocalLogin } from './openid-issuer.js'
import { createKeyRing, type HeaderOverrides, type RotateOptions } from './signing-keys.js'
import { json, type FaultSwitches, type Site } from './site.js'

/** Microsoft's identity platform: one authority, many tenants, keys that say whose tokens they may sign. */
export interface LocalMicrosoft extends FaultSwitches, LocalLogin {
  /** For the `microsoft` provider. `tenants` holds the one that `idToken` speaks for by default. */
  readonly options: {
    readonly clientIds: string[]
    readonly tenants: string[]
    readonly endpoints: { readonly authority: string }
  }
  /**
   * An ID token (v2.0). `iss` follows the `tid` of the claims. `signedBy` takes the other kind of key than the
   * tenant's own: a consumer key on an organization's token is what Storm-0558 forged.
   */
  idToken(
    claims?: Readonly<Record<string, unknown>>,
    header?: HeaderOverrides,
    signedBy?: 'organizations' | 'consumers'
  ): Promise<string>
  rotate(options?: RotateOptions): Promise<void>
}

const consumers = '9188040d-6c67-4c5b-b112-36a304b66dad'
const tenantId = '72f988bf-0000-4000-8000-2d7cd011db47'

// Claims: https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference
// Keys and their issuer: https://learn.microsoft.com/entra/identity-platform/access-tokens#validate-the-issuer
export function localMicrosoft (site: Site): LocalMicrosoft {
  const clientIds = ['6731de76-14a6-49ae-97bc-6eba6914391e']
  const issuerOf = (tenant: unknown) => `${site.url}/${String(tenant)}/v2.0`
  // Without `alg`, as Microsoft publishes them.
  const keys = createKeyRing(
    { name: 'organizations', algorithm: 'RS256', members: { issuer: issuerOf('{tenantid}') } },
    { name: 'consumers', algorithm: 'RS256', members: { issuer: issuerOf(consumers) } }
  )
  site.get(/^\/[^/]+\/discovery\/v2\.0\/keys$/, call => keys.keySet(call.headers['if-none-match']))
  site.get(/^\/([^/]+)\/v2\.0\/\.well-known\/openid-configuration$/, ({ params: [tenant = 'common'] }) =>
    json(200, {
      issuer: issuerOf(
        tenant === 'common' || tenant === 'organizations' ? '{tenantid}' : tenant === 'consumers' ? consumers : tenant
      ),
      authorization_endpoint: `${site.url}/${tenant}/oauth2/v2.0/authorize`,
      token_endpoint: `${site.url}/${tenant}/oauth2/v2.0/token`,
      jwks_uri: `${site.url}/${tenant}/discovery/v2.0/keys`,
      response_types_supported: ['code', 'id_token', 'code id_token', 'id_token token'],
      subject_types_supported: ['pairwise'],
      id_token_signing_alg_values_supported: ['RS256']
    })
  )

  const idToken: LocalMicrosoft['idToken'] = async (claims = {}, header = {}, signedBy) => {
    const now = site.clock.now()
    const { tid } = { tid: tenantId, ...claims }
    return await keys.sign({
      iss: issuerOf(tid),
      aud: clientIds[0],
      sub: 'AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ',
      tid,
      oid: '690222be-ff1a-4d56-abd1-7e4f7d38e474',
      name: 'Test Person',
      preferred_username: 'person@example.com',
      ver: '2.0',
      iat: now,
      nbf: now,
      exp: now + 3600,
      ...claims
    }, header, signedBy ?? (tid === consumers ? 'consumers' : 'organizations'))
  }

  return {
    ...site.faults.switches,
    options: { clientIds, tenants: [tenantId], endpoints: { authority: site.url } },
    ...login(site, clientIds, idToken),
    idToken,
    rotate: keys.rotate
  }
}

// https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow
function login (site: Site, clientIds: readonly string[], idToken: LocalMicrosoft['idToken']): LocalLogin {
  const clientSecret = randomBytes(20).toString('hex')
  const codes = createAuthorizationCodes<CodeSubject>(site.clock, clientIds[0] ?? '', 600)
  const page = serveLoginPage<Readonly<Record<string, unknown>>>(
    site,
    /^\/[^/]+\/oauth2\/v2\.0\/authorize$/,
    { clientIds, nobody: {}, silent: true },
    (claims, request) => codes.issue(subjectOf(site, claims, request), request)
  )
  site.post(/^\/[^/]+\/oauth2\/v2\.0\/token$/, call => answerCode(call, codes, clientSecret, idToken))
  return { clientSecret, page }
}
