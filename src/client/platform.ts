import type { WebStorage } from './storage.js'

/** What a browser has beyond what every runtime has. It is read when it is needed: any of it may be missing. */
interface Platform {
  readonly fetch: unknown
  readonly document?: unknown
  readonly location?: { readonly assign?: (url: string) => void }
  readonly sessionStorage?: WebStorage
  readonly indexedDB?: { open (name: string, version: number): DatabaseRequest<Database> }
  readonly navigator?: { readonly locks?: Locks }
  readonly addEventListener?: (type: 'storage', heard: (event: { readonly key: string | null }) => void) => void
}

/** Web Locks: held by one tab of an origin at a time. */
export interface Locks {
  request<Result> (name: string, work: () => Promise<Result>): Promise<Result>
}

/** What WebCrypto exports, in whatever runtime. */
type Key = Parameters<typeof crypto.subtle.exportKey>[1]

/** A key pair of WebCrypto's. */
export interface ProofKeys { readonly privateKey: Key, readonly publicKey: Key }

/** IndexedDB, as far as one value needs it. */
export interface DatabaseRequest<Result> {
  readonly result: Result
  readonly error: unknown
  addEventListener (type: 'success' | 'error' | 'upgradeneeded', heard: () => void): void
}

interface Database {
  createObjectStore (name: string): unknown
  transaction (name: string, mode: 'readwrite'): { objectStore (name: string): ObjectStore }
}

interface ObjectStore {
  get (key: string): DatabaseRequest<ProofKeys | undefined>
  put (value: ProofKeys, key: string): DatabaseRequest<unknown>
}

export const platform: Platform = globalThis
