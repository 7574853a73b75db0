import type { ListedSession, Revocation, RevocationKind, Session } from '../store.js'

/** What a database holds, member by member, before it is checked. */
export type Fields = Readonly<Record<string, unknown>>

/**
 * A session out of what a database holds, checked member by member; null for anything else.
 * Members that a newer server wrote are kept as they are, so that this one does not undo them.
 */
export function sessionOf (fields: Fields): Session | null {
  const { id, issuer, userId, identity, secretId, ended, clientId, jkt } = fields
  const [counter, createdAt, lastUsedAt, expiresAt, version] =
    [fields.counter, fields.createdAt, fields.lastUsedAt, fields.expiresAt, fields.version].map(integerOf)
  const arrivedAt = fields.arrivedAt === null ? null : integerOf(fields.arrivedAt)
  if (typeof id !== 'string' || typeof issuer !== 'string' || typeof userId !== 'string') return null
  if (typeof identity !== 'string' || typeof secretId !== 'string' || typeof ended !== 'boolean') return null
  if (clientId !== undefined && typeof clientId !== 'string') return null
  if (jkt !== undefined && typeof jkt !== 'string') return null
  if (counter === undefined || createdAt === undefined || lastUsedAt === undefined) return null
  if (expiresAt === undefined || version === undefined || arrivedAt === undefined) return null
  const texts = { id, issuer, userId, identity, secretId }
  const keys = { identityKey: textOrNull(fields.identityKey), providerSession: textOrNull(fields.providerSession) }
  return { ...fields, ...texts, ...keys, counter, arrivedAt, createdAt, lastUsedAt, expiresAt, ended, version }
}

/** The same without its identity. */
export function listedOf (fields: Fields): ListedSession | null {
  const session = sessionOf({ ...fields, identity: '' })
  if (session === null) return null
  const { identity, ...listed } = session
  return listed
}

export function revocationOf (fields: Fields): Revocation | null {
  const { kind, issuer, id } = fields
  const [at, expiresAt] = [fields.at, fields.expiresAt].map(integerOf)
  if (!isKind(kind)) return null
  if (typeof issuer !== 'string' || typeof id !== 'string' || at === undefined || expiresAt === undefined) return null
  return { kind, issuer, id, at, expiresAt }
}

const kinds: readonly unknown[] =
  ['session', 'user', 'sessions', 'identity', 'token', 'provider-session'] satisfies readonly RevocationKind[]

function isKind (value: unknown): value is RevocationKind {
  return kinds.includes(value)
}

/** `[kind, issuer, id, at, expiresAt]` as JSON. */
export function encodeRevocation ({ kind, issuer, id, at, expiresAt }: Revocation): string {
  return JSON.stringify([kind, issuer, id, at, expiresAt])
}

export function decodeRevocation (json: unknown): Revocation | null {
  const [kind, issuer, id, at, expiresAt] = listOf(decoded(json))
  return revocationOf({ kind, issuer, id, at, expiresAt })
}

/** JSON of a record; empty where it is something else. */
export function decodeFields (json: unknown): Fields {
  return recordOf(decoded(json))
}

/** The members of a session as Redis keeps them: a list, and last a record of those that came later. */
export function encodeMembers (session: Session): string {
  const { id, version, ended, identity, issuer, userId, identityKey, providerSession, ...others } = session
  const { secretId, counter, arrivedAt, createdAt, lastUsedAt, expiresAt, ...newer } = others
  const later = { ...keysIn(session), ...newer }
  const list = [issuer, userId, secretId, counter, arrivedAt, createdAt, lastUsedAt, expiresAt]
  return JSON.stringify(Object.keys(later).length === 0 ? list : [...list, later])
}

/** How they begin in the record; empty where there are none. No text in JSON reads the same. */
export function encodeKeys (session: Session): string {
  return JSON.stringify(keysIn(session)).slice(1, -1)
}

function keysIn ({ identityKey, providerSession }: Session): object {
  return { ...(identityKey !== null && { identityKey }), ...(providerSession !== null && { providerSession }) }
}

// `version:ended:indexed until:members`, a line feed, the identity. Before, it was `version:members`, and the members
// were followed by whether it had ended, and by the identity.
const valueShape = /^(\d+):(?:([01]):\d+:)?(\[[^\n]*\])(?:\n(.*))?$/s

/** The members of a session out of its value in Redis, whose identity may have been left out. */
export function fieldsIn (id: string, value: unknown): Fields {
  const [, version, state, members, rest] = valueShape.exec(String(value)) ?? []
  const [issuer, userId, secretId, counter, arrivedAt, createdAt, lastUsedAt, expiresAt, last, identity = rest] =
    listOf(decoded(members))
  const ended = state === undefined ? last === 1 : state === '1'
  const times = { arrivedAt, createdAt, lastUsedAt, expiresAt }
  return { ...recordOf(last), id, issuer, userId, identity, secretId, counter, ...times, ended, version }
}

/** What a session is listed by. */
export type ListedBy = Pick<Session, 'issuer' | 'userId' | 'identityKey' | 'providerSession'>

/** What the members say that the session is listed by; null where they are none. */
export function listedByIn (members: unknown): ListedBy | null {
  const [issuer, userId, , , , , , , later] = listOf(decoded(members))
  if (typeof issuer !== 'string' || typeof userId !== 'string') return null
  const { identityKey, providerSession } = recordOf(later)
  return { issuer, userId, identityKey: textOrNull(identityKey), providerSession: textOrNull(providerSession) }
}

/** A safe integer in any of its spellings: those of 64 bits come as strings (pg), numbers (PGlite) or bigints. */
export function integerOf (value: unknown): number | undefined {
  if (typeof value !== 'number' && typeof value !== 'bigint' && (typeof value !== 'string' || value === '')) {
    return undefined
  }
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : undefined
}

/** Anything as a record of its members, so that they can be looked at; empty where it has none. */
export function recordOf (value: unknown): Fields {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}

export function listOf (value: unknown): unknown[] {
  return Array.isArray(value) ? value : []
}

function textOrNull (value: unknown): string | null {
  return typeof value === 'string' ? value : null
}

function decoded (json: unknown): unknown {
  if (typeof json !== 'string') return null
  try {
    return JSON.parse(json)
  } catch {
    return null
  }
}
