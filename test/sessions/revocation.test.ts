import { mock } from 'node:test'
import t from 'tap'
import { errors } from '../../src/errors.js'
import { sessionIdAt, tokenIdFor } from '../../src/sessions/refresh-token.js'
import { createRevocations } from '../../src/sessions/revocations.js'
import type { Sessions } from '../../src/sessions/sessions.js'
import type { Revocation } from '../../src/sessions/store.js'
import { storeKinds } from './private-stores.js'
import { issuer, logIn, refresh, refusing, sessionsOn, twoServers, welcome } from './two-servers.js'

const tokenRevoked = { code: errors.TokenRevokedError.code }

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
    revoke: (sessions, { id }) =>
      sessions.revokeToken({ id, tokenId: `jti ${id}`, sessionId: null, expiresAt: now() + 3600 }),
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
          else t.throws(() => one.check(user), tokenRevoked, `${who}, here`)
          if (isRefused) await refusing(() => other.check(user))
          else other.check(user)
        }
        for (const server of [one, other]) server.check(stranger)
        const again = await loggedIn(one, name)
        for (const server of [one, other]) {
          t.doesNotThrow(() => server.check(again), 'a login right after it is let in')
        }
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
  t.throws(() => late.check(user), tokenRevoked)
})

t.test('RFC 7009: any refresh token of the session ends it, a forged one ends nothing', async t => {
  const started = await storeKinds[0]?.start()
  if (started === undefined) return
  const [one, other] = await twoServers(t, started)
  const login = await logIn(one)
  const next = await refresh(one, login.refreshToken, welcome)
  const forged = login.refreshToken.slice(0, -2) + (login.refreshToken.endsWith('AA') ? 'BB' : 'AA')
  await t.rejects(one.revokeRefreshToken(forged), { code: errors.RefreshInvalidError.code })
  await refresh(other, next.refreshToken, welcome)
  await one.revokeRefreshToken(next.refreshToken)
  await t.rejects(refresh(other, next.refreshToken, welcome), { code: errors.SessionRevokedError.code })
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
  const session = sessionIdAt(at)
  const user = { id: 'u', tokenId: tokenIdFor(0, 0), sessionId: session, issuedAt: Math.floor(at / 1000) }
  const sessionless = { ...user, tokenId: 'j', sessionId: null }
  const entry = (id: string, kind: Revocation['kind'] = 'session', time = at) =>
    ({ kind, issuer, id, at: time, expiresAt: time + 1000 })

  /** One whose clock is told the time, and which says what it reports. */
  function listOf (limit: number) {
    let time = at
    const reports: string[] = []
    const clock = { now: () => time, ownTime: (time: number) => time }
    const list = createRevocations({ tokenLifetime: 60, limit, clock, report: message => { reports.push(message) } })
    return { list, reports, setTime: (to: number) => { time = to } }
  }

  t.test('forgets what has expired, and leaves what has to end first', async t => {
    const { list, setTime } = listOf(100)
    for (const kind of ['session', 'user', 'sessions', 'token'] as const) list.add(entry(kind, kind))
    list.add(entry('moved.1'))
    list.add(entry('["p","s"]', 'identity'))
    t.equal(list.size, 6)
    const theirs = { ...user, provider: 'p', subject: 's' }
    t.ok(list.isRevoked(theirs))
    setTime(at + 60_000)
    list.purge()
    t.equal(list.size, 6, 'as long as an access token can live')
    setTime(at + 120_001)
    list.purge()
    t.equal(list.size, 0)
    t.strictSame([...list.leaving.sessions], ['session'])
    t.strictSame([...list.leaving.users], [['user', at], ['sessions', at]])
    t.ok(list.isEnded('session', 'v'), 'until its row has ended')
    t.ok(list.isEnded(session, 'user'))
    t.strictSame([...list.leaving.identities], [['["p","s"]', at]])
    t.notOk(list.isRevoked(theirs))
    t.ok(list.isEnded(session, 'v', '["p","s"]'))
  })

  t.test('is bounded, and what it drops is refused all the same', async t => {
    const { list, setTime } = listOf(10)
    for (let n = 0; n < 1000; n++) list.add(entry(`s${n}`, 'session', at - 1000 + n))
    t.ok(list.size <= 10)
    const dropped = { ...user, sessionId: 's0' }
    t.notOk(list.isRevoked(dropped))
    t.ok(list.isDoubtful(dropped), 'dropped')
    t.ok(list.isEnded('s0', 'u'), 'its row ends before it is forgotten')
    t.notOk(list.isDoubtful({ ...dropped, issuedAt: dropped.issuedAt + 2 }), 'what was issued afterwards')
    t.notOk(list.isDoubtful(sessionless), 'what cannot be refreshed')
    setTime(at + 120_001)
    list.purge()
    t.notOk(list.isDoubtful(dropped), 'no longer than any such token can live')
  })

  t.test('drops what has expired first, and nothing that meets tokens which cannot be refreshed', async t => {
    const { list, setTime } = listOf(10)
    for (let n = 0; n < 10; n++) list.add(entry(`s${n}`))
    setTime(at + 120_001)
    list.add(entry('s10', 'session', at + 120_001))
    t.equal(list.size, 1)
    t.notOk(list.isDoubtful({ ...user, sessionId: 'other' }))
    for (let n = 0; n < 20; n++) {
      list.add(entry(`u${n}`, 'user', at + 120_001))
      list.add(entry(`j${n}`, 'token', at + 120_001))
      list.add(entry(tokenIdFor(0, 0), 'token', at + 120_001))
    }
    t.ok(list.isRevoked({ ...sessionless, id: 'u0' }))
    t.ok(list.isRevoked({ ...sessionless, tokenId: 'j0' }))
    t.ok(list.size <= 42)
  })

  t.test('warns before it is full, once', async t => {
    const { list, reports } = listOf(10)
    for (let n = 0; n < 8; n++) list.add(entry(`s${n}`, 'session', at - 20 + n))
    t.strictSame(reports, [])
    for (let n = 8; n < 20; n++) list.add(entry(`s${n}`, 'session', at - 20 + n))
    t.equal(reports.length, 1)
    t.match(reports[0], /^9 .*revocationLimit \(10\)/)
  })

  t.test('tells the tokens of a user apart by their time', async t => {
    const { list } = listOf(100)
    list.add(entry('u', 'user'))
    t.ok(list.isRevoked(sessionless))
    t.notOk(list.isRevoked({ ...sessionless, issuedAt: user.issuedAt + 1 }))
    t.notOk(list.isRevoked({ ...sessionless, id: 'v' }))
    t.ok(list.isRevoked(user), 'a session that began until then')
    t.ok(list.isRevoked({ ...user, issuedAt: user.issuedAt + 1 }), 'a token that it got by a refresh meanwhile')
    t.notOk(list.isRevoked({ ...user, sessionId: sessionIdAt(at + 1) }), 'one that began afterwards')
    t.notOk(list.isRevoked({ ...user, id: 'v' }))
  })

  t.test('ends the older sessions of a user alone', async t => {
    const { list } = listOf(100)
    list.add(entry('u', 'sessions'))
    t.ok(list.isRevoked(user))
    t.notOk(list.isRevoked(sessionless))
    t.notOk(list.isRevokedSince('u', at), 'no login is refused')
    t.equal(list.beginning('u', at), at + 1, 'but begins later')
  })

  t.test('tells the tokens of a session apart by the version of its row', async t => {
    const { list } = listOf(100)
    list.add(entry(`${session}.5`))
    list.add(entry(`${session}.3`))
    t.ok(list.isRevoked({ ...user, tokenId: tokenIdFor(2, 4) }))
    t.ok(list.isRevoked({ ...user, tokenId: tokenIdFor(null, 4) }))
    t.notOk(list.isRevoked({ ...user, tokenId: tokenIdFor(2, 5) }))
    t.notOk(list.isEnded(session, 'u'))
  })

  t.test('tells which of a login and a revocation came first', async t => {
    const { list, setTime } = listOf(100)
    const before = list.mark()
    list.add(entry('u', 'user', list.next('u')))
    t.ok(list.isRevokedSince('u', before))
    const after = list.mark()
    t.notOk(list.isRevokedSince('u', after), 'in the same millisecond')
    setTime(at - 1000)
    list.add(entry('u', 'user', list.next('u')))
    t.ok(list.isRevokedSince('u', after), 'by a clock that was set back')
    list.add(entry('v', 'user', at + 3_600_000))
    t.notOk(list.isRevokedSince('v', list.mark()), 'by another server whose clock is ahead')
  })

  t.test('orders logins and revocations of servers whose clocks differ by up to a minute', async t => {
    for (const ahead of [1, 50, 30_000, 60_000]) {
      const { list, setTime } = listOf(100)
      list.add(entry('u', 'user', at + ahead))
      t.ok(list.isRevoked({ ...user, sessionId: sessionIdAt(at + ahead) }), 'the sessions of the server that is ahead')
      setTime(at + 10)
      const marks = { u: list.mark(), v: list.mark() }
      t.notOk(list.isRevokedSince('u', marks.u), 'a login right after it is let in')
      const began = list.beginning('u', marks.u)
      t.notOk(list.isRevoked({ ...user, sessionId: sessionIdAt(began) }))
      t.ok(began <= list.next('u'), 'and ends when the user is revoked once more here')
      // By a server whose clock is right, and which has heard of the first.
      list.add(entry('v', 'user', at + 20))
      t.ok(list.isRevokedSince('v', marks.v), 'a login of somebody else that had begun')
      t.ok(list.isRevoked({ ...user, id: 'v', sessionId: sessionIdAt(list.beginning('v', marks.v) - 1) }))
    }
  })

  t.test('leaves the later of two times until which the sessions of a user have to end', async t => {
    const { list, setTime } = listOf(100)
    for (const time of [at, at - 1000]) {
      list.add({ ...entry('u', 'user', time), expiresAt: 0 })
      setTime(at + 120_001)
      list.purge()
      setTime(at)
    }
    t.strictSame([...list.leaving.users], [['u', at]])
  })
})

async function loggedIn (sessions: Sessions, userId = 'test:1') {
  const { sessionId, tokenId } = await logIn(sessions, userId)
  return { id: userId, sessionId, tokenId, issuedAt: now() }
}

function now (): number {
  return Math.floor(Date.now() / 1000)
}
