import type { ListedSession, Revocation, Session } from '../store.js'

/**
 * A session out of what a database holds, checked member by member; null for anything else.
 * 64-bit integers come as strings (pg), numbers (PGlite) or bigints.
 */
export function sessionOf (row: Readonly<Record<string, unknown>>): Session | null {
  const { id, issuer, userId, identity, secretId, ended } = row
  const [counter, createdAt, lastUsedAt, expiresAt, version] =
    [row.counter, row.createdAt, row.lastUsedAt, row.expiresAt, row.version].map(integerOf)
  const arrivedAt = row.arrivedAt === null ? null : integerOf(row.arrivedAt)
  if (typeof id !== 'string' || typeof issuer !== 'string' || typeof userId !== 'string') return null
  if (typeof identity !== 'string' || typeof secretId !== 'string' || typeof ended !== 'boolean') return null
  if (counter === undefined || createdAt === undefined || lastUsedAt === undefined) return null
  if (expiresAt === undefined || version === undefined || arrivedAt === undefined) return null
  return {
    id,
    issuer,
    userId,
    identity,
    secretId,
    counter,
    arrivedAt,
    createdAt,
    lastUsedAt,
    expiresAt,
    ended,
    version
  }
}

/** The same without its identity. */
export function listedOf (row: Readonly<Record<string, unknown>>): ListedSession | null {
  const session = sessionOf({ ...row, identity: '' })
  if (session === null) return null
  const { identity, ...listed } = session
  return listed
}

/** A revocation, checked likewise. */
export function revocationOf (row: Readonly<Record<string, unknown>>): Revocation | null {
  const { kind, issuer, id } = row
  const [at, expiresAt] = [row.at, row.expiresAt].map(integerOf)
  if (kind !== 'session' && kind !== 'user' && kind !== 'token') return null
  if (typeof issuer !== 'string' || typeof id !== 'string' || at === undefined || expiresAt === undefined) return null
  return { kind, issuer, id, at, expiresAt }
}

/** A safe integer in any of its spellings. */
export function integerOf (value: unknown): number | undefined {
  if (typeof value !== 'number' && typeof value !== 'bigint' && (typeof value !== 'string' || value === '')) {
    return undefined
  }
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : undefined
}

/** Anything as a record of its members, so that they can be looked at; empty where it has none. */
export function recordOf (value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}
