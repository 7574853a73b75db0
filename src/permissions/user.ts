import type { ExtraClaims, Permission, UserLevel } from './permissions.js'

/** The user whom an access token speaks of. Frozen, to its depth. Times are seconds since the epoch. */
export interface User {
  readonly id: string
  /** The provider that vouched, and its id of the user; null for a token that the application issued itself. */
  readonly provider: string | null
  readonly subject: string | null
  readonly level: UserLevel
  readonly permissions: readonly Permission[]
  /** The application's extra claims, and only these. */
  readonly claims: Readonly<ExtraClaims>
  readonly tokenId: string
  readonly sessionId: string | null
  /** When the user last logged in at the provider; null for a token that does not say. */
  readonly authenticatedAt: number | null
  /** How: the provider's `acr` and `amr` (OpenID Connect Core, 2). */
  readonly acr: string | null
  readonly amr: readonly string[]
  readonly issuedAt: number
  readonly expiresAt: number
}
