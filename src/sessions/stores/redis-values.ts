import type { Revocation, Session } from '../store.js'
import { revocationOf, sessionOf } from './row.js'

/** `version:[…]`: the version stands in front, so that a script compares it without reading the rest. */
export function encodeSession (session: Session): string {
  const { version, issuer, userId, identity, secretId, counter, arrivedAt, createdAt, lastUsedAt, expiresAt, ended } =
    session
  return `${version}:${JSON.stringify([issuer, userId, secretId, counter, arrivedAt, createdAt, lastUsedAt, expiresAt, ended ? 1 : 0, identity])}`
}

/** Null for a value that is none: its session is gone. */
export function decodeSession (id: string, value: unknown): Session | null {
  if (typeof value !== 'string') return null
  const colon = value.indexOf(':')
  const fields = listIn(value.slice(colon + 1))
  const [issuer, userId, secretId, counter, arrivedAt, createdAt, lastUsedAt, expiresAt, ended, identity] = fields
  const version = value.slice(0, colon)
  return sessionOf({
    id,
    version,
    issuer,
    userId,
    secretId,
    counter,
    arrivedAt,
    createdAt,
    lastUsedAt,
    expiresAt,
    ended: ended === 1,
    identity
  })
}

export function encodeRevocation ({ kind, issuer, id, at, expiresAt }: Revocation): string {
  return JSON.stringify([kind, issuer, id, at, expiresAt])
}

export function decodeRevocation (value: unknown): Revocation | null {
  if (typeof value !== 'string') return null
  const [kind, issuer, id, at, expiresAt] = listIn(value)
  return revocationOf({ kind, issuer, id, at, expiresAt })
}

function listIn (json: string): unknown[] {
  try {
    const value: unknown = JSON.parse(json)
    return Array.isArray(value) ? value : []
  } catch {
    return []
  }
}
