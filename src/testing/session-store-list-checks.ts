import assert from 'node:assert/strict'
import type { Revocation } from '../sessions/store.js'
import {
  idsOf,
  lastCursor,
  newKey,
  newRevocation,
  RACERS,
  revocationsAfter,
  type StoreChecks
} from './session-store-samples.js'

/** The list of revocations, which every server follows. */
export const ofRevocations: StoreChecks = {
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
    const all = Array.from({ length: RACERS }, () => newRevocation())
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
export const ofSpending: StoreChecks = {
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
    const outcomes = await Promise.all(Array.from({ length: RACERS }, () => store.spend([own, shared])))
    assert.equal(outcomes.filter(Boolean).length, 1)
  }
}
