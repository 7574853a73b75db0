import { createServer } from 'node:http'
import { Provider } from 'oidc-provider'
import t from 'tap'
import { oidc } from '../../../src/providers/oidc.js'
import { fragment } from '../browser.js'
import { startApp } from '../../server.js'
import { chromiumMissing, startChromium } from './chromium.js'
import { freePort } from './example.js'

t.test('login by redirect at a real OpenID Connect server, in Chromium', { skip: chromiumMissing }, async t => {
  const [issuerPort, port] = [await freePort(), await freePort()]
  const issuer = `http://localhost:${issuerPort}`
  const url = `http://localhost:${port}`
  const clientSecret = 'a-secret-of-the-client-of-32-bytes-or-more'
  const redirectUris = [
    `${url}/login/oidc`,
    `${url}/.auth/login/oidc/callback`,
    `${url}/login/public`,
    `${url}/.auth/login/public/callback`
  ]
  const server = new Provider(issuer, {
    clients: [
      { client_id: 'web', client_secret: clientSecret, redirect_uris: redirectUris },
      { client_id: 'app', token_endpoint_auth_method: 'none', redirect_uris: redirectUris }
    ],
    pkce: { required: () => true },
    cookies: { keys: ['a-key-for-the-cookies-of-the-test'] }
  })
  const handle = server.callback()
  const listening = createServer((request, response) => {
    handle(request, response).catch(error => response.destroy(error))
  })
  await new Promise<void>(resolve => { listening.listen(issuerPort, 'localhost', resolve) })
  t.teardown(() => { listening.close(); listening.closeAllConnections() })

  const app = await startApp(t, {
    issuer: url,
    azureMobileServices: true,
    providers: {
      oidc: oidc({ issuer, clientIds: ['app', 'web'], redirect: { clientId: 'web', clientSecret } }),
      public: oidc({ issuer, clientIds: ['app'], redirect: {} })
    }
  })
  app.get('/api/authenticated', { onRequest: app.requireLevel('authenticated') }, request => ({
    id: request.auth.user?.id
  }))
  await app.listen({ port, host: 'localhost' })
  t.teardown(() => app.close())
  const browser = await startChromium()
  t.teardown(() => browser.close())

  for (const start of ['/login/oidc', '/.auth/login/oidc', '/.auth/login/public']) {
    const context = await browser.newContext()
    const page = await context.newPage()
    await page.goto(`${url}${start}`)
    await page.fill('input[name=login]', 'ada')
    await page.fill('input[name=password]', 'any')
    await page.click('button[type=submit]')
    await page.waitForSelector('text=Continue')
    await page.click('button[type=submit]')
    await page.waitForURL(/\/done#/)
    const { user, authenticationToken } = JSON.parse(fragment(page.url(), 'token') || '{}')
    t.match(user, { userId: start.endsWith('public') ? 'public:ada' : 'oidc:ada' }, start)
    const answer = await app.inject({ url: '/api/authenticated', headers: { 'x-zumo-auth': authenticationToken } })
    t.equal(answer.statusCode, 200, start)
    t.same((await context.cookies(url)).filter(({ name }) => name === 'login'), [], 'the cookie is gone')
    await context.close()
  }

  const context = await browser.newContext()
  const page = await context.newPage()
  await page.goto(`${url}/login/oidc`)
  await page.click('text=Cancel')
  await page.waitForURL(/\/done#error/)
  t.match(fragment(page.url(), 'error'), 'access_denied')
  await context.close()
})
