import type { Identity } from '../identity.js'

const google = ['https://accounts.google.com', 'accounts.google.com']
const apple = ['https://appleid.apple.com', 'https://account.apple.com']
const microsoft = /^https:\/\/login\.(?:microsoftonline\.(?:com|us)|partner\.microsoftonline\.cn)\/[\da-f-]{36}\/v2\.0$/

/**
 * The e-mail address of an identity, if whoever vouches for it is an authority for that address, so that an account may
 * be found by it; else null. Told by the verified `iss`, not by the name that the provider was registered under.
 *
 * Everybody else passes on what users have typed, at best after one confirmation, and what changes hands later.
 *
 * @see https://developers.google.com/identity/sign-in/web/backend-auth#verify-the-integrity-of-the-id-token Google
 * @see https://learn.microsoft.com/en-us/entra/identity-platform/migrate-off-email-claim-authorization `xms_edov`
 */
export function authoritativeEmail ({ email, emailVerified, claims }: Identity): string | null {
  const { iss, hd, xms_edov: isDomainOwnerVerified } = claims
  if (email === null || typeof iss !== 'string') return null
  if (google.includes(iss)) return emailVerified === true && isGooglesOwn(email, hd) ? email : null
  if (apple.includes(iss)) return emailVerified === true ? email : null
  return microsoft.test(iss) && isTrue(isDomainOwnerVerified) ? email : null
}

/** Google runs the mail of these addresses; others it has confirmed once. */
function isGooglesOwn (email: string, hostedDomain: unknown): boolean {
  return (typeof hostedDomain === 'string' && hostedDomain !== '') || /^[^@]+@gmail\.com$/i.test(email)
}

/** As Microsoft writes it. */
function isTrue (value: unknown): boolean {
  return value === true || value === 1 || value === 'true' || value === '1'
}
