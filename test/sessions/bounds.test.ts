import { mock } from 'node:test'
import t from 'tap'
import { errors } from '../../src/errors.js'
import { sessionIdAt, tokenIdFor } from '../../src/sessions/refresh-token.js'
import type { Revocation, SessionStore } from '../../src/sessions/store.js'
import { memoryStore } from '../../src/sessions/stores/memory.js'
import { sessionServer, twoSessionServers } from '../routes/session-server.js'
import { openGate } from './gate.js'
import { storeKinds } from './private-stores.js'
import { identity, issuer, logIn, refresh, refusing, sessionsOn, twoServers, userOf, welcome } from './two-servers.js'

const tokenRevoked = { code: errors.TokenRevokedError.code }
const sessionRevoked = { code: errors.SessionRevokedError.code }

/** A store that says what was appended to its list of revocations, and how often each operation was called. */
function watched (store: SessionStore = memoryStore()) {
  const appended: Revocation[] = []
  const calls: string[] = []
  return {
    appended,
    calls,
    store: {
      ...store,
      list: async (...asked: Parameters<SessionStore['list']>) => {
        calls.push('list')
        return await store.list(...asked)
      },
      end: async (...ended: Parameters<SessionStore['end']>) => {
        calls.push('end')
        appended.push(...ended[1])
        await store.end(...ended)
      },
      revoke: async (entries: readonly Revocation[]) => {
        calls.push('revoke')
        appended.push(...entries)
        await store.revoke(entries)
      }
    }
  }
}

t.test('what has ended already adds nothing to the list, over HTTP', async t => {
  const { store, appended } = watched()
  const [server, other] = await twoSessionServers(t, {}, store)
  const tokens = await server.login()
  const revoke = async (token: string) =>
    await server.app.inject({ method: 'POST', url: '/revoke', payload: { token } })
  const sessionId = server.app.tokenExchange.verify(tokens.access).sessionId ?? ''
  await Promise.all(Array.from({ length: 10 }, () => revoke(tokens.refresh)))
  t.match(appended, [{ kind: 'session', id: sessionId }])
  t.equal(appended.length, 1)

  for (const { app, post, refresh } of [server, other]) {
    t.equal((await revoke(tokens.refresh)).statusCode, 200)
    t.equal((await revoke(tokens.access)).statusCode, 200)
    t.equal((await post('/logout', tokens.access, { scope: 'all' })).statusCode, 401)
    t.equal((await refresh(tokens.refresh)).statusCode, 400)
    await app.tokenExchange.revokeSession(sessionId)
    await app.tokenExchange.revokeSession(sessionIdAt(Date.now()))
  }
  const unread = sessionsOn(store, { secrets: undefined })
  await unread.revokeSession(sessionId)
  t.equal(appended.length, 1, 'nor on a server that has not read the list')

  const last = await server.login()
  for (let n = 0; n < 3; n++) t.equal((await server.post('/logout', last.access, { scope: 'others' })).statusCode, 204)
  t.equal(appended.length, 1, 'there are no others')
})

t.test('a nonce that was spent before adds nothing to the list, over HTTP', async t => {
  const { store, appended } = watched()
  const { app } = await sessionServer(t, {
    providers: {
      own: {
        accepts: ['id_token'],
        replay: 'refuse',
        verify: async () => ({ subject: '1', claims: { sub: '1', iat: 1 } })
      }
    },
    sessions: { store }
  })
  const statuses = []
  for (let n = 0; n < 3; n++) {
    statuses.push((await app.inject({ method: 'POST', url: '/login/own', payload: { id_token: 'x' } })).statusCode)
  }
  t.strictSame(statuses, [200, 401, 401])
  t.strictSame(appended, [])
  t.equal((await store.list(issuer, 'own:1', 10)).length, 1)
})

