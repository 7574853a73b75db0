import { ownRequest, readAddress } from './address.js'
import { createAuthorize } from './authorized-requests.js'
import { createCalls, isOutage, type Fetch } from './calls.js'
import { clientError } from './client-error.js'
import { keepLogin, type ClientUser, type Listener } from './kept-login.js'
import { createProofs } from './own-proofs.js'
import { createRedirects, type RedirectLogin } from './redirects.js'
import { createRenewal } from './renewal.js'
import { memoryStorage, type ClientStorage } from './storage.js'

export interface ClientOptions {
  /** The server's address, with the prefix of the plugin's routes if they have one: `https://api.example.com`. */
  readonly url: string
  /** This client's id at the server, for logins by redirect. */
  readonly clientId?: string
  /** Where the login is kept. @default `memoryStorage()` */
  readonly storage?: ClientStorage
  /**
   * Binds the login to a key of this device (RFC 9449), which the server has to know of (`dpop`). In browsers the key
   * is kept in IndexedDB. Elsewhere it goes with the process, and a login that is bound to it too.
   * @default false
   */
  readonly dpop?: boolean
  /** @default the global one */
  readonly fetch?: Fetch
}

/** Of a logout: this login, the user's others, or all. */
export type LogoutScope = 'this' | 'others' | 'all'

/** A user's login at one server: kept, renewed, and put on each request. */
export interface Client {
  /** Who is logged in; null until `ready`. */
  readonly user: ClientUser | null
  /** The storage has been read. */
  readonly ready: Promise<void>
  /**
   * `POST /login/:provider`.
   *
   * @param grant what the provider's SDK gave: `{ id_token }`, `{ access_token }`, `{ authorization_code, … }`
   * @throws ClientError
   */
  login (provider: string, grant: Readonly<Record<string, unknown>>): Promise<ClientUser>
  /** Begins a login by redirect: answers the address to go to, and goes there in a browser. @throws ClientError */
  loginWithRedirect (login: RedirectLogin): Promise<string>
  /** Ends it, with the address that the browser came back to. @throws ClientError */
  completeRedirect (url: string): Promise<ClientUser>
  /**
   * `fetch`, with the login's access token on requests to the server's origin. Relative addresses are the server's.
   * A request that has an `Authorization` header stays as it is.
   *
   * @throws ClientError where the access token has expired and no other can be had at the moment
   */
  fetch: Fetch
  /** Asks for another access token now, and with it for the user's present permissions. @throws ClientError */
  refresh (): Promise<ClientUser>
  /** @throws ClientError where the server did not hear of it: the user is logged in still */
  logout (options?: { readonly scope?: LogoutScope }): Promise<void>
  /** Calls when another user is logged in, nobody any more, or the user may do something else. Answers what ends it. */
  onChange (listener: Listener): () => void
}

/**
 * A client of a server that runs this plugin, for browsers, React Native and Node.
 *
 * @throws ClientError `CLIENT_ERR_OPTION_INVALID`
 * @example
 * ```ts
 * const client = createClient({ url: 'https://api.example.com' })
 * await client.login('google', { id_token: idToken })
 * const todos = await client.fetch('/api/todos')
 * ```
 */
export function createClient (options: ClientOptions): Client {
  const { clientId, storage = memoryStorage(), dpop = false } = options
  const address = readAddress(options.url)
  const send: Fetch = options.fetch ?? ((...request) => globalThis.fetch(...request))
  const kept = keepLogin(address.name, storage, options.storage !== undefined)
  const { post, prove } = createCalls(address.base, send, dpop ? createProofs(address.name) : null)
  const renewal = createRenewal(kept, post)
  const authorize = createAuthorize(kept, renewal, prove)
  const redirects = createRedirects(address, clientId, storage)

  async function login (provider: string, grant: object): Promise<ClientUser> {
    return (await renewal.begin(await post(`/login/${encodeURIComponent(provider)}`, grant))).user
  }

  async function completeRedirect (url: string): Promise<ClientUser> {
    const { members, forget } = await redirects.end(url)
    const answer = await post('/token', members)
    // After an outage the code is as good as before.
    if (!isOutage(answer)) await forget()
    return (await renewal.begin(answer)).user
  }

  async function refresh (): Promise<ClientUser> {
    const stale = await kept.current()
    if (stale === null) throw clientError('CLIENT_ERR_LOGGED_OUT')
    return (await renewal.renew(stale)).user
  }

  async function logout ({ scope = 'this' }: { readonly scope?: LogoutScope } = {}): Promise<void> {
    const current = await kept.current()
    if (current === null) return
    if (scope !== 'this' || current.refresh_token === undefined) return await logOut(scope)
    await kept.alone(async stored => {
      // RFC 7009: that needs no access token.
      // Another tab has logged out meanwhile.
      if (stored === null) return
      const answer = await post('/revoke', { token: stored.refresh_token })
      if (!answer.ok) throw answer.error
      await kept.keep(null)
    })
  }

  async function logOut (scope: LogoutScope): Promise<void> {
    const answer = await post('/logout', { scope }, authorize)
    // What the server does not know any more, or has no sessions for, has ended.
    if (!answer.ok && (scope !== 'this' || isOutage(answer))) throw answer.error
    if (scope !== 'others') await kept.alone(() => kept.keep(null))
  }

  const ready = kept.current().then(() => {})
  // A failure is for those who await `ready`: without them it must not end the process.
  ready.catch(() => {})

  return {
    get user () { return kept.known?.user ?? null },
    ready,
    login,
    loginWithRedirect: redirects.begin,
    completeRedirect,
    async fetch (input, init) {
      const request = ownRequest(address, send, input, init)
      return await (request === null ? send(input, init) : authorize(request))
    },
    refresh,
    logout,
    onChange: kept.onChange
  }
}
