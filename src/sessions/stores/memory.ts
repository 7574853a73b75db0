import { errors } from '../../errors.js'
import { integer, open } from '../../options/values.js'
import {
  keptAfterExpiry,
  listLimit,
  revocationsKept,
  type ListedSession,
  type Revocation,
  type Session,
  type SessionStore
} from '../store.js'

/** Entries of the list of revocations that one call hands out. */
const pageSize = 1000

export interface MemoryStoreOptions {
  /** Sessions, spent keys, and kept values, held at most: beyond that logins are answered 503. @default 100000 */
  limit?: number
}

/**
 * Sessions in the memory of this process: for one server, for development and for tests.
 * They are gone when it ends. Servers of one process may share one store.
 *
 * @example
 * ```ts
 * const store = memoryStore({ limit: 10_000 })
 * ```
 * @throws errors.OptionInvalidError
 */
export function memoryStore (options: MemoryStoreOptions = {}): SessionStore {
  const limit = open(options, 'memoryStore', ['limit']).read('limit', integer(1, Number.MAX_SAFE_INTEGER), 100_000)
  const sessions = new Map<string, Session>()
  const ofUser = createIndex(({ userId }) => userId)
  const ofIdentity = createIndex(({ identityKey }) => identityKey)
  const ofProviderSession = createIndex(({ providerSession }) => providerSession)
  const indexes = [ofUser, ofIdentity, ofProviderSession]
  const spent = new Map<string, number>()
  const kept = new Map<string, { readonly value: string, readonly expiresAt: number }>()
  const listeners = new Set<() => void>()
  let log: Revocation[] = []
  let dropped = 0

  function write (session: Session): void {
    const before = sessions.get(session.id)
    sessions.set(session.id, Object.freeze({ ...session }))
    for (const index of indexes) index.move(session.id, before, session)
  }

  function listed (ids: readonly string[], most = listLimit): ListedSession[] {
    const all = ids.flatMap(id => sessions.get(id) ?? []).sort((one, other) => one.createdAt - other.createdAt)
    return all.slice(0, most).map(({ identity, ...listed }) => listed)
  }

  function removeIf (isDue: (session: Session) => boolean): void {
    for (const session of sessions.values()) {
      if (!isDue(session)) continue
      for (const index of indexes) index.move(session.id, session, undefined)
      sessions.delete(session.id)
    }
  }

  // What has ended makes room first; a session that goes on never does.
  function makeRoom (now: number): void {
    if (sessions.size < limit) return
    removeIf(session => session.ended || session.expiresAt <= now)
    if (sessions.size >= limit) throw new errors.StoreUnavailableError(`memoryStore is full: ${limit} sessions`)
  }

  async function spend (keys: readonly { key: string, expiresAt: number }[]): Promise<boolean> {
    const now = Date.now()
    if (keys.some(({ key }) => (spent.get(key) ?? 0) > now)) return false
    if (spent.size + keys.length > limit) forgetSpent(now)
    if (spent.size + keys.length > limit) {
      throw new errors.StoreUnavailableError(`memoryStore is full: ${limit} spent keys`)
    }
    for (const { key, expiresAt } of keys) spent.set(key, expiresAt)
    return true
  }

  function forgetSpent (now: number): void {
    for (const [key, expiresAt] of spent) if (expiresAt <= now) spent.delete(key)
  }

  function forgetKept (now: number): void {
    for (const [key, { expiresAt }] of kept) if (expiresAt <= now) kept.delete(key)
  }

  function append (revocations: readonly Revocation[]): void {
    if (revocations.length === 0) return
    if (log.length + revocations.length > limit * 2) trimLog(Date.now())
    log.push(...revocations)
    for (const wake of listeners) wake()
  }

  function firstAfter (since: number): number {
    const first = log.findIndex(({ expiresAt }) => expiresAt > since)
    return first === -1 ? log.length : first
  }

  // A position beyond the end was one in another list.
  function positionOf (cursor: string): number {
    const position = Number(cursor) - dropped
    return position >= 0 && position <= log.length ? position : 0
  }

  function trimLog (now: number): void {
    // One that ends old sessions is as old as they are, and needed until the last token has expired.
    const kept = log.filter(({ at, expiresAt }) => at > now - revocationsKept || expiresAt > now).slice(-limit)
    dropped += log.length - kept.length
    log = kept
  }

  return {
    async create (session) {
      makeRoom(Date.now())
      if (sessions.has(session.id)) throw new errors.StoreUnavailableError('a session of this id exists')
      write(session)
    },
    async read (id) {
      return sessions.get(id) ?? null
    },
    async replace (session) {
      if (sessions.get(session.id)?.version !== session.version - 1) return false
      write(session)
      return true
    },
    list: async (issuer, userId, most) => listed(ofUser.find(keyOf(issuer, userId)), most),
    listByIdentity: async (issuer, identityKey, most) => listed(ofIdentity.find(keyOf(issuer, identityKey)), most),
    listByProviderSession: async (issuer, providerSession, most) =>
      listed(ofProviderSession.find(keyOf(issuer, providerSession)), most),
    async end (ids, revocations) {
      append(revocations)
      for (const session of ids.map(id => sessions.get(id))) {
        if (session === undefined || session.ended) continue
        write({ ...session, ended: true, identity: '', version: session.version + 1 })
      }
    },
    revoke: async revocations => append(revocations),
    async revocations (cursor, since) {
      const from = cursor === null ? firstAfter(since) : positionOf(cursor)
      const page = log.slice(from, from + pageSize)
      return { revocations: page, cursor: String(dropped + from + page.length) }
    },
    spend,
    async keep (key, value, expiresAt) {
      if (kept.size >= limit) forgetKept(Date.now())
      if (kept.size >= limit) throw new errors.StoreUnavailableError(`memoryStore is full: ${limit} kept values`)
      kept.set(key, { value, expiresAt })
    },
    async take (key) {
      const found = kept.get(key)
      kept.delete(key)
      return found !== undefined && found.expiresAt > Date.now() ? found.value : null
    },
    async sweep (now) {
      removeIf(({ expiresAt }) => expiresAt + keptAfterExpiry <= now)
      forgetSpent(now)
      forgetKept(now)
      trimLog(now)
    },
    subscribe (wake) {
      listeners.add(wake)
      return () => { listeners.delete(wake) }
    }
  }
}

