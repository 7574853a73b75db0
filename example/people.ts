import type { IdentityServer } from 'fastify-token-exchange/testing'

export const providerNames = ['facebook', 'google', 'apple', 'microsoft', 'github'] as const
export type ProviderName = typeof providerNames[number]

/** Somebody with an account at each provider, under the id that it has there. */
export interface Person {
  readonly name: string
  /** What the database is seeded with; null: registered at the first login. */
  readonly seed: { readonly level: 'authenticated' | 'admin', readonly blocked: boolean } | null
  readonly subjects: Readonly<Record<ProviderName, string>>
}

export const personNames = ['grace', 'ada', 'mallory'] as const
export type PersonName = typeof personNames[number]

export const people: Readonly<Record<PersonName, Person>> = {
  grace: { name: 'Grace', seed: null, subjects: subjectsEndingIn('08') },
  ada: { name: 'Ada', seed: { level: 'admin', blocked: false }, subjects: subjectsEndingIn('07') },
  mallory: { name: 'Mallory', seed: { level: 'authenticated', blocked: true }, subjects: subjectsEndingIn('09') }
}

/** What is wrong with a grant: nothing, or it has expired, or the provider gave it to another app. */
export const flaws = ['none', 'expired', 'foreign'] as const
export type Flaw = typeof flaws[number]

/** What an app posts to `/login/:provider`. */
export type Grant = { readonly access_token: string } | { readonly id_token: string }

/** What the provider's SDK gives an app once this person has logged in there. */
export async function grantOf (
  idp: IdentityServer,
  provider: ProviderName,
  { name, subjects }: Person,
  flaw: Flaw
): Promise<Grant> {
  const subject = subjects[provider]
  switch (provider) {
    case 'facebook': return {
      access_token: idp.facebook.accessToken({ id: subject, name }, {
        ...(flaw === 'expired' && { expiresAt: idp.clock.now() - 60 }),
        ...(flaw === 'foreign' && { appId: '999' })
      })
    }
    case 'github': return {
      access_token: idp.github.accessToken({ id: subject, login: name.toLowerCase(), name }, {
        // A token of GitHub's lives until somebody revokes it.
        ...(flaw === 'expired' && { valid: false }),
        ...(flaw === 'foreign' && { clientId: 'another-app' })
      })
    }
    default: return { id_token: await idp[provider].idToken(claimsOf(idp, provider, { name, subject }, flaw)) }
  }
}

/** Has this person signed in at the provider's own pages, where a login by redirect comes along. */
export function signIn (idp: IdentityServer, provider: ProviderName, { name, subjects }: Person): void {
  const subject = subjects[provider]
  switch (provider) {
    case 'facebook': return idp.facebook.page.signIn({ id: subject, name })
    case 'github': return idp.github.page.signIn({ id: subject, login: name.toLowerCase(), name })
    default: return idp[provider].page.signIn(claimsOf(idp, provider, { name, subject }, 'none'))
  }
}

function claimsOf (
  idp: IdentityServer,
  provider: 'google' | 'apple' | 'microsoft',
  { name, subject }: { name: string, subject: string },
  flaw: Flaw
): Record<string, unknown> {
  const [tenant, object] = subject.split(':')
  const now = idp.clock.now()
  return {
    ...(provider === 'microsoft' ? { tid: tenant, oid: object, name } : { sub: subject }),
    ...(provider === 'google' && { name }),
    ...(flaw === 'expired' && { iat: now - 7200, nbf: now - 7200, exp: now - 3600 }),
    ...(flaw === 'foreign' && { aud: 'com.example.another-app' })
  }
}

function subjectsEndingIn (digits: string): Record<ProviderName, string> {
  return {
    facebook: `101580000000000${digits}`,
    google: `1101694844743862700${digits}`,
    apple: `001234.5a1b2c3d4e5f60718293a4b5c6d7e8${digits}.1234`,
    microsoft: `72f988bf-0000-4000-8000-2d7cd011db47:690222be-ff1a-4d56-abd1-7e4f7d38e4${digits}`,
    github: `5832${digits}`
  }
}
