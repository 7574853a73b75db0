import type { Test } from 'tap'

/** Globals of browsers, for one test. */
export function define (t: Test, globals: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(globals)) {
    const before = Object.getOwnPropertyDescriptor(globalThis, name)
    Object.defineProperty(globalThis, name, { value, configurable: true })
    t.teardown(() => {
      if (before === undefined) Reflect.deleteProperty(globalThis, name)
      else Object.defineProperty(globalThis, name, before)
    })
  }
}

/** IndexedDB with one table, for one tab at a time. */
export function keyDatabase () {
  const kept = new Map<string, unknown>()
  const request = (what: () => unknown) => {
    const target = new EventTarget()
    const asked: { result: unknown, error: unknown, addEventListener: EventTarget['addEventListener'] } = {
      result: undefined,
      error: null,
      addEventListener: target.addEventListener.bind(target)
    }
    setImmediate(() => {
      try {
        asked.result = what()
        if (asked.result === database) target.dispatchEvent(new Event('upgradeneeded'))
        target.dispatchEvent(new Event('success'))
      } catch (error) {
        asked.error = error
        target.dispatchEvent(new Event('error'))
      }
    })
    return asked
  }
  const table = {
    get: (key: string) => request(() => kept.get(key)),
    put: (value: unknown, key: string) => request(() => { kept.set(key, value) })
  }
  const database = { createObjectStore () {}, transaction: () => ({ objectStore: () => table }) }
  return {
    kept,
    fails: false,
    open () {
      return request(() => {
        if (this.fails) throw new Error('lost connection')
        return database
      })
    }
  }
}
