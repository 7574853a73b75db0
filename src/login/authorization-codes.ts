import { randomBytes } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import { codeOf, errors, type Check } from '../errors.js'
import { readStamp, writeStamp, type KeyMaterial } from '../key-material.js'
import { isObject } from '../strict-json.js'
import type { AskedCode } from './authorization-request.js'
import type { Seals } from './seals.js'
import { readIdentity, type Vouched } from './verified-identity.js'

/** Seconds. RFC 6749, 4.1.2: at most ten minutes. */
const lifetime = 60

/** What a code is bound to (RFC 6749, 4.1.3; RFC 7636, 4.6; RFC 9449, 10). */
export type CodeBinding = Omit<AskedCode, 'state'>

/** A place for what belongs to a code, until it is redeemed. */
export interface Shelf {
  /** @param milliseconds that it waits there */
  keep (key: string, value: string, milliseconds: number): Promise<void>
  /** Once: whoever comes later gets null. */
  take (key: string): Promise<string | null>
}

export interface CodeParts {
  material: KeyMaterial
  seals: Seals
  shelf: Shelf
  /** Ends the session that a code began, when the code comes again. */
  endSession (sessionId: string, request: FastifyRequest): Promise<void>
}

/** What a code stands for. */
export interface Redemption {
  vouched: Vouched
  /**
   * The last step of the login that the code is redeemed for.
   * @throws CodeInvalid where the code has come again meanwhile
   */
  conclude (sessionId: string | null): Promise<void>
}

/**
 * The codes of this server as an authorization server. A code proves by itself what it is bound to and how old it is,
 * so that a wrong one touches nothing; what it stands for waits on the shelf.
 */
export interface AuthorizationCodes {
  make (binding: CodeBinding, vouched: Vouched): Promise<string>
  /**
   * @param binding as the client shows it: its key too, where it has proven one
   * @throws CodeInvalid; and what `use` throws: after an outage the code is good again
   */
  redeem<T> (
    code: string,
    binding: CodeBinding,
    request: FastifyRequest,
    use: (redemption: Redemption) => Promise<T>
  ): Promise<T>
}

/** A code that is none, or no longer, or another client's: `invalid_grant` (RFC 6749, 5.2). */
export class CodeInvalid extends errors.GrantRejectedError {
  // For events: once a login has begun, it is refused only because its code has come a second time.
  readonly check: Check = 'replay'
}

export function createAuthorizationCodes ({ material, seals, shelf, endSession }: CodeParts): AuthorizationCodes {
  const keys = material.keysFor('authorization code')
  // What could not be put back while the store was down. Of a code that failed here, so a retry finds it here.
  const returned = new Map<string, { value: string, expiresAt: number }>()

  async function make (binding: CodeBinding, { identity, providerTokens, mark }: Vouched): Promise<string> {
    const [key] = keys
    if (key === undefined) throw new errors.OptionInvalidError('keys holds none that can sign')
    const number = Math.floor(Date.now() / 1000) + lifetime
    const id = randomBytes(16)
    const value = await seals.seal('kept-login', { identity, providerTokens, mark }, lifetime)
    await shelf.keep(nameOf('code', id), value, lifetime * 1000)
    return writeStamp({ id, number }, key, 20, textOf(binding))
  }

  async function redeem<T> (
    code: string,
    binding: CodeBinding,
    request: FastifyRequest,
    use: (redemption: Redemption) => Promise<T>
  ): Promise<T> {
    const { id, expiresAt } = read(code, binding)
    const value = await take(nameOf('code', id))
    if (value === null) return await refuseSecondUse(id, expiresAt, request)
    try {
      const vouched = await open(value)
      return await use({ vouched, conclude: sessionId => conclude(id, sessionId, expiresAt) })
    } catch (thrown) {
      if (isOutage(thrown)) await putBack(nameOf('code', id), value, expiresAt)
      throw thrown
    }
  }

  function read (code: string, binding: CodeBinding): { id: Buffer, expiresAt: number } {
    // Whoever has a key redeems what is bound to none.
    const stamp = stampOf(code, { ...binding, jkt: null }) ?? stampOf(code, binding)
    if (stamp === null) throw new CodeInvalid('code, client_id, redirect_uri, code_verifier or the key of the proof')
    const expiresAt = stamp.number * 1000
    if (expiresAt <= Date.now()) throw new CodeInvalid('the code has expired')
    return { id: stamp.id, expiresAt }
  }

  function stampOf (code: string, binding: CodeBinding): ReturnType<typeof readStamp> {
    return readStamp(code, keys, 20, textOf(binding))
  }

  async function open (value: string): Promise<Vouched> {
    const { identity, providerTokens, mark } = await seals.open('kept-login', value)
    if (!isObject(identity) || typeof mark !== 'number') throw new CodeInvalid('what was kept cannot be read')
    return { ...readIdentity(String(identity.provider), { ...identity, providerTokens }), mark }
  }

  // Both write first and look second, so that one of them sees the other, however close they come: either this login
  // finds that its code has come again, or the other one finds the session (RFC 6749, 4.1.2).
  async function conclude (id: Buffer, sessionId: string | null, expiresAt: number): Promise<void> {
    if (sessionId === null) return
    await shelf.keep(nameOf('session', id), sessionId, leftUntil(expiresAt))
    if (await shelf.take(nameOf('again', id)) !== null) throw new CodeInvalid('the code has come twice')
  }

  async function refuseSecondUse (id: Buffer, expiresAt: number, request: FastifyRequest): Promise<never> {
    await shelf.keep(nameOf('again', id), '1', leftUntil(expiresAt))
    const sessionId = await shelf.take(nameOf('session', id))
    if (sessionId !== null) await endFirst(id, sessionId, expiresAt, request)
    throw new CodeInvalid('the code was used before')
  }

  async function endFirst (
    id: Buffer,
    sessionId: string,
    expiresAt: number,
    request: FastifyRequest
  ): Promise<void> {
    try {
      await endSession(sessionId, request)
    } catch (thrown) {
      await putBack(nameOf('session', id), sessionId, expiresAt)
      throw thrown
    }
  }

  async function take (key: string): Promise<string | null> {
    const here = returned.get(key)
    if (here === undefined) return await shelf.take(key)
    returned.delete(key)
    return here.value
  }

  async function putBack (key: string, value: string, expiresAt: number): Promise<void> {
    try {
      await shelf.keep(key, value, leftUntil(expiresAt))
    } catch {
      const now = Date.now()
      for (const [old, kept] of returned) if (kept.expiresAt <= now) returned.delete(old)
      returned.set(key, { value, expiresAt })
    }
  }

  return { make, redeem }
}

function leftUntil (expiresAt: number): number {
  return Math.max(1000, expiresAt - Date.now())
}

function textOf ({ clientId, redirectUri, challenge, jkt }: CodeBinding): string {
  return JSON.stringify([clientId, redirectUri, challenge, ...(jkt === null ? [] : [jkt])])
}

function nameOf (kind: 'code' | 'session' | 'again', id: Buffer): string {
  return `${kind} ${id.toString('base64url')}`
}

// What the client may try again with: nobody has said no.
function isOutage (thrown: unknown): boolean {
  const refusals: ReadonlyArray<string | undefined> = [errors.AccessDeniedError.code, errors.GrantRejectedError.code]
  return !refusals.includes(codeOf(thrown))
}
