import { mock } from 'node:test'
import t, { type Test } from 'tap'
import { errors } from '../../src/errors.js'
import type { Identity } from '../../src/identity.js'
import type { Sessions } from '../../src/sessions/sessions.js'
import { memoryStore } from '../../src/sessions/stores/memory.js'
import { storeKinds, type PrivateStore } from './private-stores.js'
import { identity, logIn, refresh, refusing, sessionsOn, twoServers, userOf, welcome } from './two-servers.js'

const refreshReused = { code: errors.RefreshReusedError.code }
const sessionRevoked = { code: errors.SessionRevokedError.code }
const sessionExpired = { code: errors.SessionExpiredError.code }
const oneSecond = 1000
const oneDay = 86_400 * oneSecond

/** Each row is one story of a client and two servers. */
const stories: Record<string, (t: Test, one: Sessions, other: Sessions) => Promise<void>> = {
  'a refresh answers a new token, and the lookup is asked with the whole identity': async (t, one, other) => {
    const login = await logIn(one)
    let asked: Identity | undefined
    const next = await refresh(other, login.refreshToken, async who => {
      asked = who
      return { userId: 'test:1', level: 'admin' }
    })
    t.strictSame(asked, identity)
    t.ok(Object.isFrozen(asked) && Object.isFrozen(asked?.claims))
    t.strictSame(next.granted, { userId: 'test:1', level: 'admin' })
    t.equal(next.sessionId, login.sessionId)
    t.not(next.refreshToken, login.refreshToken)
    t.not(next.tokenId, login.tokenId)
  },
  'a lost answer: the same successor, at once and a day later, from either server': async (t, one, other) => {
    const login = await logIn(one)
    const { refreshToken } = await refresh(one, login.refreshToken, welcome)
    t.equal((await refresh(other, login.refreshToken, welcome)).refreshToken, refreshToken)
    mock.timers.tick(oneDay)
    t.equal((await refresh(one, login.refreshToken, welcome)).refreshToken, refreshToken)
    await refresh(other, refreshToken, welcome)
  },
  'an access token that came with the successor shows that it arrived': async (t, one, other) => {
    const login = await logIn(one)
    const next = await refresh(one, login.refreshToken, welcome)
    one.seen(userOf(next))
    t.equal((await refresh(one, login.refreshToken, welcome)).refreshToken, next.refreshToken)
    await written(one)
    mock.timers.tick(29 * oneSecond)
    t.equal((await refresh(other, login.refreshToken, welcome)).refreshToken, next.refreshToken)
    mock.timers.tick(2 * oneSecond)
    await t.rejects(refresh(other, login.refreshToken, welcome), refreshReused)
    await t.rejects(refresh(one, next.refreshToken, welcome), sessionRevoked)
  },
  'an access token of the login says nothing of its successor': async (t, one) => {
    const login = await logIn(one)
    const next = await refresh(one, login.refreshToken, welcome)
    one.seen(userOf(login))
    mock.timers.tick(oneDay)
    t.equal((await refresh(one, login.refreshToken, welcome)).refreshToken, next.refreshToken, 'still answered')
  },
  'presenting the successor shows that it arrived, even where the lookup fails': async (t, one) => {
    const login = await logIn(one)
    const next = await refresh(one, login.refreshToken, welcome)
    await t.rejects(
      refresh(one, next.refreshToken, async () => {
        throw new errors.LookupFailedError()
      }),
      { code: errors.LookupFailedError.code }
    )
    mock.timers.tick(31 * oneSecond)
    await t.rejects(refresh(one, login.refreshToken, welcome), refreshReused)
  },
  'a token before the predecessor is theft at once, and ends the session for both': async (t, one, other) => {
    const login = await logIn(one)
    const second = await refresh(one, login.refreshToken, welcome)
    const third = await refresh(other, second.refreshToken, welcome)
    await t.rejects(refresh(one, login.refreshToken, welcome), refreshReused)
    for (const { refreshToken } of [login, second, third]) {
      await t.rejects(refresh(other, refreshToken, welcome), sessionRevoked)
    }
    t.throws(() => one.check(userOf(third)), { code: errors.TokenRevokedError.code })
  },
  'a lookup that fails changes nothing': async (t, one, other) => {
    const login = await logIn(one)
    await t.rejects(
      refresh(one, login.refreshToken, async () => {
        throw new errors.LookupFailedError()
      }),
      { code: errors.LookupFailedError.code }
    )
    mock.timers.tick(oneDay)
    const next = await refresh(other, login.refreshToken, welcome)
    t.equal((await refresh(one, login.refreshToken, welcome)).refreshToken, next.refreshToken)
  },
  'a lookup that answers null ends the session': async (t, one, other) => {
    const login = await logIn(one)
    await t.rejects(refresh(one, login.refreshToken, async () => null), { code: errors.AccessDeniedError.code })
    await t.rejects(refresh(other, login.refreshToken, welcome), sessionRevoked)
  },
  'a session that ends during the lookup is not advanced': async (t, one, other) => {
    const login = await logIn(one)
    await t.rejects(refresh(one, login.refreshToken, async () => {
      await other.revokeUser('test:1')
      return { userId: 'test:1' }
    }), sessionRevoked)
  },
  'a session that was not used for 30 days has expired': async (t, one, other) => {
    const login = await logIn(one)
    mock.timers.tick(30 * oneDay - oneSecond)
    const { refreshToken } = await refresh(one, login.refreshToken, welcome)
    mock.timers.tick(30 * oneDay - oneSecond)
    const last = await refresh(other, refreshToken, welcome)
    mock.timers.tick(30 * oneDay)
    await t.rejects(refresh(one, last.refreshToken, welcome), sessionExpired)
  },
  'a session ends after 365 days, however often it was used': async (t, one) => {
    let { refreshToken } = await logIn(one)
    for (let day = 0; day < 364; day += 28) {
      refreshToken = (await refresh(one, refreshToken, welcome)).refreshToken
      mock.timers.tick(28 * oneDay)
    }
    refreshToken = (await refresh(one, refreshToken, welcome)).refreshToken
    mock.timers.tick(oneDay)
    await t.rejects(refresh(one, refreshToken, welcome), sessionExpired)
  },
  'a clock that is set back by an hour logs nobody out': async (t, one, other) => {
    const login = await logIn(one)
    const next = await refresh(one, login.refreshToken, welcome)
    one.seen(userOf(next))
    await written(one)
    mock.timers.setTime(Date.now() - 3600 * oneSecond)
    t.equal((await refresh(other, login.refreshToken, welcome)).refreshToken, next.refreshToken)
    const last = await refresh(other, next.refreshToken, welcome)
    t.ok((await other.list('test:1', last.sessionId)).some(({ id, current }) => current && id === last.sessionId))
  },
  'the access tokens of before a change of the user\'s id are refused, the new ones and their retries are good':
    async (t, one, other) => {
      const login = await logIn(one, 'test:moved')
      const renewed = await (await one.claim(login.sessionId)).advance('test:moved')
      const move = async () => ({ userId: 'account:moved' })
      const next = await refresh(other, login.refreshToken, move)
      const again = await refresh(one, login.refreshToken, move)
      t.equal(again.refreshToken, next.refreshToken)
      for (const server of [one, other]) {
        for (const { tokenId, sessionId } of [login, renewed]) {
          await refusing(() => server.check({ ...userOf({ tokenId, sessionId }), id: 'test:moved' }))
        }
        for (const grant of [next, again]) server.check({ ...userOf(grant), id: 'account:moved' })
      }
      const later = await refresh(other, next.refreshToken, move)
      for (const grant of [next, later]) one.check({ ...userOf(grant), id: 'account:moved' })
      await one.revokeUser('account:moved')
      for (const grant of [next, again, later]) {
        t.throws(() => one.check({ ...userOf(grant), id: 'account:moved' }), { code: errors.TokenRevokedError.code })
      }
      await t.rejects(refresh(other, later.refreshToken, move), sessionRevoked)
    },
  'a retry, and a renewal, by which the user\'s id changes end the tokens of before as well': async (t, one, other) => {
    const login = await logIn(one, 'test:moved')
    const next = await refresh(one, login.refreshToken, async () => ({ userId: 'test:moved' }))
    const moved = await refresh(other, login.refreshToken, async () => ({ userId: 'account:moved' }))
    t.equal(moved.refreshToken, next.refreshToken)
    await refusing(() => one.check({ ...userOf(next), id: 'test:moved' }))
    one.check({ ...userOf(moved), id: 'account:moved' })
    const renewed = { ...await (await one.claim(login.sessionId)).advance('account:other'), refreshToken: '' }
    await refusing(() => other.check({ ...userOf(moved), id: 'account:moved' }))
    other.check({ ...userOf(renewed), id: 'account:other' })
  },
  'a user whose id has changed is found under the new one': async (t, one, other) => {
    const login = await logIn(one, 'test:moved')
    await refresh(other, login.refreshToken, async () => ({ userId: 'account:1' }))
    t.same(await one.list('test:moved', null), [])
    t.match(await one.list('account:1', login.sessionId), [{ id: login.sessionId, current: true }])
  }
}

