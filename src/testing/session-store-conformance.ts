import assert from 'node:assert/strict'
import type { Revocation, SessionStore } from '../sessions/store.js'
import { ofEnds, ofIdentities, ofSessions } from './session-store-rows.js'
import {
  idsOf,
  lastCursor,
  newKey,
  newRevocation,
  racers,
  revocationsAfter,
  type StoreChecks
} from './session-store-samples.js'

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
  const checks: StoreChecks = {
    ...ofSessions,
    ...ofIdentities,
    ...ofEnds,
    ...ofRevocations,
    ...ofSpending,
    ...ofKeeping
  }
  return Object.entries(checks).map(([name, check]) => ({ name, run: async () => await check(await open()) }))
}

/** The list of revocations, which every server follows. */
const ofRevocations: StoreChecks = {
  'keeps one about times long past until it has expired, whatever is swept': async store => {
    const start = await lastCursor(store)
    const old = newRevocation(Date.now() - 30 * 24 * 3600 * 1000)
    await store.revoke([old])
    await store.sweep(Date.now())
    const { found } = await revocationsAfter(store, start)
    assert.deepEqual(found.filter(({ id }) => id === old.id), [old])
  },
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
  'hands out entries of every kind': async store => {
    const start = await lastCursor(store)
    const kinds = ['session', 'user', 'sessions', 'identity', 'token', 'provider-session'] as const
    const all = kinds.map(kind => ({ ...newRevocation(), kind }))
    await store.revoke(all)
    const { found } = await revocationsAfter(store, start)
    assert.deepEqual(found.filter(({ id }) => all.some(mine => mine.id === id)), all)
  },
  'hands out what has not expired, whatever lies before it': async store => {
    const expired = { ...newRevocation(), expiresAt: Date.now() - 1000 }
    const all = [newRevocation(), newRevocation()]
    await store.revoke([expired, ...all.slice(0, 1), expired, ...all.slice(1), expired])
    const { found } = await revocationsAfter(store, null)
    assert.deepEqual(found.filter(({ id }) => all.some(mine => mine.id === id)), all)
  },
  'begins anew where the list ends before the cursor': async store => {
    const mine = newRevocation()
    await store.revoke([mine])
    const cursor = await lastCursor(store)
    const beyond = String(cursor).replace(/\d+/g, digits => '9'.repeat(digits.length + 3))
    const { found } = await revocationsAfter(store, beyond)
    assert.equal(found.filter(({ id }) => id === mine.id).length, 1)
  },
  'loses no revocation of writers at once': async store => {
    let cursor = await lastCursor(store)
    const all = Array.from({ length: racers }, () => newRevocation())
    const found: Revocation[] = []
    const writing = Promise.all(all.map(revocation => store.revoke([revocation])))
    for (let isWriting = true, last = false; !last;) {
      last = !isWriting
      const page = await revocationsAfter(store, cursor)
      found.push(...page.found)
      cursor = page.cursor
      isWriting = await Promise.race([
        writing.then(() => false),
        new Promise<boolean>(resolve => setImmediate(() => resolve(true)))
      ])
    }
    await writing
    assert.deepEqual(idsOf(found.filter(({ id }) => all.some(mine => mine.id === id))), idsOf(all))
  }
}

/** Nonces and ID tokens, of which each is good once. */
const ofSpending: StoreChecks = {
  'spends a key once': async store => {
    const key = newKey()
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
    const outcomes = await Promise.all(Array.from({ length: racers }, () => store.spend([own, shared])))
    assert.equal(outcomes.filter(Boolean).length, 1)
  }
}

/** Values that wait for whoever takes them: what belongs to a login until its client fetches it. */
const ofKeeping: StoreChecks = {
  'hands out what was kept, once': async store => {
    const { key, expiresAt } = newKey()
    const value = `{"token":"O'Brien \\u0000 ✓ ключ"}${'x'.repeat(20_000)}`
    await store.keep(key, value, expiresAt)
    assert.equal(await store.take(key), value)
    assert.equal(await store.take(key), null)
  },
  'has nothing for a key that nothing was kept under': async store => {
    await store.keep(newKey().key, 'of another', newKey().expiresAt)
    for (const key of [newKey().key, '', '__proto__', "' OR 1=1 --", '*']) assert.equal(await store.take(key), null)
  },
  'hands out nothing that has expired by its own clock': async store => {
    const { key } = newKey()
    const now = await store.now?.() ?? Date.now()
    await store.keep(key, 'too late', now - 1)
    assert.equal(await store.take(key), null)
  },
  'keeps the last value of a key': async store => {
    const { key, expiresAt } = newKey()
    await store.keep(key, 'first', expiresAt)
    await store.keep(key, 'second', expiresAt)
    assert.equal(await store.take(key), 'second')
    assert.equal(await store.take(key), null)
  },
  'gives one of many callers at once what was kept': async store => {
    const { key, expiresAt } = newKey()
    await store.keep(key, 'value', expiresAt)
    const taken = await Promise.all(Array.from({ length: racers }, () => store.take(key)))
    assert.deepEqual(taken.filter(value => value !== null), ['value'])
  },
  'keeps what is swept before it has expired': async store => {
    const { key, expiresAt } = newKey()
    await store.keep(key, 'value', expiresAt)
    await store.sweep(Date.now())
    assert.equal(await store.take(key), 'value')
  }
}
