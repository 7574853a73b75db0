import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto'
import { errors } from '../errors.js'

// session id (16) + counter (6) + MAC (32): 54 bytes are 72 characters of base64url without a spare bit,
// so each token has one spelling.
const ID_BYTES = 16
const SIGNED_BYTES = ID_BYTES + 6
const SHAPE = /^[A-Za-z0-9_-]{72}$/

/** What a refresh token says, proven by its MAC. */
export interface RefreshTokenContent {
  readonly sessionId: string
  /** 0 at login; each successor is one more. */
  readonly counter: number
  /** The secret that made it. */
  readonly secretId: string
}

/** Makes and reads refresh tokens. Deterministic: callers that race make the same successor. */
export interface RefreshTokens {
  /** The secret of new sessions; empty on a server that has none and only knows of revocations. */
  readonly secretId: string
  /** @throws errors.RefreshInvalidError when this server does not hold the secret */
  make (content: RefreshTokenContent): string
  /** @throws errors.RefreshInvalidError for anything that none of the secrets made */
  read (token: string): RefreshTokenContent
}

interface Secret { readonly id: string, readonly key: Buffer }

/**
 * @param secrets raw key material: the first makes, all verify
 * @param issuer binds the tokens to one application, should two share a secret
 */
export function createRefreshTokens (secrets: readonly (string | Uint8Array)[], issuer: string): RefreshTokens {
  const all = secrets.map(secret => deriveSecret(secret, issuer))

  function make (content: RefreshTokenContent): string {
    const secret = all.find(({ id }) => id === content.secretId)
    if (secret === undefined) {
      throw new errors.RefreshInvalidError('this server does not hold the secret of the session')
    }
    const signed = Buffer.alloc(SIGNED_BYTES)
    signed.write(content.sessionId, 'base64url')
    signed.writeUIntBE(content.counter, ID_BYTES, 6)
    return Buffer.concat([signed, macOf(signed, secret)]).toString('base64url')
  }

  function read (token: string): RefreshTokenContent {
    if (!SHAPE.test(token)) throw new errors.RefreshInvalidError('not of the shape of a refresh token')
    const bytes = Buffer.from(token, 'base64url')
    const signed = bytes.subarray(0, SIGNED_BYTES)
    const mac = bytes.subarray(SIGNED_BYTES)
    const secret = all.find(candidate => timingSafeEqual(macOf(signed, candidate), mac))
    if (secret === undefined) throw new errors.RefreshInvalidError('no secret of this server made it')
    return {
      sessionId: signed.toString('base64url', 0, ID_BYTES),
      counter: signed.readUIntBE(ID_BYTES, 6),
      secretId: secret.id
    }
  }

  return { secretId: all[0]?.id ?? '', make, read }
}

// RFC 5869: `info` separates this use of the material from all others; the id is a second, independent output.
function deriveSecret (material: string | Uint8Array, issuer: string): Secret {
  const derive = (use: string, length: number): Buffer =>
    Buffer.from(hkdfSync('sha256', material, '', `fastify-token-exchange ${use} ${issuer}`, length))
  return { id: derive('refresh-token id', 6).toString('base64url'), key: derive('refresh-token', 32) }
}

function macOf (signed: Uint8Array, secret: Secret): Buffer {
  return createHmac('sha256', secret.key).update(signed).digest()
}
