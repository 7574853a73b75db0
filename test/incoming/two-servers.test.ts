import { mock } from 'node:test'
import t from 'tap'
import type { SessionStore } from '../../src/sessions/store.js'
import { memoryStore } from '../../src/sessions/stores/memory.js'
import { codeIn } from '../server.js'
import { openGate } from '../sessions/gate.js'
import { storeKinds } from '../sessions/private-stores.js'
import type { EventPost } from '../../src/testing/index.js'
import { eventServer, idp, senderNames, senders, type EventServer, type SenderName } from './senders.js'

t.teardown(() => idp.close())

for (const kind of storeKinds) {
  t.test(kind.name, { skip: kind.missing }, async t => {
    const started = await kind.start()
    t.teardown(() => started.remove())

    async function server (listen = async () => {}): Promise<EventServer & { told: unknown[], looks: () => number }> {
      const { store, close } = started.connect()
      const told: unknown[] = []
      let looks = 0
      const watched = { ...store, take: async (key: string) => { looks++; return await store.take(key) } }
      const one = await eventServer(t, {
        sessions: { store: watched },
        onProviderEvent: async event => { told.push(event); await listen() }
      })
      t.teardown(async () => {
        await one.app.close()
        await close()
      })
      return { ...one, told, looks: () => looks }
    }

    for (const name of senderNames) {
      await t.test(`${name}: exactly the sessions that it names end, on both servers`, async t => {
        const [one, other] = [await server(), await server()]
        const gone = [await one.login(name, '201'), await other.login(name, '201')]
        const staying = [await one.login(name, '202'), await other.login(name, '202')]
        const elsewhere = senderNames.filter(another => another !== name)
        for (const another of elsewhere) staying.push(await other.login(another, '201'))
        const event = await senders[name].revoke('201')
        t.equal((await one.post(name, event)).statusCode, senders[name].status)
        for (const { access, refresh } of gone) {
          t.equal(await one.call(access), 401, 'here before the provider is answered')
          while (await other.call(access) === 200) await new Promise(resolve => setImmediate(resolve))
          t.equal(await other.refresh(refresh), 400)
        }
        for (const { access } of staying) {
          for (const { call } of [one, other]) t.equal(await call(access), 200, 'no other')
        }
        for (const { refresh } of staying) t.equal(await one.refresh(refresh), 200)
        t.equal((await other.post(name, event)).statusCode, senders[name].status)
        t.equal(one.told.length + other.told.length, 1, 'done once, whichever server it comes to again')
      })
    }

    await t.test('the same event at both servers at once: the application is told once', async t => {
      const gate = openGate()
      const [one, other] = [await server(gate.pass), await server(gate.pass)]
      const event = await senders.apple.revoke('208')
      const deliveries = Array.from({ length: 6 }, (_, number) =>
        deliver(number % 2 === 0 ? one : other, 'apple', event))
      while (gate.count() === 0) await new Promise(resolve => setImmediate(resolve))
      const waiting = one.told.length === 0 ? one : other
      while (waiting.looks() < 3) await new Promise(resolve => setImmediate(resolve))
      gate.open()
      await Promise.all(deliveries)
      t.equal(one.told.length + other.told.length, 1)
      for (let round = 0; round < 10; round++) {
        const again = await senders.google.revoke('208')
        await Promise.all([one, other, one, other].map(server => deliver(server, 'google', again)))
        t.equal(one.told.length + other.told.length, round + 2)
      }
    })

    await t.test('where the first one fails, the other one is told in its place', async t => {
      const gate = openGate()
      const one = await server(async () => { await gate.pass(); throw new Error('the database is down') })
      const other = await server()
      const event = await senders.apple.revoke('209')
      const failing = one.post('apple', event)
      while (gate.count() === 0) await new Promise(resolve => setImmediate(resolve))
      const taking = deliver(other, 'apple', event)
      while (other.looks() < 2) await new Promise(resolve => setImmediate(resolve))
      t.equal(other.told.length, 0, 'not while the first one is at it')
      gate.open()
      t.equal((await failing).statusCode, 503)
      await taking
      t.equal((await one.post('apple', event)).statusCode, 200)
      t.same([one.told.length, other.told.length], [1, 1])
    })

    await t.test('a session at the provider ends on both servers', async t => {
      const [one, other] = [await server(), await server()]
      const inSession = async (server: EventServer, sid: string) =>
        await server.login('oidc', '203', { id_token: await idp.oidc.idToken({ sub: '203', sid }) })
      const [tab, phone] = [await inSession(one, 'tab'), await inSession(other, 'phone')]
      t.equal((await other.post('oidc', await idp.oidc.logout({ sid: 'tab' }))).statusCode, 200)
      while (await one.call(tab.access) === 200) await new Promise(resolve => setImmediate(resolve))
      t.equal(await other.call(tab.access), 401)
      for (const { call } of [one, other]) t.equal(await call(phone.access), 200)
    })
  })
}

/** As providers do: what is answered 503 comes again. A busy machine may wait for its turn too long. */
async function deliver ({ post }: EventServer, name: SenderName, event: EventPost): Promise<void> {
  for (let status = 503; status === 503;) status = (await post(name, event)).statusCode
}