t.test('a long list of revocations at start', async t => {
  for (const whenStale of ['accept', 'refuse'] as const) {
    await t.test(`${whenStale}: is read behind after five seconds`, async t => {
      const gate = openGate()
      const revoked = sessionIdAt(Date.now())
      const entry = (id: string): Revocation =>
        ({ kind: 'session', issuer, id, at: Date.now(), expiresAt: Date.now() + 3_600_000 })
      let page = 0
      let isLong = true
      const sinces: number[] = []
      const sessions = sessionsOn({
        ...memoryStore(),
        revocations: async (_cursor, since) => {
          sinces.push(since)
          if (page > 0) await gate.pass()
          if (isLong) return { revocations: [entry(`s${page}`)], cursor: String(++page) }
          return { revocations: page++ === 2 ? [entry(revoked)] : [], cursor: String(page) }
        }
      }, { whenStale })
      t.teardown(() => sessions.close())
      mock.timers.enable({ apis: ['setTimeout'] })
      const opened = sessions.open()
      while (gate.count() === 0) await new Promise(resolve => setImmediate(resolve))
      mock.timers.tick(5_000)
      mock.timers.reset()
      await opened
      const user = { id: 'test:1', sessionId: revoked, tokenId: tokenIdFor(0, 0), issuedAt: now() }
      if (whenStale === 'accept') sessions.check(user)
      else t.throws(() => sessions.check(user), { code: errors.StoreUnavailableError.code })
      isLong = false
      page = 2
      gate.open()
      await refusing(() => sessions.check(user), errors.TokenRevokedError.code)
      await passing(() => sessions.check({ ...user, sessionId: sessionIdAt(Date.now()) }))
      t.ok(Math.abs((sinces[0] ?? 0) - Date.now()) < 60_000, 'what has expired is not asked for')
    })
  }
})

for (const kind of storeKinds) {
  t.test(`${kind.name}: a login beyond perUser ends the oldest`, { skip: kind.missing }, async t => {
    const started = await kind.start()
    t.teardown(() => started.remove())
    const [one, other] = await twoServers(t, started, { perUser: 3 })
    const logins = []
    for (let n = 0; n < 6; n++) {
      logins.push(await logIn(n % 2 === 0 ? one : other))
      await nextMillisecond()
    }
    const stranger = await logIn(one, 'test:2')
    const ids = (await one.list('test:1', null)).map(({ id }) => id)
    t.strictSame(ids.sort(), logins.slice(3).map(({ sessionId }) => sessionId).sort())
    for (const [n, login] of logins.entries()) {
      if (n < 3) {
        for (const server of [one, other]) await refusing(() => server.check(userOf(login)), tokenRevoked.code)
        await t.rejects(refresh(other, login.refreshToken, welcome), sessionRevoked)
      } else {
        for (const server of [one, other]) server.check(userOf(login))
        await refresh(other, login.refreshToken, welcome)
      }
    }
    for (const server of [one, other]) server.check({ ...userOf(stranger), id: 'test:2' })
  })
}

t.test('sessions of a user that began in one millisecond end one by one', async t => {
  const sessions = sessionsOn(memoryStore(), { perUser: 2 })
  t.teardown(() => sessions.close())
  mock.timers.enable({ apis: ['Date'], now: Date.now() })
  t.teardown(() => mock.timers.reset())
  const logins = [await logIn(sessions), await logIn(sessions)]
  mock.timers.tick(1)
  logins.push(await logIn(sessions))
  const good = logins.filter(login => {
    try {
      sessions.check(userOf(login))
      return true
    } catch {
      return false
    }
  })
  t.equal(good.length, 2)
  t.strictSame(good[1], logins[2])
})

t.test('expired sessions make room before others have to', async t => {
  const sessions = sessionsOn(memoryStore(), { perUser: 2, idleLifetime: 60 })
  t.teardown(() => sessions.close())
  mock.timers.enable({ apis: ['Date'], now: Date.now() })
  t.teardown(() => mock.timers.reset())
  const first = await logIn(sessions)
  mock.timers.tick(1_000)
  await logIn(sessions)
  mock.timers.tick(58_000)
  const next = await refresh(sessions, first.refreshToken, welcome)
  mock.timers.tick(30_000)
  await logIn(sessions)
  await refresh(sessions, next.refreshToken, welcome)
})

