import { mock } from 'node:test'
import t, { type Test } from 'tap'
import { createTurns, type SharedPlace } from '../../src/login/turns.js'
import { memoryStore } from '../../src/sessions/stores/memory.js'
import { openGate } from '../sessions/gate.js'

const span = 15_000

/** Two servers of one store, at the beginning of a span. */
function twoServers (t: Test) {
  mock.timers.enable({ apis: ['Date'], now: 100 * span })
  t.teardown(() => mock.timers.reset())
  const { spend, take, keep } = memoryStore()
  let refusals = 0
  const place: SharedPlace = {
    now: Date.now,
    take,
    keep: async (key, value, lifetime) => await keep(key, value, Date.now() + lifetime),
    async spend (keys) {
      const isSpent = await spend(keys)
      if (!isSpent) refusals++
      return isSpent
    }
  }
  return { one: createTurns(place, span), other: createTurns(place, span), refusals: () => refusals }
}

t.test('what has had its turn holds nobody up, however late the next one comes', async t => {
  const { one, other } = twoServers(t)
  const work = async (): Promise<void> => {}
  const edges = [0, 1, span - 1, span, span + 1, 2 * span - 1, 2 * span]
  for (const later of [...edges, span / 2, 1.5 * span, 2.5 * span, 4 * span]) {
    const name = `${later} ms later`
    t.equal(await one.take(name, work), true)
    mock.timers.tick(later)
    t.equal(await other.take(name, work), true, name)
    // The beginning of a span again.
    mock.timers.tick(span - Date.now() % span)
  }
})

t.test('nobody has a turn beside another, however many spans they follow each other in', async t => {
  const { one, other } = twoServers(t)
  let running = 0
  const work = (milliseconds: number) => async (): Promise<void> => {
    t.equal(++running, 1, `alone at ${Date.now() - 100 * span}`)
    mock.timers.tick(milliseconds)
    if (milliseconds > 1) t.equal(await other.take('event', work(1)), false)
    running--
  }
  mock.timers.tick(1)
  for (const milliseconds of [span - 2, span - 2, span - 2, 1, span - 2]) {
    t.equal(await one.take('event', work(milliseconds)), true)
  }
})

t.test('one at a time, where a turn that was handed on goes over into the next span', async t => {
  const { one, other, refusals } = twoServers(t)
  mock.timers.tick(span / 2)
  await one.take('event', async () => {})
  mock.timers.tick(span * 0.9)
  const gate = openGate()
  const first = one.take('event', gate.pass)
  while (gate.count() === 0) await new Promise(resolve => setImmediate(resolve))
  mock.timers.tick(span * 0.7)
  const before = refusals()
  const behind = openGate()
  behind.open()
  const second = other.take('event', behind.pass)
  while (refusals() === before && behind.count() === 0) await new Promise(resolve => setImmediate(resolve))
  t.equal(behind.count(), 0, 'the first one is still at it')
  gate.open()
  t.strictSame(await Promise.all([first, second]), [true, true])
  t.equal(behind.count(), 1)
})

t.test('who takes a token when a newer turn has begun has no turn', async t => {
  mock.timers.enable({ apis: ['Date'], now: 100 * span })
  t.teardown(() => mock.timers.reset())
  const { spend, take, keep } = memoryStore()
  const place: SharedPlace = {
    now: Date.now, spend, take, keep: async (key, value, lifetime) => await keep(key, value, Date.now() + lifetime)
  }
  const newer = createTurns(place, span)
  const gate = openGate()
  let begun: Promise<boolean> | undefined
  // The span ends between two steps of the late one, and another server begins its turn.
  const late = createTurns({
    ...place,
    async take (key) {
      if (begun === undefined) {
        mock.timers.tick(span * 0.6)
        begun = newer.take('event', gate.pass)
        while (gate.count() === 0) await new Promise(resolve => setImmediate(resolve))
      }
      return await take(key)
    }
  }, span)
  mock.timers.tick(span / 2)
  await newer.take('event', async () => {})
  mock.timers.tick(span)
  const beside = openGate()
  beside.open()
  const hadTurn = await late.take('event', beside.pass)
  t.equal(beside.count(), 0, 'not beside the newer one')
  t.equal(hadTurn, false)
  gate.open()
  t.equal(await begun, true)
})
