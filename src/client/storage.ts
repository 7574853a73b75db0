/** Where a client keeps its login: texts by name, at once or by promises. */
export interface ClientStorage {
  get (name: string): string | null | undefined | Promise<string | null | undefined>
  set (name: string, text: string): unknown
  remove (name: string): unknown
}

/** Keeps a login as long as the page or the process lives. */
export function memoryStorage (): ClientStorage {
  const texts = new Map<string, string>()
  return {
    get: name => texts.get(name),
    set: (name, text) => texts.set(name, text),
    remove: name => texts.delete(name)
  }
}

/** What `localStorage` and `sessionStorage` have in common. */
export interface WebStorage {
  getItem (name: string): string | null
  setItem (name: string, text: string): void
  removeItem (name: string): void
}

/**
 * Keeps a login in `localStorage`, for all tabs of an origin, or in `sessionStorage`, for one.
 *
 * The risk: every script of the page can read it, one that somebody has smuggled in (XSS) too, and go on with the
 * refresh token elsewhere. A Content Security Policy makes that harder; `dpop: true` binds the token to a key that
 * cannot be taken away.
 */
export function webStorage (storage: WebStorage): ClientStorage {
  return {
    get: name => storage.getItem(name),
    set: (name, text) => storage.setItem(name, text),
    remove: name => storage.removeItem(name)
  }
}
