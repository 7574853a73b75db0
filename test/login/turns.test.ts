import t from 'tap'
import { createTurns, type SharedPlace } from '../../src/login/turns.js'

// Time is cut into spans: what holds in one has to hold over its end. Here the clock is the test's.

const span = 15_000

class Place implements SharedPlace {
  milliseconds: number
  readonly #kept = new Map<string, number>()
  readonly #spent = new Map<string, number>()

  constructor (milliseconds: number) {
    this.milliseconds = milliseconds
  }

  now (): number {
    return this.milliseconds
  }

  async spend (keys: ReadonlyArray<{ key: string, expiresAt: number }>): Promise<boolean> {
    if (keys.some(({ key }) => (this.#spent.get(key) ?? 0) > this.milliseconds)) return false
    for (const { key, expiresAt } of keys) this.#spent.set(key, expiresAt)
    return true
  }

  async keep (key: string, _value: string, milliseconds: number): Promise<void> {
    this.#kept.set(key, this.milliseconds + milliseconds)
  }

  async take (key: string): Promise<string | null> {
    const isThere = (this.#kept.get(key) ?? 0) > this.milliseconds
    this.#kept.delete(key)
    return isThere ? '' : null
  }
}

t.test('who comes at any time after a turn has its own at once', async t => {
  for (const later of [0, 1, span / 2, span - 1, span, span + 1, 1.5 * span, 2 * span - 1, 2 * span, 3 * span]) {
    const place = new Place(100 * span + 1)
    t.equal(await createTurns(place, span).take('event', async () => {}), true)
    place.milliseconds += later
    t.equal(await createTurns(place, span).take('event', async () => {}), true, `${later} ms later`)
  }
})

t.test('nobody has a turn beside another, however many spans they follow each other in', async t => {
  const place = new Place(100 * span + 1)
  let running = 0
  const work = (milliseconds: number) => async (): Promise<void> => {
    t.equal(++running, 1, `alone at ${place.milliseconds - 100 * span}`)
    place.milliseconds += milliseconds
    if (milliseconds > 1) t.equal(await createTurns(place, span).take('event', work(1)), false)
    running--
  }

  for (const milliseconds of [span - 2, span - 2, span - 2, 1, span - 2]) {
    t.equal(await createTurns(place, span).take('event', work(milliseconds)), true)
  }
})
