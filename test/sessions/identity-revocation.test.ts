import { randomUUID } from 'node:crypto'
import { mock } from 'node:test'
import t from 'tap'
import { errors } from '../../src/errors.js'
import type { Sessions } from '../../src/sessions/sessions.js'
import { keysOf } from '../../src/sessions/session.js'
import type { Revocation } from '../../src/sessions/store.js'
import { memoryStore } from '../../src/sessions/stores/memory.js'
import { sessionServer, tokensIn, twoSessionServers } from '../routes/session-server.js'
import { ownProvider, startApp } from '../server.js'
import { storeKinds } from './private-stores.js'
import { newSession } from './rows.js'
import {
  identity, issuer, logIn, refresh, refusing, sessionsOn, twoServers, until, userOf, welcome
} from './two-servers.js'

const tokenRevoked = { code: errors.TokenRevokedError.code }
const sessionRevoked = { code: errors.SessionRevokedError.code }
const optionInvalid = { code: errors.OptionInvalidError.code }

const google = { ...identity, provider: 'google', subject: '"1"', claims: { sid: 'a' } }
const namesake = { ...google, provider: 'apple' }

for (const kind of storeKinds) {
  t.test(kind.name, { skip: kind.missing }, async t => {
    const started = await kind.start()
    t.teardown(() => started.remove())

    await t.test('an identity: its sessions end whatever users they are of, and no other', async t => {
      const [one, other] = await twoServers(t, started)
      const [mine, linked] = [await loggedIn(one, 'u1', google), await loggedIn(other, 'u2', google)]
      const [same, stranger] = [await loggedIn(one, 'u1'), await loggedIn(other, 'u3', namesake)]
      await one.endIdentity('google', '"1"')
      for (const { user, refreshToken } of [mine, linked]) {
        t.throws(() => one.check(user), tokenRevoked, 'at once here')
        await refusing(() => other.check(user))
        await t.rejects(refresh(other, refreshToken, async () => ({ userId: user.id })), sessionRevoked)
      }
      for (const { user } of [same, stranger]) for (const server of [one, other]) server.check(user)
      const again = await loggedIn(one, 'u1', google)
      for (const server of [one, other]) {
        t.doesNotThrow(() => server.check(again.user), 'a login right after it is let in')
      }
      await refresh(other, again.refreshToken, async () => ({ userId: 'u1' }))
    })

    await t.test('what it began later goes on', async t => {
      const [one, other] = await twoServers(t, started)
      const first = await loggedIn(one, 'u4', google)
      const before = Date.now()
      await until(() => Date.now() > before)
      const second = await loggedIn(one, 'u4', google)
      await one.endIdentity('google', '"1"', before)
      t.throws(() => one.check(first.user), tokenRevoked)
      await refusing(() => other.check(first.user))
      for (const server of [one, other]) server.check(second.user)
      await t.rejects(refresh(one, first.refreshToken, welcome), sessionRevoked)
      await refresh(one, second.refreshToken, async () => ({ userId: 'u4' }))
    })

    await t.test('the clocks of the store and of its server differ: the provider may go by either', async t => {
      for (const ahead of [30_000, -30_000]) {
        const { store, close } = started.connect()
        const sessions = sessionsOn({ ...store, now: async () => Date.now() + ahead })
        await sessions.open()
        t.teardown(async () => { await sessions.close(); await close() })
        for (const clock of [Date.now, () => Date.now() + ahead]) {
          const who = { ...google, subject: randomUUID(), claims: { sid: randomUUID() } }
          const first = await loggedIn(sessions, who.subject, who)
          const second = await loggedIn(sessions, who.subject, who)
          await sessions.endProviderSession('google', who.claims.sid, clock() + 1)
          for (const { user } of [first, second]) t.throws(() => sessions.check(user), tokenRevoked)
          const third = await loggedIn(sessions, who.subject, who)
          await sessions.endIdentity('google', who.subject, clock() + 1)
          t.throws(() => sessions.check(third.user), tokenRevoked)
        }
      }
    })

    await t.test('a session at the provider: what began in it ends, and nothing else', async t => {
      const [one, other] = await twoServers(t, started)
      const inTab = { ...google, claims: { sid: 'tab' } }
      const [mine, later] = [await loggedIn(one, 'u5', inTab), await loggedIn(other, 'u6', inTab)]
      const others = [
        await loggedIn(one, 'u5', { ...google, claims: { sid: 'phone' } }), await loggedIn(one, 'u5', google),
        await loggedIn(one, 'u5', { ...namesake, claims: { sid: 'tab' } })
      ]
      await one.endProviderSession('google', 'tab', 0)
      one.check(mine.user)
      await one.endProviderSession('google', 'tab')
      for (const { user, refreshToken } of [mine, later]) {
        t.throws(() => one.check(user), tokenRevoked)
        await refusing(() => other.check(user))
        await t.rejects(refresh(other, refreshToken, async () => ({ userId: user.id })), sessionRevoked)
      }
      for (const { user } of others) for (const server of [one, other]) server.check(user)
    })

    await t.test('its rows end, however many there are', async t => {
      const [one] = await twoServers(t, started)
      const { store, close } = started.connect()
      t.teardown(close)
      const many = { ...google, subject: 'many', claims: { sid: 'many' } }
      const { identityKey, providerSession } = keysOf(many)
      const rows = (count: number) => Array.from({ length: count }, (_, number) =>
        newSession({ issuer, userId: `m${number % 10}`, identityKey, providerSession, createdAt: Date.now() - 1000 }))
      await Promise.all(rows(1200).map(async row => await store.create(row)))
      await one.endIdentity('google', 'many')
      await one.flush()
      t.same(await store.listByIdentity(issuer, identityKey ?? ''), [])
      await Promise.all(rows(250).map(async row => await store.create(row)))
      await one.endProviderSession('google', 'many')
      t.same(await store.listByProviderSession(issuer, providerSession ?? ''), [])
    })
  })
}

