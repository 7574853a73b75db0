import { once } from 'node:events'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { build } from 'esbuild'
import type { BrowserContext, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { chromiumMissing, startChromium } from '../azure/clients/chromium.js'
import { clientServer, portOf, type ClientServer } from './server.js'

/** A site of its own, each page of which has the client as `exchange`. */
async function startSite (t: Test): Promise<string> {
  const { outputFiles: [script] } = await build({
    entryPoints: [join(import.meta.dirname, '../../src/client/index.ts')],
    bundle: true,
    minify: true,
    format: 'iife',
    globalName: 'exchange',
    write: false
  })
  const site = createServer((request, response) => {
    const isScript = request.url === '/client.js'
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html')
    response.end(isScript ? script?.text : '<!DOCTYPE html><title>App</title><script src="/client.js"></script>')
  })
  site.listen(0, '127.0.0.1')
  await once(site, 'listening')
  t.teardown(() => { site.close(); site.closeAllConnections() })
  return `http://127.0.0.1:${portOf(site)}`
}

/** A tab of the app: its client is `client`, what it was told is `told`. */
async function openTab (context: BrowserContext, origin: string, options: string): Promise<Page> {
  const page = await context.newPage()
  await page.addInitScript(`addEventListener('DOMContentLoaded', () => {
    globalThis.told = []
    globalThis.client = exchange.createClient({ storage: exchange.webStorage(localStorage), ${options} })
    client.onChange(user => told.push(user && user.userId))
  })`)
  await page.goto(origin)
  return page
}

const logIn = async ({ idp }: ClientServer, page: Page): Promise<unknown> =>
  await page.evaluate(`client.login('facebook', { access_token: '${idp.facebook.accessToken({ id: '1' })}' })`)

t.test('in Chromium', { skip: chromiumMissing }, async t => {
  const browser = await startChromium()
  t.teardown(() => browser.close())
  const origin = await startSite(t)

  t.test('two tabs refresh once, and a logout in one is told in the other', async t => {
    const server = await clientServer(t, { cors: { origins: [origin] } })
    const context = await browser.newContext()
    const one = await openTab(context, origin, `url: '${server.url}'`)
    await logIn(server, one)
    const other = await openTab(context, origin, `url: '${server.url}'`)
    t.match(await other.evaluate('client.ready.then(() => client.user)'), { userId: 'facebook:1' })
    for (let hour = 1; hour <= 5; hour++) {
      const call = `(Date.now = () => performance.timeOrigin + performance.now() + ${hour} * 3600e3,
        Promise.all([1, 2, 3].map(() => client.fetch('/me').then(answer => answer.status))))`
      t.strictSame(await Promise.all([one.evaluate(call), other.evaluate(call)]), [[200, 200, 200], [200, 200, 200]])
      t.equal(server.count('/token'), hour)
    }
    const told = other.evaluate('new Promise(resolve => { client.onChange(resolve) })')
    await one.evaluate('client.logout()')
    t.equal(await told, null)
    t.strictSame(await one.evaluate('told'), ['facebook:1', null])
    t.equal(await other.evaluate('localStorage.length'), 0)
    await context.close()
  })

  t.test('a login by redirect comes back to its tab', async t => {
    const server = await clientServer(t, { cors: { origins: [origin] } })
    const context = await browser.newContext()
    const page = await openTab(context, origin, `url: '${server.url}', clientId: 'app'`)
    await Promise.all([
      page.waitForURL(/callback\?code=/),
      page.evaluate("client.loginWithRedirect({ provider: 'corp', redirectUri: location.origin + '/callback' })")
    ])
    t.equal(await page.evaluate('sessionStorage.length'), 1)
    const stranger = await openTab(context, origin, `url: '${server.url}', clientId: 'app'`)
    const code = await stranger.evaluate(`client.completeRedirect('${page.url()}').catch(error => error.code)`)
    t.equal(code, 'CLIENT_ERR_REDIRECT_INVALID', 'and to no other')
    t.match(await page.evaluate('client.completeRedirect(location.href)'), { userId: 'corp:user-1' })
    t.equal(server.headersOf('/token').referer, undefined, 'the code stands in no Referer')
    t.equal(await page.evaluate('sessionStorage.length'), 0)
    t.equal(await page.evaluate("client.fetch('/me').then(answer => answer.status)"), 200)
    await context.close()
  })

  t.test('one key for all tabs, in IndexedDB, and after a reload', async t => {
    const dpop = { mode: 'all', required: true, nonce: 'always' } as const
    const server = await clientServer(t, { dpop, cors: { origins: [origin] } })
    const context = await browser.newContext()
    const options = `url: '${server.url}', dpop: true`
    const tabs = [await openTab(context, origin, options), await openTab(context, origin, options)]
    await Promise.all(tabs.map(page => logIn(server, page)))
    for (const page of tabs) {
      t.match(await page.evaluate('client.refresh()'), { userId: 'facebook:1' })
      await page.reload()
      t.match(await page.evaluate('client.refresh()'), { userId: 'facebook:1' })
      t.equal(await page.evaluate("client.fetch('/me').then(answer => answer.status)"), 200)
      t.match(server.headersOf('/me').authorization, /^DPoP /)
    }
    await context.close()
  })
})
