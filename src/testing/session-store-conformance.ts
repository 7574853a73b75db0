import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type { Revocation, Session, SessionStore } from '../sessions/session-store.js'

/** One check, for any test runner: it rejects when the store does not keep its word. */
export interface ConformanceCheck {
  readonly name: string
  run (): Promise<void>
}

/**
 * What every `SessionStore` has to do, as checks that need no test runner of a certain kind:
 *
 * ```ts
 * for (const { name, run } of sessionStoreConformance(() => store)) test(name, run)
 * ```
 *
 * The checks make their own ids: they may run in parallel, and against a store that holds other sessions.
 * @param open the store; called once in each check
 */
export function sessionStoreConformance (open: () => SessionStore | Promise<SessionStore>): ConformanceCheck[] {
  const checks: Record<string, (store: SessionStore) => Promise<void>> = { ...ofSessions, ...ofEnds, ...ofRevocations, ...ofSpending }
  return Object.entries(checks).map(([name, check]) => ({ name, run: async () => await check(await open()) }))
}

const ISSUER = 'https://conformance.example'
const DAY = 86_400_000
const RACERS = 20

const ofSessions: Record<string, (store: SessionStore) => Promise<void>> = {
  'reads what was created, every member of it': async store => {
    const session = await created(store, { userId: 'ключ "\' {}\\', identity: '{"name":"O\'Brien \\u0000 ✓"}', arrivedAt: 1_700_000_000_123 })
    assert.deepEqual({ ...await store.read(session.id) }, session)
  },
  'reads null for an unknown id, and for what is no id at all': async store => {
    for (const id of [randomId(), '', '__proto__', "' OR 1=1 --", '*', '}{']) assert.equal(await store.read(id), null)
  },
  'refuses a second session of one id': async store => {
    const session = await created(store)
    await assert.rejects(async () => await store.create({ ...session, userId: 'thief' }))
    assert.equal((await store.read(session.id))?.userId, session.userId)
  },
  'replaces the version that was read, and no other': async store => {
    const session = await created(store)
    assert.equal(await store.replace({ ...session, counter: 1, version: 1 }), true)
    for (const version of [0, 1, 3]) assert.equal(await store.replace({ ...session, counter: 9, version }), false)
    assert.deepEqual({ ...await store.read(session.id) }, { ...session, counter: 1, version: 1 })
  },
  'replaces nothing where there is nothing': async store => {
    const session = newSession()
    assert.equal(await store.replace({ ...session, version: 1 }), false)
    assert.equal(await store.read(session.id), null)
  },
  'lets one of many callers at once replace a version': async store => {
    const session = await created(store)
    const outcomes = await Promise.all(Array.from({ length: RACERS }, (_, racer) => store.replace({ ...session, counter: racer + 1, version: 1 })))
    assert.equal(outcomes.filter(Boolean).length, 1)
    assert.equal((await store.read(session.id))?.counter, outcomes.indexOf(true) + 1)
  },
  'lists the sessions of a user, and of nobody else': async store => {
    const userId = randomId()
    const mine = [await created(store, { userId }), await created(store, { userId })]
    await created(store, { userId: `${userId}2` })
    await created(store, { userId, issuer: 'https://another.example' })
    assert.deepEqual(idsOf(await store.list(ISSUER, userId)), idsOf(mine))
    assert.deepEqual(await store.list(ISSUER, randomId()), [])
  },
  'lists a session under the user that it was given last': async store => {
    const session = await created(store)
    const userId = randomId()
    await store.replace({ ...session, userId, version: 1 })
    assert.deepEqual(idsOf(await store.list(ISSUER, userId)), [session.id])
    assert.deepEqual(await store.list(ISSUER, session.userId), [])
  }
}

const ofEnds: Record<string, (store: SessionStore) => Promise<void>> = {
  'ends the sessions that were named, whatever their version': async store => {
    const session = await created(store)
    const other = await created(store, { userId: session.userId })
    await store.replace({ ...session, version: 1 })
    await store.end([session.id, randomId()])
    assert.equal((await store.read(session.id))?.ended, true)
    assert.deepEqual(idsOf(await store.list(ISSUER, session.userId)), [other.id])
  },
  'ends a session twice without complaint': async store => {
    const session = await created(store)
    await store.end([session.id])
    await store.end([session.id])
    assert.equal((await store.read(session.id))?.ended, true)
  },
  'does not bring an ended session back to life': async store => {
    const session = await created(store)
    await store.end([session.id])
    assert.equal(await store.replace({ ...session, counter: 1, version: 1 }), false)
    assert.equal((await store.read(session.id))?.ended, true)
  },
  'ends a session that is being replaced at the same time': async store => {
    const session = await created(store)
    await Promise.all([store.end([session.id]), ...Array.from({ length: RACERS }, () => store.replace({ ...session, counter: 1, version: 1 }))])
    assert.equal((await store.read(session.id))?.ended, true)
  },
  'keeps an expired session for a day, so that its tokens are told why': async store => {
    const session = await created(store, { expiresAt: Date.now() - 1000 })
    await store.sweep(Date.now())
    assert.equal((await store.read(session.id))?.id, session.id)
  }
}

