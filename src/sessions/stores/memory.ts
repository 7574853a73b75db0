import { errors } from '../../errors.js'
import {
  KEPT_AFTER_EXPIRY,
  REVOCATIONS_KEPT,
  type Revocation,
  type Session,
  type SessionStore
} from '../session-store.js'

const PAGE = 1000

export interface MemoryStoreOptions {
  /** Sessions, and spent keys, that are held at most: beyond that logins are answered 503. @default 100000 */
  limit?: number
}

/**
 * Sessions in the memory of this process: for one server, for development and for tests.
 * They are gone when it ends. Servers of one process may share one store.
 */
export function memoryStore ({ limit = 100_000 }: MemoryStoreOptions = {}): SessionStore {
  if (!Number.isSafeInteger(limit) || limit < 1) {
    throw new errors.OptionInvalidError('memoryStore: limit must be a whole number from 1')
  }
  const sessions = new Map<string, Session>()
  const ofUser = new Map<string, Set<string>>()
  const spent = new Map<string, number>()
  const listeners = new Set<() => void>()
  let log: Revocation[] = []
  let dropped = 0

  // A user's id is free text: the pair is written so that no other pair reads the same.
  const userKey = (issuer: string, userId: string): string => JSON.stringify([issuer, userId])

  function write (session: Session): void {
    const before = sessions.get(session.id)
    if (before !== undefined) unlink(before)
    sessions.set(session.id, Object.freeze({ ...session }))
    if (session.ended) return
    const key = userKey(session.issuer, session.userId)
    const ids = ofUser.get(key) ?? new Set()
    ofUser.set(key, ids.add(session.id))
  }

  function unlink ({ id, issuer, userId }: Session): void {
    const key = userKey(issuer, userId)
    const ids = ofUser.get(key)
    ids?.delete(id)
    if (ids?.size === 0) ofUser.delete(key)
  }

  function removeIf (isDue: (session: Session) => boolean): void {
    for (const session of sessions.values()) {
      if (!isDue(session)) continue
      unlink(session)
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

  function trimLog (now: number): void {
    const kept = log.filter(({ at }) => at > now - REVOCATIONS_KEPT).slice(-limit)
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
    async list (issuer, userId) {
      const ids = [...ofUser.get(userKey(issuer, userId)) ?? []]
      return ids.flatMap(id => sessions.get(id) ?? [])
    },
    async end (ids) {
      for (const session of ids.map(id => sessions.get(id))) {
        if (session !== undefined) write({ ...session, ended: true, identity: '', version: session.version + 1 })
      }
    },
    async revoke (revocations) {
      if (log.length + revocations.length > limit * 2) trimLog(Date.now())
      log.push(...revocations)
      for (const wake of listeners) wake()
    },
    async revocations (cursor) {
      const from = Math.max(0, Number(cursor ?? 0) - dropped)
      const page = log.slice(from, from + PAGE)
      return { revocations: page, cursor: String(dropped + from + page.length) }
    },
    spend,
    async sweep (now) {
      removeIf(({ expiresAt }) => expiresAt + KEPT_AFTER_EXPIRY <= now)
      forgetSpent(now)
      trimLog(now)
    },
    subscribe (wake) {
      listeners.add(wake)
      return () => { listeners.delete(wake) }
    }
  }
}
