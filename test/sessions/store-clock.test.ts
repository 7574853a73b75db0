import { mock } from 'node:test'
import t from 'tap'
import { errors } from '../../src/errors.js'
import type { SessionStore } from '../../src/sessions/store.js'
import { memoryStore } from '../../src/sessions/stores/memory.js'
import { createStoreClock, type StoreClock } from '../../src/sessions/store-calls.js'
import { sessionsOn } from './two-servers.js'

const start = 1_800_000_000_000
t.beforeEach(() => mock.timers.enable({ apis: ['Date'], now: start }))
t.afterEach(() => mock.timers.reset())

/** A store whose clock is ahead, and which takes so many milliseconds there and back for each answer; null is none. */
function clockOf (ahead: number, ways: Array<number | null>): StoreClock {
  const store: SessionStore = {
    ...memoryStore(),
    async now () {
      const way = ways.shift() ?? null
      if (way === null) throw new errors.StoreUnavailableError()
      mock.timers.tick(way)
      const time = Date.now() + ahead
      mock.timers.tick(way)
      return time
    }
  }
  return createStoreClock({ open: () => call => call(store) })
}

t.test('the clocks of servers agree as exactly as the store can be asked', async t => {
  const rows: ReadonlyArray<readonly [name: string, ahead: number, ways: Array<number | null>, expected: number]> = [
    ['a few milliseconds ahead', 5, [1, 1, 1], 5],
    ['behind', -90, [1, 1, 1], -90],
    ['no more than the way there can hide', 2, [2, 3, 2], 0],
    ['a store that had to start up first', 40, [1500, 1, 20], 40],
    ['one that goes away after it was asked once', 40, [3, null], 40],
    ['one that was set to another time', 120_001, [1, 1, 1], 0]
  ]
  for (const [name, ahead, ways, expected] of rows) {
    const clock = clockOf(ahead, ways)
    await clock.align()
    t.equal(clock.now() - Date.now(), expected, name)
    t.equal(clock.ownTime(clock.now()), Date.now(), name)
  }
})

t.test('a store that rounds its time up is not taken for one that is ahead', async t => {
  const now = async (): Promise<number> => {
    const time = Date.now() + 2
    mock.timers.tick(1)
    return time
  }
  const clock = createStoreClock({ open: () => call => call({ ...memoryStore(), now }) })
  await clock.align()
  t.equal(clock.now(), Date.now())
})

t.test('what is known stays while the store is down', async t => {
  const clock = clockOf(40, [1, 1, 1])
  t.notOk(clock.isAligned())
  await clock.align()
  await t.rejects(clock.align(), { code: 'AUTH_ERR_STORE_UNAVAILABLE' })
  t.equal(clock.now() - Date.now(), 40)
  t.ok(clock.isAligned())
})

t.test('a store that is down at the start is asked when it is back', async t => {
  let isDown = true
  const down = () => Promise.reject(new Error('down'))
  const store = memoryStore()
  const sessions = sessionsOn({
    ...store,
    revocations: async (...asked) => isDown ? await down() : await store.revocations(...asked),
    now: async () => isDown ? await down() : Date.now() + 50
  })
  t.teardown(() => sessions.close())
  await sessions.open()
  t.equal(sessions.mark(), start)
  isDown = false
  while (sessions.mark() !== start + 50) await new Promise(resolve => setImmediate(resolve))
  t.equal(sessions.mark(), start + 50)
})
