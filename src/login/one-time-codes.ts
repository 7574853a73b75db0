import { randomUUID } from 'node:crypto'
import { errors } from '../errors.js'
import { isObject } from '../strict-json.js'
import { readPermissions } from '../permissions/permissions.js'
import { challengeOf } from './authorization-request.js'
import type { ProvenLogin } from './login.js'
import type { Seals } from './seals.js'
import { readIdentity } from './verified-identity.js'

/** Seconds. */
const lifetime = 60
/** Characters: the code comes back in a request line, and servers take 16 KiB of header at most. */
const longest = 12_000

/** Codes for a login that has succeeded: sealed, so that every server with the same keys can redeem them. */
export interface OneTimeCodes {
  /** @param challenge the SHA-256 of the verifier, in base64url */
  make (challenge: string, proven: ProvenLogin): Promise<string>
  /** Redeems a code once on this server; again only where `use` fails. @throws errors.GrantRejectedError */
  redeem<T> (
    code: string,
    by: { provider: string, verifier: string },
    use: (proven: ProvenLogin) => Promise<T>
  ): Promise<T>
}

export function createOneTimeCodes (seals: Seals): OneTimeCodes {
  const used = new Map<string, number>()

  async function make (challenge: string, { identity, granted, mark }: ProvenLogin): Promise<string> {
    const code = await seals.seal('login-code', { id: randomUUID(), challenge, identity, granted, mark }, lifetime)
    if (code.length > longest) {
      throw new errors.ProviderUnavailableError('the identity is too large for a one-time code')
    }
    return code
  }

  async function redeem<T> (
    code: string,
    { provider, verifier }: { provider: string, verifier: string },
    use: (proven: ProvenLogin) => Promise<T>
  ): Promise<T> {
    const { id, challenge, identity, granted, mark } = await seals.open('login-code', code)
    const isOfProvider = isObject(identity) && identity.provider === provider
    // A challenge is no secret. A blank in a query is the `+` of plain base64.
    if (!isOfProvider || challenge !== challengeOf(verifier.replaceAll(' ', '+'))) {
      throw new errors.GrantRejectedError('provider or code_verifier')
    }
    // As an older release sealed it: it cannot be told whether the user was revoked since.
    if (typeof mark !== 'number') throw new errors.GrantRejectedError('the code does not say when its login began')
    const proven = { identity: readIdentity(provider, identity).identity, granted: readPermissions(granted), mark }
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
