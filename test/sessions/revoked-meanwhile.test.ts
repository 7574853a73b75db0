import t from 'tap'
import { errors } from '../../src/errors.js'
import type { Sessions } from '../../src/sessions/sessions.js'
import type { SessionStore } from '../../src/sessions/store.js'
import { memoryStore } from '../../src/sessions/stores/memory.js'
import { sessionServer, tokensIn } from '../routes/session-server.js'
import { ownProvider, vouch } from '../server.js'
import { openGate } from './gate.js'
import { storeKinds } from './private-stores.js'
import { identity, issuer, logIn, refresh, refusing, sessionsOn, twoServers, userOf, welcome } from './two-servers.js'

const accessDenied = { code: errors.AccessDeniedError.code, statusCode: 403 }
const sessionRevoked = { code: errors.SessionRevokedError.code }
const tokenRevoked = { code: errors.TokenRevokedError.code }

/** Where in a login its user, or its identity, is revoked. */
const steps: Record<string, (store: SessionStore, revoke: () => Promise<void>) => Partial<SessionStore>> = {
  'while its sessions are counted': (store, revoke) => ({
    list: async (...asked) => {
      const listed = await store.list(...asked)
      await revoke()
      return listed
    }
  }),
  'before its session is written': (store, revoke) => ({
    create: async session => {
      await revoke()
      await store.create(session)
    }
  }),
  'after its session has been written': (store, revoke) => ({
    create: async session => {
      await store.create(session)
      await revoke()
    }
  })
}

const revocations: Record<string, (sessions: Sessions) => Promise<void>> = {
  user: sessions => sessions.revokeUser('test:1'),
  identity: ({ endIdentity }) => endIdentity(identity.provider, identity.subject),
  'session at the provider': ({ endProviderSession }) => endProviderSession(identity.provider, 'tab')
}

const inTab = { ...identity, claims: { sid: 'tab' } }

for (const [step, broken] of Object.entries(steps)) {
  for (const [whose, revoke] of Object.entries(revocations)) {
    t.test(`a login whose ${whose} is revoked ${step} is refused, and leaves no session`, async t => {
      const store = memoryStore()
      let isArmed = true
      const sessions: Sessions = sessionsOn({
        ...store,
        ...broken(store, async () => {
          if (!isArmed) return
          isArmed = false
          await revoke(sessions)
        })
      })
      t.teardown(() => sessions.close())
      await t.rejects(logIn(sessions, 'test:1', inTab), accessDenied)
      await sessions.flush()
      t.strictSame(await store.list(issuer, 'test:1', 10), [])
      sessions.check(userOf(await logIn(sessions, 'test:1', inTab)))
    })
  }
}

for (const kind of storeKinds) {
  t.test(kind.name, { skip: kind.missing }, async t => {
    const started = await kind.start()
    t.teardown(() => started.remove())

    await t.test('a login that another server revokes before it is answered', async t => {
      const [one, other] = await twoServers(t, started)
      const mark = one.mark()
      await other.revokeUser('test:1')
      await refusing(() => one.confirm(identity, 'test:1', mark), accessDenied.code)
      await t.rejects(one.begin(identity, 'test:1', mark), accessDenied)
      one.check(userOf(await logIn(one)))
    })

    await t.test('a login that is answered before its server has learned of it: the tokens are refused', async t => {
      const [one, other] = await twoServers(t, started)
      const mark = one.mark()
      await other.revokeUser('test:2')
      one.unfollow()
      const grant = await one.begin(identity, 'test:2', mark).catch(error => {
        t.match(error, accessDenied, 'it had learned of it')
        return null
      })
      if (grant === null) return
      await t.rejects(refresh(other, grant.refreshToken, async () => ({ userId: 'test:2' })), sessionRevoked)
      t.throws(() => other.check(userOf(grant, 'test:2')), tokenRevoked)
    })

    await t.test('a login in a session at the provider that another server has ended is refused', async t => {
      const [one, other] = await twoServers(t, started)
      one.unfollow()
      const mark = one.mark()
      await other.endProviderSession(identity.provider, 'tab')
      await t.rejects(one.begin(inTab, 'test:3', mark), accessDenied, 'though nobody has told its server')
      const phone = await one.begin({ ...identity, claims: { sid: 'phone' } }, 'test:3', mark)
      const later = await logIn(one, 'test:3', inTab)
      for (const grant of [phone, later]) {
        for (const server of [one, other]) server.check(userOf(grant, 'test:3'))
        await refresh(other, grant.refreshToken, async () => ({ userId: 'test:3' }))
      }
    })

    await t.test('a login that was in such a session before: its row ends with the others', async t => {
      const [one, other] = await twoServers(t, started)
      for (let round = 0; round < 10; round++) {
        const sid = `tab ${round}`
        const login = one.begin({ ...identity, claims: { sid } }, 'test:4', one.mark())
        const [begun] = await Promise.allSettled([login, other.endProviderSession(identity.provider, sid)])
        if (begun.status === 'rejected') t.match(begun.reason, accessDenied)
        else await refusing(() => other.check(userOf(begun.value, 'test:4')))
      }
    })

    await t.test('a refresh whose user is revoked during the lookup', async t => {
      const [one, other] = await twoServers(t, started)
      for (const [here, there] of [[one, one], [one, other]] as const) {
        const login = await logIn(here)
        await t.rejects(refresh(here, login.refreshToken, async () => {
          await there.revokeUser('test:1')
          return { userId: 'test:1' }
        }), sessionRevoked)
        await t.rejects(refresh(here, login.refreshToken, welcome), sessionRevoked)
      }
    })
  })
}