const ofRevocations: Record<string, (store: SessionStore) => Promise<void>> = {
  'hands out revocations in order, each once, from the beginning or from a cursor': async store => {
    const start = await lastCursor(store)
    const all = Array.from({ length: 5 }, () => newRevocation())
    await store.revoke(all.slice(0, 2))
    await store.revoke(all.slice(2))
    const { found, cursor } = await revocationsAfter(store, start)
    assert.deepEqual(found.filter(({ id }) => all.some(mine => mine.id === id)), all)
    const { found: later } = await revocationsAfter(store, cursor)
    assert.deepEqual(later.filter(({ id }) => all.some(mine => mine.id === id)), [])
    const { found: again } = await revocationsAfter(store, null)
    assert.deepEqual(again.filter(({ id }) => all.some(mine => mine.id === id)), all)
  },
  'loses no revocation of writers at once': async store => {
    let cursor = await lastCursor(store)
    const all = Array.from({ length: RACERS }, () => newRevocation())
    const found: Revocation[] = []
    const writing = Promise.all(all.map(revocation => store.revoke([revocation])))
    for (let isWriting = true, last = false; !last;) {
      last = !isWriting
      const page = await revocationsAfter(store, cursor)
      found.push(...page.found)
      cursor = page.cursor
      isWriting = await Promise.race([writing.then(() => false), new Promise<boolean>(resolve => setImmediate(() => resolve(true)))])
    }
    await writing
    assert.deepEqual(idsOf(found.filter(({ id }) => all.some(mine => mine.id === id))), idsOf(all))
  }
}

const ofSpending: Record<string, (store: SessionStore) => Promise<void>> = {
  'spends a key once': async store => {
    const key = { key: `nonce ${randomId()}`, expiresAt: Date.now() + DAY }
    assert.equal(await store.spend([key]), true)
    assert.equal(await store.spend([key]), false)
  },
  'spends all keys or none': async store => {
    const [first, second, third] = [newKey(), newKey(), newKey()]
    assert.equal(await store.spend([first]), true)
    assert.equal(await store.spend([second, first, third]), false)
    assert.equal(await store.spend([second, third]), true)
  },
  'spends nothing for nothing': async store => {
    assert.equal(await store.spend([]), true)
  },
  'lets one of many callers at once spend a key': async store => {
    const [shared, own] = [newKey(), newKey()]
    const outcomes = await Promise.all(Array.from({ length: RACERS }, () => store.spend([own, shared])))
    assert.equal(outcomes.filter(Boolean).length, 1)
  }
}

function newSession (different: Partial<Session> = {}): Session {
  const now = Date.now()
  const identity = JSON.stringify({ provider: 'conformance', subject: '1', claims: {} })
  const counted = { counter: 0, arrivedAt: null, ended: false, version: 0 }
  const timed = { createdAt: now, lastUsedAt: now, expiresAt: now + 30 * DAY }
  return { id: randomId(), issuer: ISSUER, userId: randomId(), identity, secretId: 'secret', ...counted, ...timed, ...different }
}

async function created (store: SessionStore, different: Partial<Session> = {}): Promise<Session> {
  const session = newSession(different)
  await store.create(session)
  return session
}

function newRevocation (): Revocation {
  const at = Date.now()
  return { kind: 'session', issuer: ISSUER, id: randomId(), at, expiresAt: at + DAY }
}

function newKey (): { key: string, expiresAt: number } {
  return { key: `key ${randomId()}`, expiresAt: Date.now() + DAY }
}

async function revocationsAfter (store: SessionStore, cursor: string | null): Promise<{ found: Revocation[], cursor: string | null }> {
  const found: Revocation[] = []
  for (let page = await store.revocations(cursor); page.revocations.length > 0; page = await store.revocations(cursor)) {
    found.push(...page.revocations)
    cursor = page.cursor
  }
  return { found, cursor }
}

async function lastCursor (store: SessionStore): Promise<string | null> {
  return (await revocationsAfter(store, null)).cursor
}

function idsOf (all: readonly { id: string }[]): string[] {
  return all.map(({ id }) => id).sort()
}

function randomId (): string {
  return randomBytes(16).toString('base64url')
}