t.test('a slow login is not refused because later ones had to make room', async t => {
  const sessions = sessionsOn(memoryStore(), { perUser: 1 })
  t.teardown(() => sessions.close())
  const mark = sessions.mark()
  await nextMillisecond()
  await logIn(sessions)
  await nextMillisecond()
  await logIn(sessions)
  const slow = await sessions.begin(identity, 'test:1', mark)
  sessions.check(userOf(slow))
  await refresh(sessions, slow.refreshToken, welcome)
})

t.test('one ID token, sent again and again, does not fill the store for the others, over HTTP', async t => {
  const server = await sessionServer(t, {
    sessions: { store: memoryStore({ limit: 20 }), perUser: 3 },
    permissions: ({ claims }) => ({ userId: String(claims.name) }),
    providers: {
      own: { accepts: ['id_token'], verify: async ({ token }) => ({ subject: '1', claims: { name: token } }) }
    }
  })
  const login = async (name: string) =>
    (await server.app.inject({ method: 'POST', url: '/login/own', payload: { id_token: name } })).statusCode
  for (let n = 0; n < 50; n++) t.equal(await login('flood'), 200)
  for (let n = 0; n < 10; n++) t.equal(await login(`user ${n}`), 200)
})

t.test('logging out everywhere: one entry first, however many sessions there are', async t => {
  const { store, appended, calls } = watched()
  const sessions = sessionsOn(store)
  t.teardown(() => sessions.close())
  const first = await logIn(sessions)
  const row = await store.read(first.sessionId)
  if (row === null) return
  for (let n = 1; n < 5_000; n++) {
    const createdAt = row.createdAt - n
    await store.create({ ...row, id: sessionIdAt(createdAt), createdAt })
  }
  calls.length = 0
  await sessions.revokeUser('test:1')
  t.strictSame(calls.slice(0, 3), ['revoke', 'list', 'end'])
  t.match(appended, [{ kind: 'user', id: 'test:1' }])
  t.equal(appended.length, 1)
  await t.rejects(refresh(sessions, first.refreshToken, welcome), sessionRevoked)
  t.throws(() => sessions.check(userOf(first)), tokenRevoked)
  t.strictSame(await sessions.list('test:1', null), [], 'those whose rows have not ended yet neither')
  await sessions.flush()
  t.strictSame(await store.list(issuer, 'test:1', 10), [], 'all rows in the end')
  t.equal(appended.length, 1)
  sessions.check(userOf(await logIn(sessions)))
})

t.test('the rows of a user go on ending after an outage', async t => {
  const store = memoryStore()
  let isDown = false
  const up = async <T>(call: () => Promise<T>): Promise<T> => {
    if (isDown) throw new Error('down')
    return await call()
  }
  const sessions = sessionsOn({
    ...store,
    list: async (...asked) => await up(async () => await store.list(...asked)),
    revoke: async entries => {
      await store.revoke(entries)
      isDown = true
    },
    end: async (...ended) => await up(async () => await store.end(...ended)),
    revocations: async (...asked) => await up(async () => await store.revocations(...asked))
  })
  await sessions.open()
  t.teardown(() => sessions.close())
  const login = await logIn(sessions)
  await sessions.revokeUser('test:1')
  t.throws(() => sessions.check(userOf(login)), tokenRevoked)
  t.equal((await store.read(login.sessionId))?.ended, false)
  isDown = false
  while ((await store.read(login.sessionId))?.ended !== true) await new Promise(resolve => setImmediate(resolve))
})

