import { stat } from 'node:fs/promises'
import t, { type Test } from 'tap'
import { createDeadlines } from '../../src/deadline.js'
import { errors } from '../../src/errors.js'
import type { SessionStore } from '../../src/sessions/store.js'
import { createStoreCalls } from '../../src/sessions/store-calls.js'
import { realServers, type PrivateStore } from './private-stores.js'
import type { PrivateServer } from './servers.js'
import { logIn, refresh, sessionsOn, twoServers, welcome } from './two-servers.js'

const unavailable = { code: errors.StoreUnavailableError.code, statusCode: 503 }

interface Outage {
  begin(server: PrivateServer): void | Promise<void>
  end(server: PrivateServer): void | Promise<void>
}

const outages: Record<string, Outage> = {
  frozen: { begin: server => server.freeze(), end: server => server.thaw() },
  killed: { begin: server => server.kill(), end: server => server.restart() }
}

for (const kind of realServers) {
  for (const [name, outage] of Object.entries(outages)) {
    t.test(
      `${kind.name} ${name}: 503 in time, nothing lost, no second chain, recovery by itself`,
      { skip: kind.missing },
      async t => {
        const started = await kind.start()
        t.teardown(() => started.remove())
        const { server } = started
        if (server === null) return
        const [one, other] = await twoServers(t, started)
        const login = await logIn(one)
        const second = await refresh(one, login.refreshToken, welcome)
        const user = { id: 'test:1', ...second, issuedAt: Math.floor(Date.now() / 1000) }

        await one.keep('kept before', 'value', 600_000)

        await outage.begin(server)
        const operations: Record<string, () => Promise<unknown>> = {
          login: () => logIn(one),
          refresh: () => refresh(one, second.refreshToken, welcome),
          list: () => one.list('test:1', null),
          logout: () => one.revokeToken({ ...user, sessionId: null, expiresAt: Date.now() / 1000 + 60 }),
          'spending a nonce': () => one.spend([{ key: 'nonce', expiresAt: Date.now() + 600_000 }]),
          'keeping a value': () => one.keep('code', 'value', 60_000),
          'taking a value': () => one.take('kept before')
        }
        for (const [operation, attempt] of Object.entries(operations)) {
          await t.rejects(inTime(attempt), unavailable, operation)
        }
        t.doesNotThrow(() => one.check(user), 'access tokens go on working')
        await outage.end(server)

        await eventually(() => one.list('test:1', null))
        t.equal(await one.spend([{ key: 'nonce', expiresAt: Date.now() + 600_000 }]), true, 'the outage spent nothing')
        const third = await eventually(() => refresh(one, second.refreshToken, welcome))
        t.equal(
          (await eventually(() => refresh(other, second.refreshToken, welcome))).refreshToken,
          third.refreshToken,
          'one chain'
        )
        await refresh(other, third.refreshToken, welcome)
      }
    )

    t.test(
      `${kind.name} ${name} in the middle of a refresh: the client comes again with the same token`,
      { skip: kind.missing },
      async t => {
        const started = await kind.start()
        t.teardown(() => started.remove())
        for (const step of ['read', 'replace'] as const) await brokenAt(t, started, outage, step)
      }
    )
  }
}

async function brokenAt (t: Test, started: PrivateStore, outage: Outage, step: 'read' | 'replace'): Promise<void> {
  const client = started.connect()
  const { server } = started
  if (server === null) return
  let isArmed = false
  // The outage begins right after the step was sent: whether it takes effect is the store's secret.
  const store: SessionStore = {
    ...client.store,
    read: async id => await breaking('read', client.store.read(id)),
    replace: async session => await breaking('replace', client.store.replace(session))
  }
  async function breaking<T> (at: string, call: Promise<T>): Promise<T> {
    if (!isArmed || at !== step || server === null) return await call
    isArmed = false
    const [answer] = await Promise.allSettled([call, outage.begin(server)])
    if (answer.status === 'rejected') throw answer.reason
    return answer.value
  }
  const sessions = sessionsOn(store)
  const login = await eventually(() => logIn(sessions))
  isArmed = true
  await refresh(sessions, login.refreshToken, welcome).then(
    answer => t.type(answer.refreshToken, 'string', `${step}: answered before the outage`),
    error => t.match(error, unavailable, `${step}: 503`)
  )
  await outage.end(server)
  const next = await eventually(() => refresh(sessions, login.refreshToken, welcome))
  t.equal((await refresh(sessions, login.refreshToken, welcome)).refreshToken, next.refreshToken)
  await refresh(sessions, next.refreshToken, welcome)
  await sessions.close()
  await client.close()
}

t.test('a store that never answers', async t => {
  const pending = new Promise<never>(() => {})
  const deadlines = createDeadlines()
  const calls = createStoreCalls(silentStore(pending), deadlines)
  t.teardown(() => deadlines.close())

  t.test('is given up in time, whatever it does', async t => {
    await t.rejects(calls.open(20)(store => store.read('x')), unavailable)
  })

  t.test('is not asked more than 100 times', async t => {
    let asked = 0
    const outcomes = Array.from({ length: 100 }, () => calls.open(1)(store => { asked++; return store.read('x') }))
    await Promise.allSettled(outcomes)
    asked = 0
    await t.rejects(calls.open(1)(store => { asked++; return store.read('x') }), unavailable)
    t.equal(asked, 0)
  })
})

t.test('an answer that came while the process was held up is in time', async t => {
  const deadlines = createDeadlines()
  t.teardown(() => deadlines.close())
  const store: SessionStore = {
    ...silentStore(Promise.reject(new Error('not asked'))),
    read: async () => {
      await stat('.')
      return null
    }
  }
  const answer = createStoreCalls(store, deadlines).open(20)(store => store.read('x'))
  // Held up for longer than the deadline, in one go.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200)
  t.equal(await answer, null)
})

t.test('an error of a client leaves without what the client attached to it', async t => {
  const attached = Object.assign(new Error('READONLY ada@example.com'), {
    code: 'E1',
    command: { args: ['ada@example.com'] }
  })
  const calls = createStoreCalls(silentStore(Promise.reject(attached)), createDeadlines())
  const error = await calls.open()(store => store.read('x')).catch((error: unknown) => error)
  t.match(error, { ...unavailable, reason: 'the store failed: Error E1 READONLY' })
  t.notOk(JSON.stringify([error, error instanceof Error && error.cause]).includes('ada@'))
})

function silentStore (answer: Promise<never>): SessionStore {
  answer.catch(() => {})
  const operation = () => answer
  return {
    create: operation,
    read: operation,
    replace: operation,
    list: operation,
    listByIdentity: operation,
    listByProviderSession: operation,
    end: operation,
    revoke: operation,
    revocations: operation,
    spend: operation,
    keep: operation,
    take: operation,
    sweep: operation
  }
}

/** The contract's second, as a deadline of the test's own. */
async function inTime<T> (work: () => Promise<T>): Promise<T> {
  const deadlines = createDeadlines()
  return await deadlines.within(1000, work)
}

/** A client that comes again until the store is back; the test's time limit ends it. */
async function eventually<T> (work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof Error && Reflect.get(error, 'code') === unavailable.code)) throw error
    }
    await new Promise(resolve => setImmediate(resolve))
  }
}