/** Ids of the sessions that go on, by one of the things that they are listed by. */
function createIndex (nameIn: (session: Session) => string | null) {
  const found = new Map<string, Set<string>>()
  const keyAt = (session: Session | undefined): string | null =>
    session === undefined || session.ended ? null : keyOf(session.issuer, nameIn(session))
  // A refresh, as nearly every write is one, moves nothing: no keys are written for it.
  const stays = (before: Session, after: Session): boolean =>
    before.ended === after.ended && before.issuer === after.issuer && nameIn(before) === nameIn(after)

  function move (id: string, before: Session | undefined, after: Session | undefined): void {
    if (before !== undefined && after !== undefined && stays(before, after)) return
    const [from, to] = [keyAt(before), keyAt(after)]
    if (from === to) return
    if (from !== null) remove(id, from)
    if (to !== null) found.set(to, (found.get(to) ?? new Set()).add(id))
  }

  function remove (id: string, key: string): void {
    const ids = found.get(key)
    ids?.delete(id)
    if (ids?.size === 0) found.delete(key)
  }

  return { move, find: (key: string | null) => [...(key === null ? undefined : found.get(key)) ?? []] }
}

// They are free text: the pair is written so that no other pair reads the same.
function keyOf (issuer: string, name: string | null): string | null {
  return name === null ? null : JSON.stringify([issuer, name])
}