t.test('a server that goes away before the rows have ended: another ends them before it forgets', async t => {
  const store = memoryStore()
  const gone = sessionsOn({
    ...store,
    end: async (_ids: readonly string[], entries: readonly Revocation[]) => await store.revoke(entries)
  })
  const login = await logIn(gone, 'test:1', google)
  await gone.endIdentity('google', '"1"')
  await gone.close()
  const revokedBy = Date.now()
  await until(() => Date.now() > revokedBy)
  t.equal((await store.read(login.sessionId))?.ended, false)
  const after = await logIn(sessionsOn(store), 'test:1', google)
  const other = sessionsOn(store)
  await other.open()
  t.teardown(() => other.close())
  mock.timers.enable({ apis: ['Date'], now: Date.now() + 2 * 3_600_000 })
  t.teardown(() => mock.timers.reset())
  await until(async () => (await store.read(login.sessionId))?.ended === true)
  await t.rejects(refresh(other, login.refreshToken, welcome), sessionRevoked)
  await refresh(other, after.refreshToken, welcome)
})

t.test('a session of before there were identity keys has them after its next refresh', async t => {
  const store = memoryStore()
  const sessions = sessionsOn({
    ...store,
    create: async session => await store.create({ ...session, identityKey: null, providerSession: null })
  })
  t.teardown(() => sessions.close())
  const login = await logIn(sessions, 'test:1', google)
  const { refreshToken } = await refresh(sessions, login.refreshToken, welcome)
  t.match(await store.read(login.sessionId), { identityKey: '["google","\\"1\\""]', providerSession: '["google","a"]' })
  await sessions.endIdentity('google', '"1"')
  await t.rejects(refresh(sessions, refreshToken, welcome), sessionRevoked)
})

