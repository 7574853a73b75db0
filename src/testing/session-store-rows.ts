import assert from 'node:assert/strict'
import type { Session } from '../sessions/store.js'
import {
  created,
  idsOf,
  issuer,
  lastCursor,
  newRevocation,
  newSession,
  racers,
  randomId,
  revocationsAfter,
  type StoreChecks
} from './session-store-samples.js'

export const ofSessions: StoreChecks = {
  'reads what was created, every member of it': async store => {
    const session = await created(store, {
      userId: 'ключ "\' {}\\',
      identity: '{"name":"O\'Brien \\u0000 ✓"}',
      identityKey: '["conformance","O\'Brien \\ ✓"]',
      providerSession: '["conformance","sid"]',
      arrivedAt: 1_700_000_000_123,
      clientId: 'an.app~1',
      jkt: '0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I'
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
export const ofIdentities: StoreChecks = {
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

export const ofEnds: StoreChecks = {
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
