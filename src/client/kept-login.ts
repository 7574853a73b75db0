import { platform, type Locks } from './platform.js'
import type { ClientStorage } from './storage.js'

/** The user as the server says at a login. */
export interface ClientUser {
  readonly userId: string
  /** The provider that vouched. */
  readonly provider: string | null
  readonly level: 'authenticated' | 'admin'
  readonly permissions: readonly string[]
}

/** A login: what the server answered, and when that came. */
export interface Login {
  readonly access_token: string
  readonly token_type: string
  readonly expires_in: number
  readonly refresh_token?: string | undefined
  readonly user: ClientUser
  /** Milliseconds since the epoch, by this device's clock. */
  readonly at: number
}

export type Listener = (user: ClientUser | null) => void

/** The login of this client: in memory, and in the storage that other tabs share. */
export interface KeptLogin {
  /** Undefined until the storage has been read. */
  readonly known: Login | null | undefined
  /** From memory, if it has been read already. */
  current (): Promise<Login | null>
  /** Does this while nobody else does: neither here nor, where there are Web Locks, in another tab. */
  alone<Result> (work: (stored: Login | null) => Promise<Result>): Promise<Result>
  /** From storage. */
  read (): Promise<Login | null>
  /** Only inside of `alone`. Stores first: what is lost by a crash was not used. */
  keep (login: Login | null): Promise<void>
  onChange (listener: Listener): () => void
}

/** @param isShared other tabs may use this storage */
export function keepLogin (name: string, storage: ClientStorage, isShared: boolean): KeptLogin {
  const listeners = new Set<Listener>()
  let known: Login | null | undefined
  let last: Promise<unknown> = Promise.resolve()

  async function read (): Promise<Login | null> {
    return adopt(readLogin(await storage.get(name)))
  }

  function adopt (login: Login | null): Login | null {
    const user = login?.user ?? null
    const isChanged = JSON.stringify(known?.user ?? null) !== JSON.stringify(user)
    known = login
    // In a task of its own: what a listener throws does not make the login fail.
    if (isChanged) for (const tell of listeners) queueMicrotask(() => tell(user))
    return login
  }

  function inTurn<Result> (work: () => Promise<Result>): Promise<Result> {
    const turn = last.then(work)
    last = turn.catch(() => {})
    return turn
  }

  // Another tab has logged in, refreshed or logged out.
  if (isShared) {
    platform.addEventListener?.('storage', ({ key }) => {
      if (key === null || key === name) inTurn(read).catch(() => {})
    })
  }

  return {
    get known () { return known },
    read,
    current: async () => known === undefined ? await inTurn(read) : known,
    alone (work) {
      const { locks } = isShared ? platform.navigator ?? {} : {}
      const whole = async () => await work(await read())
      return inTurn(() => locks === undefined ? whole() : holding(locks, name, whole))
    },
    async keep (login) {
      if (login === null) await storage.remove(name)
      else await storage.set(name, JSON.stringify(login))
      adopt(login)
    },
    onChange (listener) {
      listeners.add(listener)
      return () => { listeners.delete(listener) }
    }
  }
}

/** Milliseconds until what one process of a browser has put into `localStorage` stands there for all. */
const spreading = 100

/** Answers at once, and lets go when others can see what it has stored. */
function holding<Result> (locks: Locks, name: string, work: () => Promise<Result>): Promise<Result> {
  return new Promise((resolve, reject) => {
    locks.request(name, async () => {
      await work().then(resolve, reject)
      await new Promise(resolve => setTimeout(resolve, spreading))
    }).catch(reject)
  })
}

/** Seconds until the access token expires, by this device's clock. */
export function secondsLeft ({ at, expires_in: lifetime }: Login): number {
  return lifetime - (Date.now() - at) / 1000
}

/** What others have put there is no login. */
function readLogin (text: string | null | undefined): Login | null {
  try {
    const login: Login | null = JSON.parse(text ?? 'null')
    return login?.access_token ? login : null
  } catch {
    return null
  }
}