t.test('a store that goes on listing what it has ended is not asked for ever', async t => {
  const listed = Array.from({ length: 100 }, () => newSession({ issuer, providerSession: '["google","a"]' }))
  let asked = 0
  const sessions = sessionsOn({ ...memoryStore(), listByProviderSession: async () => ++asked < 5 ? listed : [] })
  t.teardown(() => sessions.close())
  await sessions.endProviderSession('google', 'a')
  t.equal(asked, 2)
})

t.test('entries that name nobody meet nobody', async t => {
  const store = memoryStore()
  const at = Date.now() + 50_000
  for (const id of ['', 'google', '{}', '[]', '["google"]', '[null,null]', 'null', '[["google"],["\\"1\\""]]']) {
    await store.revoke([{ kind: 'identity', issuer, id, at, expiresAt: at }])
  }
  const sessions = sessionsOn(store)
  await sessions.open()
  t.teardown(() => sessions.close())
  const { user } = await loggedIn(sessions, 'u1', google)
  for (const who of [{}, { provider: null, subject: null }]) t.doesNotThrow(() => sessions.check({ ...user, ...who }))
  t.doesNotThrow(() => sessions.check(user))
})

t.test('app.tokenExchange.revokeIdentity, over HTTP', async t => {
  const [server, other] = await twoSessionServers(t, {
    permissions: async ({ subject }) => ({ userId: `known-${subject}`, permissions: [] })
  })
  const tokens = await server.login()
  t.equal(await other.call(tokens.access), 200)
  await server.app.tokenExchange.revokeIdentity('own', '10157')
  await server.app.tokenExchange.revokeIdentity('another', '10158')
  await server.app.tokenExchange.revokeIdentity('own', '10158', { before: Date.now() - 3_600_000 })
  for (const { call } of [server, other]) t.equal(await call(tokens.access), 200)
  await server.app.tokenExchange.revokeIdentity('own', '10158')
  t.equal(await server.call(tokens.access), 401)
  await until(async () => await other.call(tokens.access) === 401)
  t.equal((await other.refresh(tokens.refresh)).json().code, errors.SessionRevokedError.code)
  const again = await server.login()
  for (const { call } of [server, other]) t.equal(await call(again.access), 200, 'a login right after it is let in')
})

t.test('revokeIdentity says what it cannot do', async t => {
  const { app } = await sessionServer(t)
  const revoke = async (...given: unknown[]) =>
    await Reflect.apply(app.tokenExchange.revokeIdentity, app.tokenExchange, given)
  const rows: unknown[][] = [
    [], ['own'], ['', '1'], ['own', ''], ['own', 1], ['own', 'a\0'], ['own', 'a'.repeat(256)], ['own', '1', null],
    ['own', '1', { before: 'now' }], ['own', '1', { before: -1 }], ['own', '1', { before: 1.5 }],
    ['own', '1', { since: 1 }]
  ]
  for (const row of rows) await t.rejects(revoke(...row), optionInvalid, JSON.stringify(row))
  const without = await startApp(t, { providers: { own: ownProvider() } })
  await t.rejects(without.tokenExchange.revokeIdentity('own', '1'), optionInvalid)
})

t.test('a store of an application that is older goes on, and says what it lacks where that is needed', async t => {
  const { keep, take, listByIdentity, listByProviderSession, ...older } = memoryStore()
  const app = await startApp(t, { providers: { own: ownProvider() }, sessions: { store: Object.assign(older) } })
  const answer = await app.inject({ method: 'POST', url: '/login/own', payload: { access_token: 'good' } })
  t.equal(answer.statusCode, 200)
  await app.tokenExchange.revokeUser('own:10158')
  await t.rejects(async () => app.tokenExchange.verify(tokensIn(answer).access), tokenRevoked)
  await t.rejects(app.tokenExchange.revokeIdentity('own', '10158'), {
    ...optionInvalid,
    message: /sessions\.store lacks listByIdentity.*SessionStore/
  })
})

async function loggedIn (sessions: Sessions, userId: string, who = identity) {
  const grant = await logIn(sessions, userId, who)
  return { user: userOf(grant, userId, who), refreshToken: grant.refreshToken }
}