t.test('one user cannot fill the list: so many ends of its own become one entry', async t => {
  const { store, appended } = watched()
  const [one, other] = [sessionsOn(store, { perUser: 2 }), sessionsOn(store, { perUser: 2 })]
  await other.open()
  t.teardown(async () => {
    await one.close()
    await other.close()
  })
  const oldest = await logIn(one)
  await nextMillisecond()
  for (let n = 0; n < 20; n++) {
    const { sessionId } = await logIn(one)
    await one.revokeSession(sessionId)
  }
  t.equal(appended.length, 20)
  one.check(userOf(oldest))
  for (let n = 0; n < 30; n++) {
    const login = await logIn(one)
    await one.revokeSession(login.sessionId)
    for (const server of [one, other]) await refusing(() => server.check(userOf(login)), tokenRevoked.code)
    await t.rejects(refresh(other, login.refreshToken, welcome), sessionRevoked)
    await nextMillisecond()
  }
  t.equal(new Set(appended.map(({ kind, id }) => `${kind} ${id}`)).size, 21)
  await t.rejects(refresh(other, oldest.refreshToken, welcome), sessionRevoked, 'and ends what is older')
  other.check(userOf(await logIn(other)))
})

t.test('one user cannot fill the list with single access tokens either', async t => {
  const { store, appended } = watched()
  const sessions = sessionsOn(store, { perUser: 1 })
  t.teardown(() => sessions.close())
  const login = await logIn(sessions)
  for (let n = 0; n < 20; n++) {
    await sessions.revokeToken({ ...userOf(login), tokenId: tokenIdFor(0, 0), expiresAt: now() + 3600 })
  }
  t.strictSame(appended.map(({ kind }) => kind), [...Array.from({ length: 10 }, () => 'token'), 'sessions'])
})

t.test('a full list: older tokens of sessions are refreshed, those of issue() stay good, over HTTP', async t => {
  mock.timers.enable({ apis: ['Date'], now: Date.now() })
  t.teardown(() => mock.timers.reset())
  const server = await sessionServer(t, {
    sessions: { store: memoryStore(), revocationLimit: 10 },
    permissions: ({ claims }) => ({ userId: String(claims.name) }),
    providers: {
      own: { accepts: ['id_token'], verify: async ({ token }) => ({ subject: '1', claims: { name: token } }) }
    }
  })
  const login = async (name: string) =>
    (await server.app.inject({ method: 'POST', url: '/login/own', payload: { id_token: name } })).json()
  const [honest, stolen] = [await login('honest'), await login('stolen')]
  const issued = server.app.tokenExchange.issue({ userId: 'robot' }).access_token
  await server.post('/logout', stolen.access_token)
  for (let n = 0; n < 20; n++) {
    mock.timers.tick(1_000)
    await server.post('/logout', (await login(`user ${n}`)).access_token)
  }
  const answer = await server.app.inject({ url: '/guarded', headers: bearer(honest.access_token) })
  t.equal(answer.statusCode, 401)
  t.equal(answer.json().code, 'AUTH_ERR_TOKEN_EXPIRED')
  const next = await server.refresh(honest.refresh_token)
  t.equal(await server.call(next.json().access_token), 200)
  t.equal(await server.call(stolen.access_token), 401)
  t.equal((await server.refresh(stolen.refresh_token)).json().code, 'AUTH_ERR_SESSION_REVOKED')
  t.equal(await server.call(issued), 200)
})

t.test('closing does not wait for a store that hangs', async t => {
  const store = memoryStore()
  let isHanging = false
  const sessions = sessionsOn({
    ...store,
    read: async id => isHanging ? await new Promise<never>(() => {}) : await store.read(id)
  })
  await sessions.open()
  const { refreshToken } = await logIn(sessions)
  const next = await refresh(sessions, refreshToken, welcome)
  isHanging = true
  sessions.seen(userOf(next))
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const closed = sessions.close()
  mock.timers.tick(2_000)
  await closed
  await t.rejects(sessions.present(next.refreshToken), { code: errors.StoreUnavailableError.code })
})

function bearer (token: string): Record<string, string> {
  return { authorization: `Bearer ${token}` }
}

function now (): number {
  return Math.floor(Date.now() / 1000)
}

async function nextMillisecond (): Promise<void> {
  for (const began = Date.now(); Date.now() === began;) await new Promise(resolve => setImmediate(resolve))
}

async function passing (check: () => void): Promise<void> {
  for (;;) {
    try {
      return check()
    } catch {
      await new Promise(resolve => setImmediate(resolve))
    }
  }
}
