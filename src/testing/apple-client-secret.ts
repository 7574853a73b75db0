import type { KeyObject } from 'node:crypto'
import { jwtVerify } from 'jose'
import type { ProviderClock } from './clock.js'

/** What Apple knows of a team: whose key, under which id, for which apps. */
export interface AppleTeam {
  readonly teamId: string
  readonly keyId: string
  readonly publicKey: KeyObject
  readonly clientIds: readonly string[]
}

/** Six months, in seconds: Apple refuses a secret that lives longer. */
const LONGEST = 15_777_000

/**
 * Whether `secret` is the client secret of `clientId`: an ES256 JWT that the team's key signed.
 * https://developer.apple.com/documentation/accountorganizationaldatasharing/creating-a-client-secret
 */
export async function isClientSecret (
  secret: string,
  clientId: string,
  team: AppleTeam,
  clock: ProviderClock
): Promise<boolean> {
  if (!team.clientIds.includes(clientId)) return false
  try {
    const { payload, protectedHeader } = await jwtVerify(secret, team.publicKey, {
      algorithms: ['ES256'],
      issuer: team.teamId,
      subject: clientId,
      audience: 'https://appleid.apple.com',
      requiredClaims: ['iat', 'exp'],
      currentDate: new Date(clock.now() * 1000)
    })
    return protectedHeader.kid === team.keyId && typeof payload.exp === 'number' && payload.exp <= clock.now() + LONGEST
  } catch {
    return false
  }
}
