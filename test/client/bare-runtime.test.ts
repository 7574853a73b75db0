import { join } from 'node:path'
import { createContext, runInContext } from 'node:vm'
import { build } from 'esbuild'
import t from 'tap'
import { clientServer } from './server.js'

/** The URL of React Native: an address, and parts that throw. */
class HrefOnly {
  readonly #href: string

  constructor (url: string, base = '') {
    this.#href = /^[a-z]+:\/\//.test(url) ? url : `${base.replace(/\/$/, '')}/${url.replace(/^\//, '')}`
  }

  get href (): string { return this.#href }
  toString (): string { return this.#href }
  get origin (): string { throw new Error('URL.origin is not implemented') }
  get searchParams (): unknown { throw new Error('URL.searchParams is not implemented') }
}

// No crypto, no locks, no storage, no document: what React Native has without a library's help.
t.test('a runtime with fetch and timers is enough', async t => {
  const server = await clientServer(t)
  const { outputFiles: [script] } = await build({
    entryPoints: [join(import.meta.dirname, '../../src/client/index.ts')],
    bundle: true,
    format: 'iife',
    globalName: 'exchange',
    target: 'es2022',
    write: false
  })
  const globals = {
    fetch, Headers, Request, AbortController, setTimeout, clearTimeout, queueMicrotask, URL: HrefOnly
  }
  const context = createContext({ ...globals, url: server.url, token: server.idp.facebook.accessToken({ id: '1' }) })
  const seen: unknown = await runInContext(`${script?.text}; (async () => {
    const client = exchange.createClient({ url })
    const told = []
    client.onChange(user => { told.push(user === null ? null : user.userId) })
    await client.login('facebook', { access_token: token })
    const answers = [await client.fetch('/me'), await client.fetch(url + '/me')]
    await client.refresh()
    await client.logout()
    return JSON.stringify({ told, statuses: answers.map(({ status }) => status) })
  })()`, context)
  t.strictSame(JSON.parse(String(seen)), { told: ['facebook:1', null], statuses: [200, 200] })
})
