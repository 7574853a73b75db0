import assert from 'node:assert/strict'
import type { Revocation, Session, SessionStore } from '../sessions/store.js'
import {
  created,
  idsOf,
  issuer,
  lastCursor,
  newKey,
  newRevocation,
  newSession,
  racers,
  randomId,
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

const ofSessions: StoreChecks = {
  'reads what was created, every member of it': async store => {
    const session = await created(store, {
      userId: 'ключ "\' {}\\',
      identity: '{"name":"O\'Brien \\u0000 ✓"}',
      identityKey: '["conformance","O\'Brien \\ ✓"]',
      providerSession: '["conformance","sid"]',
      arrivedAt: 1_700_000_000_123
    })
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
    const outcomes = await Promise.all(
      Array.from({ length: racers }, (_, racer) => store.replace({ ...session, counter: racer + 1, version: 1 }))
    )
    assert.equal(outcomes.filter(Boolean).length, 1)
    assert.equal((await store.read(session.id))?.counter, outcomes.indexOf(true) + 1)
  },
  'lists the sessions of a user, and of nobody else': async store => {
    const userId = randomId()
    const mine = [await created(store, { userId }), await created(store, { userId })]
    await created(store, { userId: `${userId}2` })
    await created(store, { userId, issuer: 'https://another.example' })
    assert.deepEqual(idsOf(await store.list(issuer, userId, 10)), idsOf(mine))
    assert.deepEqual(await store.list(issuer, randomId(), 10), [])
  },
  'lists the oldest sessions of a user first, no more than were asked for, and without their identity': async store => {
    const userId = randomId()
    const now = Date.now()
    const mine: Session[] = []
    for (const age of [3, 1, 4, 2]) mine.push(await created(store, { userId, createdAt: now - age * 1000 }))
    await store.replace({ ...mine[2] ?? newSession(), counter: 1, version: 1 })
    const listed = await store.list(issuer, userId, 3)
    assert.deepEqual(listed.map(({ createdAt }) => now - createdAt), [4000, 3000, 2000])
    assert.ok(listed.every(session => !('identity' in session)))
    const { identity, ...second } = mine[0] ?? newSession()
    assert.deepEqual({ ...listed[1] }, second)
    assert.equal((await store.list(issuer, userId, 10)).length, 4)
  },
  'lists a session under the user that it was given last': async store => {
    const session = await created(store)
    const userId = randomId()
    await store.replace({ ...session, userId, version: 1 })
    assert.deepEqual(idsOf(await store.list(issuer, userId, 10)), [session.id])
    assert.deepEqual(await store.list(issuer, session.userId, 10), [])
  }
}

/** Sessions by who logged in, and by the session that the provider has of its own. */
const ofIdentities: StoreChecks = {
  'lists the sessions of an identity, whatever users they are of, and of nobody else': async store => {
    const identityKey = randomId()
    const mine = [await created(store, { identityKey }), await created(store, { identityKey })]
    await created(store, { identityKey: `${identityKey}2` })
    await created(store, { identityKey: null })
    await created(store, { identityKey, issuer: 'https://another.example' })
    assert.deepEqual(idsOf(await store.listByIdentity(issuer, identityKey)), idsOf(mine))
    assert.deepEqual(await store.listByIdentity(issuer, randomId()), [])
  },
  'lists the sessions of a session at the provider, and of no other': async store => {
    const [providerSession, identityKey] = [randomId(), randomId()]
    const mine = [await created(store, { providerSession, identityKey }), await created(store, { providerSession })]
    await created(store, { providerSession: `${providerSession}2`, identityKey })
    await created(store, { providerSession: null, identityKey })
    await created(store, { providerSession, issuer: 'https://another.example' })
    assert.deepEqual(idsOf(await store.listByProviderSession(issuer, providerSession)), idsOf(mine))
    assert.deepEqual(await store.listByProviderSession(issuer, identityKey), [])
  },
  'lists the oldest of them first, no more than were asked for, and without their identity': async store => {
    const both = { identityKey: randomId(), providerSession: randomId() }
    const now = Date.now()
    for (const age of [3, 1, 4, 2]) await created(store, { ...both, createdAt: now - age * 1000 })
    for (const listed of [
      await store.listByIdentity(issuer, both.identityKey, 3),
      await store.listByProviderSession(issuer, both.providerSession, 3)
    ]) {
      assert.deepEqual(listed.map(({ createdAt }) => now - createdAt), [4000, 3000, 2000])
      assert.ok(listed.every(session => !('identity' in session) && session.identityKey === both.identityKey))
    }
  },
  'lists them as long as they go on': async store => {
    const both = { identityKey: randomId(), providerSession: randomId() }
    const [first, second] = [await created(store, both), await created(store, both)]
    await store.end([first.id], [])
    assert.equal(await store.replace({ ...second, userId: randomId(), counter: 1, version: 1 }), true)
    assert.deepEqual(idsOf(await store.listByIdentity(issuer, both.identityKey)), [second.id])
    assert.deepEqual(idsOf(await store.listByProviderSession(issuer, both.providerSession)), [second.id])
  },
  'lists a session that was written before there were identity keys, once it has one': async store => {
    const session = await created(store, { identityKey: null })
    const both = { identityKey: randomId(), providerSession: randomId() }
    assert.equal(await store.replace({ ...session, ...both, version: 1 }), true)
    assert.deepEqual(idsOf(await store.listByIdentity(issuer, both.identityKey)), [session.id])
    assert.deepEqual(idsOf(await store.listByProviderSession(issuer, both.providerSession)), [session.id])
    assert.deepEqual(idsOf(await store.list(issuer, session.userId, 10)), [session.id])
  }
}

const ofEnds: StoreChecks = {
  'ends the sessions that were named, whatever their version': async store => {
    const session = await created(store)
    const other = await created(store, { userId: session.userId })
    await store.replace({ ...session, version: 1 })
    await store.end([session.id, randomId()], [])
    const ended = { ...session, identity: '', ended: true, version: 2 }
    assert.deepEqual({ ...await store.read(session.id) }, ended)
    assert.deepEqual(idsOf(await store.list(issuer, session.userId, 10)), [other.id])
  },
  'ends a session and appends to the list in one operation': async store => {
    const start = await lastCursor(store)
    const sessions = [await created(store), await created(store)]
    const entries = sessions.map(({ id }) => ({ ...newRevocation(), id }))
    await store.end(sessions.map(({ id }) => id), entries)
    for (const { id } of sessions) assert.equal((await store.read(id))?.ended, true)
    const { found } = await revocationsAfter(store, start)
    assert.deepEqual(found.filter(({ id }) => sessions.some(session => session.id === id)), entries)
  },
  'ends a thousand sessions at once': async store => {
    const userId = randomId()
    const ids = idsOf(await Promise.all(Array.from({ length: 1000 }, () => created(store, { userId }))))
    await store.end(ids, ids.map(id => ({ ...newRevocation(), id })))
    assert.deepEqual(await store.list(issuer, userId, 10), [])
  },
  'leaves a session as it is that has ended before': async store => {
    const session = await created(store)
    await store.end([session.id], [])
    const ended = await store.read(session.id)
    await store.end([session.id], [newRevocation()])
    assert.deepEqual(await store.read(session.id), ended)
  },
  'does not bring an ended session back to life': async store => {
    const session = await created(store)
    await store.end([session.id], [])
    assert.equal(await store.replace({ ...session, counter: 1, version: 1 }), false)
    assert.equal((await store.read(session.id))?.ended, true)
  },
  'ends a session that is being replaced at the same time': async store => {
    const session = await created(store)
    await Promise.all([
      store.end([session.id], []),
      ...Array.from({ length: racers }, () => store.replace({ ...session, counter: 1, version: 1 }))
    ])
    assert.equal((await store.read(session.id))?.ended, true)
  },
  'keeps an expired session for a day, so that its tokens are told why': async store => {
    const session = await created(store, { expiresAt: Date.now() - 1000 })
    await store.sweep(Date.now())
    assert.equal((await store.read(session.id))?.id, session.id)
  }
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
