import { mock } from 'node:test'
import t from 'tap'
import { errors } from '../../src/errors.js'
import type { Sessions } from '../../src/sessions/sessions.js'
import type { Revocation, SessionStore } from '../../src/sessions/store.js'
import { memoryStore } from '../../src/sessions/stores/memory.js'
import { sessionServer } from '../routes/session-server.js'
import { counted, logIn, refresh, sessionsOn, welcome } from './two-servers.js'

const unavailable = { code: errors.StoreUnavailableError.code }
const sessionRevoked = { code: errors.SessionRevokedError.code }

/** Where the store goes away: after it has listed the session, before it says so or before its row has ended. */
const places: Record<string, (store: SessionStore, down: () => Promise<void>) => Partial<SessionStore>> = {
  'before both are known to be written': (store, down) => ({
    end: async (ids, entries) => {
      await store.end(ids, entries)
      await down()
    }
  }),
  'before the row has ended': (store, down) => ({
    end: async (ids, entries) => {
      await store.revoke(entries)
      await down()
      await store.end(ids, [])
    }
  })
}

for (const [place, broken] of Object.entries(places)) {
  t.test(`a store that goes away ${place}`, async t => {
    const store = memoryStore()
    let isDown = true
    const down = async () => { if (isDown) throw new Error('down') }

    await t.test('the row ends when it is back, without anybody asking', async t => {
      const watched = counted({ ...store, ...broken(store, down) })
      const sessions = sessionsOn(watched.store)
      await sessions.open()
      t.teardown(() => sessions.close())
      isDown = true
      const login = await logIn(sessions)
      await t.rejects(sessions.revokeSession(login.sessionId), unavailable)
      isDown = false
      t.ok(await watched.hasEnded(login.sessionId))
      await t.rejects(refresh(sessions, login.refreshToken, welcome), sessionRevoked)
    })

    await t.test('no other server refreshes it', async t => {
      const broke = sessionsOn({ ...store, ...broken(store, down) })
      isDown = true
      const login = await logIn(broke)
      await t.rejects(broke.revokeSession(login.sessionId), unavailable)
      await broke.close()
      const other = sessionsOn(store)
      await other.open()
      t.teardown(() => other.close())
      await t.rejects(refresh(other, login.refreshToken, welcome), sessionRevoked)
      t.equal((await store.read(login.sessionId))?.ended, true)
    })
  })
}

t.test('a server that goes away before the row has ended', async t => {
  const ends: Record<string, (sessions: Sessions, sessionId: string) => Promise<void>> = {
    'of a session': async (sessions, sessionId) => await sessions.revokeSession(sessionId),
    'of a user': async sessions => await sessions.revokeUser('test:1')
  }
  for (const [name, end] of Object.entries(ends)) {
    await t.test(`${name}: another ends it before it forgets the revocation`, async t => {
      const store = memoryStore()
      const gone = sessionsOn({
        ...store,
        end: async (_ids: readonly string[], entries: readonly Revocation[]) => await store.revoke(entries)
      })
      const login = await logIn(gone)
      await end(gone, login.sessionId)
      await gone.close()
      const after = await logIn(sessionsOn(store))
      t.equal((await store.read(login.sessionId))?.ended, false)
      const watched = counted(store)
      const other = sessionsOn(watched.store)
      await other.open()
      t.teardown(() => other.close())
      mock.timers.enable({ apis: ['Date'], now: Date.now() + 2 * 3_600_000 })
      t.teardown(() => mock.timers.reset())
      t.ok(await watched.hasEnded(login.sessionId))
      await t.rejects(refresh(other, login.refreshToken, welcome), sessionRevoked)
      await refresh(other, after.refreshToken, welcome)
    })
  }
})

t.test('logging out everywhere refuses the very token that asked for it', async t => {
  const at = Date.now()
  mock.timers.enable({ apis: ['Date'], now: at + 30_000 })
  t.teardown(() => mock.timers.reset())
  const store = memoryStore()
  const ahead = await sessionServer(t, { clockTolerance: 60, sessions: { store } })
  const tokens = {
    'without a session': ahead.app.tokenExchange.issue({ userId: 'u' }).access_token,
    'of a session': (await ahead.login()).access
  }
  mock.timers.setTime(at)
  const server = await sessionServer(t, { clockTolerance: 60, sessions: { store } })
  for (const [name, access] of Object.entries(tokens)) {
    t.equal((await server.post('/logout', access, { scope: 'all' })).statusCode, 204, name)
    for (const each of [server, ahead]) {
      t.equal(await each.call(access), 401, `${name}, of a server whose clock is ahead`)
    }
  }
})

t.test('a session that another server has ended is refused at once where it is ended again', async t => {
  const store = memoryStore()
  // Neither reads the list.
  const [one, other] = [sessionsOn(store), sessionsOn(store)]
  t.teardown(async () => await Promise.all([one.close(), other.close()]))
  const login = await logIn(one)
  const user = { id: 'test:1', ...login, issuedAt: Math.floor(Date.now() / 1000) }
  await one.revokeSession(login.sessionId)
  const { cursor } = await store.revocations(null, Date.now())
  t.doesNotThrow(() => other.check(user))

  await other.revokeRefreshToken(login.refreshToken)
  t.throws(() => other.check(user), { code: errors.TokenRevokedError.code })
  t.strictSame((await store.revocations(cursor, Date.now())).revocations, [], 'it is not listed again')
})
