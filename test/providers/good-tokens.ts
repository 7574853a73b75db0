import { apple, facebook, google, microsoft, oidc } from '../../src/providers/index.js'
import type { AuthorizationGrant, IdentityProvider, NoncePolicy, VerifiedIdentity } from '../../src/identity.js'
import { issuerKey, type IssuerKey } from '../http/issuer-keys.js'

export const client = 'client-1'
export const otherClient = 'client-2'
export const tenantId = '72f988bf-86f1-41af-91ab-2d7cd011db47'

export const key: IssuerKey = await issuerKey('key-1')

export interface IdTokenCase {
  provider: (url: string, options?: { nonce?: NoncePolicy, replay?: 'refuse' }) => IdentityProvider
  /** Of a recorded good token; times are added. */
  claims: (url: string) => Record<string, unknown>
  subject: string
}

/** Every provider of ID tokens, with a good token of each; `url` is where its fake listens. */
export const idTokenCases: Record<string, IdTokenCase> = {
  google: {
    provider: (url, options) => google({ clientIds: [client, otherClient], endpoints: { jwks: url }, ...options }),
    claims: () => ({
      iss: 'https://accounts.google.com',
      azp: client,
      aud: client,
      sub: '110169484474386276334',
      email: 'u@example.com',
      email_verified: true,
      name: 'U',
      picture: 'https://lh3.example/p',
      locale: 'en'
    }),
    subject: '110169484474386276334'
  },
  apple: {
    provider: (url, options) => apple({ clientIds: [client, otherClient], endpoints: { jwks: url }, ...options }),
    claims: () => ({
      iss: 'https://appleid.apple.com',
      aud: client,
      sub: '000792.d71059.0638',
      email: 'u@privaterelay.appleid.com',
      email_verified: 'true',
      is_private_email: 'true'
    }),
    subject: '000792.d71059.0638'
  },
  microsoft: {
    provider: (url, options) =>
      microsoft({ clientIds: [client, otherClient], tenants: [tenantId], endpoints: { authority: url }, ...options }),
    claims: url => ({
      iss: `${url}/${tenantId}/v2.0`,
      tid: tenantId,
      oid: '00000000-0000-0000-66f3-3332eca7ea81',
      aud: client,
      sub: 'AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ',
      ver: '2.0'
    }),
    subject: `${tenantId}:00000000-0000-0000-66f3-3332eca7ea81`
  },
  'facebook (Limited Login)': {
    provider: (url, options) => facebook({ appId: client, appSecret: 'secret', endpoints: { jwks: url }, ...options }),
    claims: () => ({
      iss: 'https://www.facebook.com',
      aud: client,
      sub: '10158000000000000001',
      email: 'u@example.com',
      name: 'U',
      picture: 'https://fb.example/p'
    }),
    subject: '10158000000000000001'
  },
  oidc: {
    provider: (url, options) =>
      oidc({ issuer: 'https://idp.example', clientIds: [client, otherClient], endpoints: { jwks: url }, ...options }),
    claims: () => ({
      iss: 'https://idp.example',
      aud: client,
      sub: 'user-1',
      email: 'u@example.com',
      email_verified: false
    }),
    subject: 'user-1'
  }
}

export function times (): Record<string, number> {
  const now = Math.floor(Date.now() / 1000)
  return { iat: now, exp: now + 3600 }
}

export function verify (
  provider: IdentityProvider,
  grant: Partial<AuthorizationGrant> & { token: string }
): Promise<VerifiedIdentity> {
  return provider.verify({ type: 'id_token', ...grant }, { signal: new AbortController().signal })
}
