import { createHash, randomUUID, timingSafeEqual } from 'node:crypto'
import { errors } from '../errors.js'
import type { Proven } from '../exchange/mint.js'
import { readIdentity } from '../exchange/verified-identity.js'
import { readPermissions } from '../permissions/permissions.js'
import type { Seals } from '../redirect/seals.js'

/** Seconds. */
const lifetime = 60
/** Characters: the code comes back in a request line, and servers take 16 KiB of header at most. */
const longest = 12_000

/** Codes for a login that has succeeded (the PKCE variant): sealed, so that every server with the same keys can redeem them. */
export interface OneTimeCodes {
  make (provider: string, challenge: string, proven: Proven): Promise<string>
  /** Redeems a code once on this server; again only where `use` fails. @throws errors.GrantRejectedError */
  redeem<T> (code: string, by: { provider: string, verifier: string }, use: (proven: Proven) => Promise<T>): Promise<T>
}

export function createOneTimeCodes (seals: Seals): OneTimeCodes {
  const used = new Map<string, number>()

  async function make (provider: string, challenge: string, { identity, granted }: Proven): Promise<string> {
    const code = await seals.seal(
      'login-code',
      { id: randomUUID(), provider, challenge, identity, granted: { ...granted, userId: granted.userId ?? undefined } },
      lifetime
    )
    if (code.length > longest) {
      throw new errors.ProviderUnavailableError('the identity is too large for a one-time code')
    }
    return code
  }

  async function redeem<T> (
    code: string,
    { provider, verifier }: { provider: string, verifier: string },
    use: (proven: Proven) => Promise<T>
  ): Promise<T> {
    const { id, provider: ofProvider, challenge, identity, granted } = await seals.open('login-code', code)
    if (ofProvider !== provider || typeof challenge !== 'string' || !isAnswered(challenge, verifier)) {
      throw new errors.GrantRejectedError('provider or code_verifier')
    }
    const proven = { identity: readIdentity(provider, identity).identity, granted: readPermissions(granted) }
    spend(String(id))
    try {
      return await use(proven)
    } catch (thrown) {
      used.delete(String(id))
      throw thrown
    }
  }

  function spend (id: string): void {
    const now = Date.now()
    for (const [old, until] of used) if (until < now) used.delete(old)
    if (used.has(id)) throw new errors.GrantRejectedError('the code was used before')
    used.set(id, now + (lifetime + 1) * 1000)
  }

  return { make, redeem }
}

/** RFC 7636, 4.6. A blank in a query is the `+` of plain base64. */
function isAnswered (challenge: string, verifier: string): boolean {
  return timingSafeEqual(
    digest(challenge),
    digest(createHash('sha256').update(verifier.replaceAll(' ', '+')).digest('base64url'))
  )
}

function digest (text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
