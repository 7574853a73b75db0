import type { Revocations } from './revocations.js'
import type { ListedSession, SessionStore } from './store.js'
import type { StoreCalls } from './store-calls.js'

/** Whose sessions end together. */
export interface Owner { readonly kind: 'user' | 'identity', readonly id: string }

/** Rows that have to end behind the requests that said so: their tokens are refused already. */
export interface EndsBehind {
  /** Those that the owner began until then. Milliseconds. */
  leave (owner: Owner, until: number): void
  /** All those have ended, unless later ones have to end meanwhile. */
  done (owner: Owner, until: number): void
  /** The store may have listed these, or not: it went away meanwhile. */
  brokenOff (sessionIds: readonly string[]): void
  /** To be called while the store answers; returns at once. */
  goOn (): void
  /** Waits for that. Does not reject. */
  settled (): Promise<void>
  close (): void
}

export interface EndsBehindParts {
  readonly issuer: string
  readonly calls: StoreCalls
  readonly revocations: Pick<Revocations, 'isListed' | 'leaving'>
}

/** Sessions that are listed, and ended, in one call of the store. */
export const chunk = 1000
/** Milliseconds for a call that no request waits for: a process that is busy reads its sockets late. */
const patience = 10_000
/** Sessions whose end was broken off, and how often the list was read since then without naming them. */
const brokenOffLimit = 10_000
const rounds = 100

export function createEndsBehind ({ issuer, calls, revocations }: EndsBehindParts): EndsBehind {
  const waiting = { user: new Map<string, number>(), identity: new Map<string, number>() }
  const unknown = new Map<string, number>()
  let working: Promise<void> | undefined
  let closed = false

  function goOn (): void {
    if (working !== undefined || closed) return
    working = work().catch(() => {}).finally(() => { working = undefined })
  }

  // What an outage breaks off goes on with a later poll. What is left undone by a process that has gone is done by
  // all others, when they take its entry from their list.
  async function work (): Promise<void> {
    await endAll('user', waiting.user)
    await endAll('identity', waiting.identity)
    await endBrokenOff()
    const { sessions, users, identities } = revocations.leaving
    for (const ids of chunksOf([...sessions])) {
      await endRows(ids)
      for (const id of ids) sessions.delete(id)
    }
    await endAll('user', users)
    await endAll('identity', identities)
  }

  async function endAll (kind: Owner['kind'], owners: Map<string, number>): Promise<void> {
    for (const [id, until] of owners) {
      // Behind all others first: one that fails must not keep them from their turn for ever.
      owners.delete(id)
      owners.set(id, until)
      await endUntil({ kind, id }, until)
      if (owners.get(id) === until) owners.delete(id)
    }
  }

  async function endUntil (owner: Owner, until: number): Promise<void> {
    for (let before: string | undefined, isMore = true; isMore;) {
      const listed = await calls.open(patience)(listOf(issuer, owner))
      const ids = idsOf(listed.filter(({ createdAt }) => createdAt <= until))
      // The same again: a store that lists what it has ended must not keep this going for ever.
      if (ids[0] === undefined || ids[0] === before) return
      await endRows(ids)
      before = ids[0]
      isMore = ids.length === chunk
    }
  }

  // A store that goes away may have listed a session without saying so. Its tokens are refused then, the one too that
  // would ask again: its row has to end without that.
  async function endBrokenOff (): Promise<void> {
    const listed = [...unknown.keys()].filter(revocations.isListed).slice(0, chunk)
    for (const [id, round] of unknown) {
      if (round < rounds) unknown.set(id, round + 1)
      else unknown.delete(id)
    }
    if (listed.length === 0) return
    await endRows(listed)
    for (const id of listed) unknown.delete(id)
  }

  async function endRows (ids: readonly string[]): Promise<void> {
    await calls.open(patience)(store => store.end(ids, []))
  }

  return {
    leave ({ kind, id }, until) { waiting[kind].set(id, Math.max(until, waiting[kind].get(id) ?? 0)) },
    done ({ kind, id }, until) { if (waiting[kind].get(id) === until) waiting[kind].delete(id) },
    brokenOff (ids) { for (const id of ids) if (unknown.size < brokenOffLimit) unknown.set(id, 0) },
    goOn,
    settled: async () => await working,
    close: () => { closed = true }
  }
}

/** The oldest sessions of an owner, a chunk of them. */
export function listOf (issuer: string, { kind, id }: Owner) {
  return (store: SessionStore): Promise<readonly ListedSession[]> =>
    kind === 'user' ? store.list(issuer, id, chunk) : store.listByIdentity(issuer, id, chunk)
}

export function idsOf (sessions: readonly ListedSession[]): string[] {
  return sessions.map(({ id }) => id)
}

export function chunksOf (ids: readonly string[]): string[][] {
  return Array.from({ length: Math.ceil(ids.length / chunk) }, (_, n) => ids.slice(n * chunk, (n + 1) * chunk))
}
