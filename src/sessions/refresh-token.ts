import { randomFillSync } from 'node:crypto'
import { errors } from '../errors.js'
import { createKeyMaterial, idBytes, readStamp, writeStamp } from '../key-material.js'

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

const macBytes = 32

/**
 * @param secrets raw key material: the first makes, all verify
 * @param issuer binds the tokens to one application, should two share a secret
 */
export function createRefreshTokens (secrets: readonly (string | Uint8Array)[], issuer: string): RefreshTokens {
  const material = createKeyMaterial(secrets, issuer)
  const keys = material.keysFor('refresh-token')
  const ids = material.keysFor('refresh-token id', 6).map(id => id.toString('base64url'))

  function make ({ sessionId, counter, secretId }: RefreshTokenContent): string {
    const key = keys[ids.indexOf(secretId)]
    if (key === undefined) throw new errors.RefreshInvalidError('this server does not hold the secret of the session')
    return writeStamp({ id: Buffer.from(sessionId, 'base64url'), number: counter }, key, macBytes)
  }

  function read (token: string): RefreshTokenContent {
    const stamp = readStamp(token, keys, macBytes)
    if (stamp === null) throw new errors.RefreshInvalidError('no secret of this server made it')
    const { id, number, keyIndex } = stamp
    return { sessionId: id.toString('base64url'), counter: number, secretId: ids[keyIndex] ?? '' }
  }

  return { secretId: ids[0] ?? '', make, read }
}

// Filled in one go: a call of the random generator for each token costs more than its MAC.
const random = Buffer.alloc(4096)
let randomUsed = random.length

function takeRandom (length: number): Buffer {
  if (randomUsed + length > random.length) {
    randomFillSync(random)
    randomUsed = 0
  }
  randomUsed += length
  return random.subarray(randomUsed - length, randomUsed)
}

/**
 * The id of a session that begins at `time` (milliseconds). As in RFC 9562, 5.7, its first 48 bits are that time and
 * the others are random: an access token says by its `sid` when its session began.
 */
export function sessionIdAt (time: number): string {
  const id = Buffer.from(takeRandom(idBytes))
  id.writeUIntBE(time, 0, 6)
  return id.toString('base64url')
}

/** When a session began, in milliseconds, by its id; 0 for a text that is not the id of a session. */
export function beganAt (sessionId: string): number {
  const time = Buffer.from(sessionId.slice(0, 8), 'base64url')
  return time.length === 6 ? time.readUIntBE(0, 6) : 0
}

const tokenIdShape = /^[A-Za-z0-9_-]{22}\.(0|[1-9][0-9]{0,14}|)\.(0|[1-9][0-9]{0,14})$/

/**
 * The `jti` of an access token (RFC 7519, 4.1.7: any unique string). It says which refresh token was handed out with
 * it: a client that shows the access token has received that refresh token. And it says which version the row of the
 * session had.
 *
 * @param counter of the refresh token; null where none was handed out
 */
export function tokenIdFor (counter: number | null, version: number): string {
  return `${takeRandom(16).toString('base64url')}.${counter ?? ''}.${version}`
}

/** The counter in such a `jti`, or null for a token that came with no refresh token. */
export function counterOf (tokenId: string): number | null {
  const counter = tokenIdShape.exec(tokenId)?.[1]
  return counter === undefined || counter === '' ? null : Number(counter)
}

/** The version in such a `jti`, or null for a token that has no session. */
export function versionOf (tokenId: string): number | null {
  const version = tokenIdShape.exec(tokenId)?.[2]
  return version === undefined ? null : Number(version)
}