t.test('a refresh whose user is revoked while it is written hands out nothing that is good', async t => {
  const store = memoryStore()
  let isArmed = true
  const sessions: Sessions = sessionsOn({
    ...store,
    replace: async session => {
      const isWritten = await store.replace(session)
      if (isArmed) {
        isArmed = false
        await sessions.revokeUser('test:1')
      }
      return isWritten
    }
  })
  t.teardown(() => sessions.close())
  const login = await logIn(sessions)
  await t.rejects(refresh(sessions, login.refreshToken, welcome), sessionRevoked)
  t.equal((await store.read(login.sessionId))?.ended, true)
})

t.test('forty logins and a ban in their midst: none survives, over HTTP', async t => {
  const answers = { login: '/login/own', 'token exchange': '/token' }
  for (const [name, url] of Object.entries(answers)) {
    await t.test(name, async t => {
      const gate = openGate()
      const server = await sessionServer(t, {
        concurrency: 100,
        providers: { own: ownProvider(async grant => { await gate.pass(); return vouch(grant) }) }
      })
      const payload = url === '/token'
        ? {
            grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
            subject_issuer: 'own',
            subject_token: 'good',
            subject_token_type: 'urn:ietf:params:oauth:token-type:access_token'
          }
        : { access_token: 'good' }
      const logins = Array.from({ length: 40 }, () => server.app.inject({ method: 'POST', url, payload }))
      while (gate.count() < 40) await new Promise(resolve => setImmediate(resolve))
      await server.app.tokenExchange.revokeUser('own:10158')
      gate.open()
      for (const answer of await Promise.all(logins)) {
        t.equal(answer.statusCode, url === '/token' ? 400 : 403)
        t.equal(answer.json().code, 'AUTH_ERR_ACCESS_DENIED')
      }
      const after = tokensIn(await server.app.inject({ method: 'POST', url, payload }))
      t.equal(await server.call(after.access), 200, 'a login right after it')
      t.equal((await server.refresh(after.refresh)).statusCode, 200)
    })
  }
})

t.test('a ban after the nonce was spent, over HTTP: nothing is handed out', async t => {
  const store = memoryStore()
  const server = await sessionServer(t, {
    providers: {
      own: ownProvider(() => ({ subject: '10158', claims: { sub: '10158', iat: 1 } }), { replay: 'refuse' })
    },
    sessions: {
      store: {
        ...store,
        spend: async keys => {
          const isSpent = await store.spend(keys)
          await server.app.tokenExchange.revokeUser('own:10158')
          return isSpent
        }
      }
    }
  })
  const answer = await server.app.inject({ method: 'POST', url: '/login/own', payload: { id_token: 'x' } })
  t.equal(answer.statusCode, 403)
  t.equal(answer.json().code, 'AUTH_ERR_ACCESS_DENIED')
  t.strictSame(await store.list('https://api.example.com', 'own:10158', 10), [])
})
