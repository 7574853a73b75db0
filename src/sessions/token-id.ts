import { randomBytes } from 'node:crypto'

const TOKEN_ID = /^[A-Za-z0-9_-]{22}\.(0|[1-9][0-9]{0,14})$/

/**
 * A `jti` that says with which refresh token its access token was handed out (RFC 7519, 4.1.7: any unique string).
 * A server that sees the access token knows from that alone that the refresh token arrived as well.
 */
export function tokenIdFor (counter: number): string {
  return `${randomBytes(16).toString('base64url')}.${counter}`
}

/** The counter in such a `jti`, or null for a token that came with no refresh token. */
export function counterOf (tokenId: string): number | null {
  const counter = TOKEN_ID.exec(tokenId)?.[1]
  return counter === undefined ? null : Number(counter)
}