for (const kind of storeKinds) {
  t.test(kind.name, { skip: kind.missing }, async t => {
    const started = await kind.start()
    t.teardown(() => started.remove())
    for (const [name, story] of Object.entries(stories)) await t.test(name, async t => await told(t, started, story))
  })
}

async function told (
  t: Test,
  started: PrivateStore,
  story: (t: Test, one: Sessions, other: Sessions) => Promise<void>
): Promise<void> {
  const [one, other] = await twoServers(t, started)
  mock.timers.enable({ apis: ['Date'], now: Date.now() })
  t.teardown(() => mock.timers.reset())
  await story(t, one, other)
}

t.test('a session remembers its secret: a new one in front logs nobody out, a retired one does', async t => {
  const started = await storeKinds[0]?.start()
  const store = started?.connect().store
  if (store === undefined) return
  const [old, fresh] = ['the old secret of more than 32 bytes', 'the new secret of more than 32 bytes']
  const before = sessionsOn(store, { secrets: [old] })
  const rotated = sessionsOn(store, { secrets: [fresh, old] })
  const after = sessionsOn(store, { secrets: [fresh] })
  const login = await logIn(before, 'test:1')
  const next = await refresh(rotated, login.refreshToken, welcome)
  t.equal(
    (await refresh(before, login.refreshToken, welcome)).refreshToken,
    next.refreshToken,
    'the successor is that of the old secret'
  )
  await t.rejects(refresh(after, next.refreshToken, welcome), { code: errors.RefreshInvalidError.code })
  t.ok(
    await refresh(after, (await logIn(rotated)).refreshToken, welcome),
    'a new session has the new secret'
  )
})

t.test('callers of one server with one token share one write', async t => {
  const store = memoryStore()
  let writes = 0
  const sessions = sessionsOn({ ...store, replace: async session => { writes++; return await store.replace(session) } })
  t.teardown(() => sessions.close())
  const { refreshToken } = await logIn(sessions)
  const successors = await Promise.all(
    Array.from({ length: 50 }, async () => (await refresh(sessions, refreshToken, welcome)).refreshToken)
  )
  t.equal(new Set(successors).size, 1)
  t.equal(writes, 1)
})

t.test('an identity is bounded', async t => {
  const sessions = sessionsOn(memoryStore())
  for (const claims of [{ big: 'x'.repeat(16_384) }, { big: 1n }]) {
    await t.rejects(async () => await logIn(sessions, 'test:1', { ...identity, claims }), {
      code: errors.ProviderUnavailableError.code
    })
  }
})

// The arrival is written behind the request: wait for the store's own queue, not for time.
async function written (sessions: Sessions): Promise<void> {
  await sessions.flush()
}
