import { mock } from 'node:test'
import t, { type Test } from 'tap'
import { errors } from '../../src/errors.js'
import { createRevocations } from '../../src/sessions/revocations.js'
import type { Sessions } from '../../src/sessions/sessions.js'
import { storeKinds } from './private-stores.js'
import { identity, issuer, sessionsOn, twoServers, welcome } from './two-servers.js'

const TOKEN_REVOKED = { code: errors.TokenRevokedError.code }

type Mine = Awaited<ReturnType<typeof loggedIn>>

interface Row {
  revoke (sessions: Sessions, mine: Mine): Promise<void>
  refused: ('mine' | 'other' | 'sessionless')[]
}

const rows: Record<string, Row> = {
  'this session': { revoke: (sessions, { sessionId }) => sessions.revokeSession(sessionId), refused: ['mine'] },
  'the other sessions': {
    revoke: (sessions, { id, sessionId }) => sessions.revokeOthers(id, sessionId),
    refused: ['other']
  },
  'the user': { revoke: (sessions, { id }) => sessions.revokeUser(id), refused: ['mine', 'other', 'sessionless'] },
  'one token': {
    revoke: (sessions, { id }) => sessions.revokeToken(`jti ${id}`, Date.now() / 1000 + 3600),
    refused: ['sessionless']
  }
}

for (const kind of storeKinds) {
  t.test(kind.name, { skip: kind.missing }, async t => {
    const started = await kind.start()
    t.teardown(() => started.remove())
    for (const [name, { revoke, refused }] of Object.entries(rows)) {
      await t.test(`${name}: refused at once here, and on the other server as soon as it hears`, async t => {
        const [one, other] = await twoServers(t, started)
        const users = {
          mine: await loggedIn(one, name),
          other: await loggedIn(other, name),
          sessionless: { id: name, tokenId: `jti ${name}`, sessionId: null, issuedAt: now() }
        }
        const stranger = await loggedIn(one, 'somebody else')
        await revoke(one, users.mine)
        for (const [who, user] of Object.entries(users)) {
          const isRefused = refused.some(name => name === who)
          if (!isRefused) one.check(user)
          else t.throws(() => one.check(user), TOKEN_REVOKED, `${who}, here`)
          if (isRefused) await heard(t, other, user)
          else other.check(user)
        }
        for (const server of [one, other]) server.check(stranger)
        const again = await loggedIn(one, name)
        for (const server of [one, other]) server.check(again)
        t.pass('a login right after it is let in')
      })
    }
  })
}

t.test('a server that starts later knows what was revoked before', async t => {
  const started = await storeKinds[0]?.start()
  if (started === undefined) return
  const [one] = await twoServers(t, started)
  const user = await loggedIn(one)
  await one.revokeSession(user.sessionId)
  const [late] = await twoServers(t, started)
  t.throws(() => late.check(user), TOKEN_REVOKED)
})

t.test('RFC 7009: any refresh token of the session ends it, a forged one ends nothing', async t => {
  const started = await storeKinds[0]?.start()
  if (started === undefined) return
  const [one, other] = await twoServers(t, started)
  const login = await one.start(identity, 'test:1')
  const next = await one.refresh(login.refreshToken, welcome)
  const forged = login.refreshToken.slice(0, -2) + (login.refreshToken.endsWith('AA') ? 'BB' : 'AA')
  await t.rejects(one.revokeRefreshToken(forged), { code: errors.RefreshInvalidError.code })
  await other.refresh(next.refreshToken, welcome)
  await one.revokeRefreshToken(next.refreshToken)
  await t.rejects(other.refresh(next.refreshToken, welcome), { code: errors.SessionRevokedError.code })
})

t.test('a server that has not heard for maxStaleness', async t => {
  const rows = [
    { whenStale: 'accept', refuses: false },
    { whenStale: 'refuse', refuses: true }
  ]
  for (const { whenStale, refuses } of rows) {
    await t.test(`${whenStale}s`, async t => {
      const started = await storeKinds[0]?.start()
      const store = started?.connect().store
      if (store === undefined) return
      let isDown = false
      const flaky = {
        ...store,
        revocations: async (cursor: string | null, since: number) =>
          isDown ? await Promise.reject(new Error('down')) : await store.revocations(cursor, since)
      }
      mock.timers.enable({ apis: ['Date'], now: Date.now() })
      t.teardown(() => mock.timers.reset())
      const sessions = sessionsOn(flaky, { whenStale, maxStaleness: 60 })
      await sessions.open()
      t.teardown(() => sessions.close())
      const user = await loggedIn(sessions)
      isDown = true
      mock.timers.tick(59_000)
      sessions.check(user)
      mock.timers.tick(2_000)
      if (refuses) t.throws(() => sessions.check(user), { code: errors.StoreUnavailableError.code, statusCode: 503 })
      else sessions.check(user)
    })
  }
})

t.test('the list', async t => {
  const at = Date.now()
  const entry = (id: string, kind: 'session' | 'user' | 'token' = 'session') => ({
    kind,
    issuer,
    id,
    at,
    expiresAt: at + 1000
  })
  const user = { id: 'u', tokenId: 'j', sessionId: 's', issuedAt: Math.floor(at / 1000) }

  t.test('forgets what has expired', async t => {
    const list = createRevocations(60)
    for (const kind of ['session', 'user', 'token'] as const) list.add(entry('x', kind))
    t.equal(list.size, 3)
    list.purge(at + 60_000)
    t.equal(list.size, 3, 'as long as an access token can live')
    list.purge(at + 120_001)
    t.equal(list.size, 0)
  })

  t.test('is bounded, and what it drops is refused all the same', async t => {
    const list = createRevocations(60, 10)
    for (let n = 0; n < 1000; n++) list.add(entry(`s${n}`))
    t.ok(list.size <= 10)
    t.ok(list.isRevoked({ ...user, sessionId: 's0' }), 'dropped')
    t.notOk(list.isRevoked({ ...user, issuedAt: user.issuedAt + 2 }), 'what was issued afterwards')
  })

  t.test('tells the tokens of a user apart by their time', async t => {
    const list = createRevocations(60)
    list.add(entry('u', 'user'))
    const sessionless = { ...user, sessionId: null }
    t.ok(list.isRevoked(sessionless))
    t.notOk(list.isRevoked({ ...sessionless, issuedAt: sessionless.issuedAt + 1 }))
    t.notOk(list.isRevoked({ ...sessionless, id: 'v' }))
    t.notOk(list.isRevoked(user), 'a session that was not ended began afterwards')
    t.ok(list.isRevoked({ ...user, issuedAt: user.issuedAt - 61 }))
  })
})

async function loggedIn (sessions: Sessions, userId = 'test:1') {
  const { sessionId, tokenId } = await sessions.start(identity, userId)
  return { id: userId, sessionId, tokenId, issuedAt: now() }
}

function now (): number {
  return Math.floor(Date.now() / 1000)
}

/** The other server hears by itself; the test's time limit ends the wait. */
async function heard (t: Test, sessions: Sessions, user: Parameters<Sessions['check']>[0]): Promise<void> {
  for (;;) {
    try {
      sessions.check(user)
    } catch (error) {
      t.match(error, TOKEN_REVOKED, 'on the other server')
      return
    }
    await new Promise(resolve => setImmediate(resolve))
  }
}