const outages: Record<string, (store: SessionStore) => Partial<SessionStore>> = {
  'while it is looked for': store => ({ take: failingOnce(store.take) }),
  'while sessions end': store => ({ revoke: failingOnce(store.revoke), end: failingOnce(store.end) }),
  'while it is remembered': store => ({ keep: failingOnce(store.keep) })
}

function failingOnce<Args extends unknown[], Answer> (operation: (...args: Args) => Promise<Answer>) {
  let isDown = true
  return async (...args: Args): Promise<Answer> => {
    if (!isDown) return await operation(...args)
    isDown = false
    throw new Error('the store is down')
  }
}

for (const [when, broken] of Object.entries(outages)) {
  t.test(`the store fails ${when}: 503, sent again, and done`, async t => {
    const store = memoryStore()
    const told: string[] = []
    const { post, login, call } = await eventServer(t, {
      sessions: { store: { ...store, ...broken(store) } }, onProviderEvent: ({ id }) => { told.push(String(id)) }
    })
    const { access } = await login('apple', '204')
    const event = await idp.apple.notify('account-delete', '204')
    const failed = await post('apple', event)
    t.equal(failed.statusCode, 503)
    t.equal(codeIn(failed.body), 'AUTH_ERR_STORE_UNAVAILABLE')
    t.ok(failed.headers['retry-after'])
    while ((await post('apple', event)).statusCode !== 200) t.comment('again')
    t.equal(await call(access), 401)
    t.equal(new Set(told).size, 1, 'at least once')
    const count = told.length
    t.equal((await post('apple', event)).statusCode, 200)
    t.equal(told.length, count)
  })
}

t.test('a server that goes away while it takes an event: another one takes it a little later', async t => {
  const store = memoryStore()
  const told: string[] = []
  const onProviderEvent = ({ id }: { id: string | null }): void => { told.push(String(id)) }
  const gone = { ...store, keep: async () => { throw new Error('gone') } }
  const one = await eventServer(t, { sessions: { store: gone }, onProviderEvent })
  const other = await eventServer(t, { sessions: { store }, onProviderEvent })
  const event = await senders.apple.revoke('210')
  t.equal((await one.post('apple', event)).statusCode, 503)
  const early = await other.post('apple', event)
  t.equal(early.statusCode, 503)
  t.equal(codeIn(early.body), 'AUTH_ERR_EVENT_FAILED')
  mock.timers.enable({ apis: ['Date'], now: Date.now() + 30_000 })
  t.teardown(() => mock.timers.reset())
  for (let time = 0; time < 2; time++) t.equal((await other.post('apple', event)).statusCode, 200)
  t.strictSame(told, [told[0], told[0]], 'at least once, and no longer once it is known to be done')
})

t.test("the provider's keys cannot be had: 503, sent again, and done once", async t => {
  const told: unknown[] = []
  const { post, login } = await eventServer(t, { onProviderEvent: event => { told.push(event) } })
  for (const name of ['apple', 'google', 'oidc'] as const) {
    const event = await senders[name].revoke('205')
    idp.outage()
    const failed = await post(name, event)
    idp.outage(false)
    t.equal(failed.statusCode, 503, name)
    t.equal(codeIn(failed.body), 'AUTH_ERR_PROVIDER_UNAVAILABLE', name)
    t.ok(failed.headers['retry-after'], name)
    // Failures are backed off: for a second at first.
    while ((await post(name, event)).statusCode === 503) await login(name, '205')
    t.equal((await post(name, event)).statusCode, senders[name].status, name)
  }
  t.equal(told.length, 3)
})

t.test('a store of an application that is older: said at the start', async t => {
  const { keep, take, listByIdentity, listByProviderSession, ...older } = memoryStore()
  await t.rejects(eventServer(t, { sessions: { store: Object.assign(older) } }), {
    code: 'AUTH_ERR_OPTION_INVALID', message: /lacks keep and take and listByIdentity.*events of a provider/
  })
})

t.test('the other server refuses without a call of the store for a request', async t => {
  const store = memoryStore()
  const calls: string[] = []
  const counted = Object.assign({}, ...Object.entries(store).map(([name, operation]: [string, Function]) => ({
    [name]: (...given: unknown[]): unknown => { calls.push(name); return Reflect.apply(operation, store, given) }
  })))
  const one = await eventServer(t, { sessions: { store } })
  const other = await eventServer(t, { sessions: { store: counted } })
  const [gone, staying] = [await one.login('google', '206'), await one.login('google', '207')]
  for (const { access } of [gone, staying]) t.equal(await other.call(access), 200)
  calls.length = 0
  await one.post('google', await senders.google.revoke('206'))
  while (await other.call(gone.access) === 200) await new Promise(resolve => setImmediate(resolve))
  for (let request = 0; request < 1000; request++) {
    t.equal(await other.call(staying.access), 200)
    t.equal(await other.call(gone.access), 401)
  }
  t.strictSame([...new Set(calls)], ['revocations'], 'the list, which it follows by itself')
  t.ok(calls.length < 100, `${calls.length} readings of it in 2000 requests`)
})
