import type { Identity } from '../identity.js'

/** When and how a user logged in at the provider (OpenID Connect Core, 2; RFC 9470, 6). */
export interface Authentication {
  /** Seconds since the epoch. */
  readonly at: number
  /** The context class that the login met. */
  readonly acr: string | null
  /** What it was done with (RFC 8176). */
  readonly amr: readonly string[]
}

/** Seconds that the provider's clock may be ahead: a login of later than that would be a recent one for ever. */
const tolerance = 30

/**
 * What the provider says of it: `auth_time`, else when its token was made, else the time of the exchange.
 *
 * @param exchangedAt when the login began here, in milliseconds
 */
export function authenticationOf ({ claims }: Pick<Identity, 'claims'>, exchangedAt: number): Authentication {
  const { auth_time: loggedInAt, iat: tokenMadeAt, acr, amr } = claims
  const exchanged = Math.floor(exchangedAt / 1000)
  const isPast = (value: unknown): value is number => isTime(value) && value <= exchanged + tolerance
  return {
    at: Math.floor([loggedInAt, tokenMadeAt].find(isPast) ?? exchanged),
    acr: isText(acr) ? acr : null,
    amr: [amr].flat().filter(isText)
  }
}

/** The claims of an access token that say so. What there is nothing to say of is left out. */
export function authenticationClaims ({ at, acr, amr }: Authentication): Record<string, unknown> {
  return { auth_time: at, ...(acr !== null && { acr }), ...(amr.length > 0 && { amr }) }
}

export function isText (value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

export function isTime (value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0
}
