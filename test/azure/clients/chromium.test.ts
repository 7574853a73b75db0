import Fastify from 'fastify'
import t from 'tap'
import { tokenExchange } from '../../../src/plugin.js'
import { facebook } from '../../../src/providers/facebook.js'
import { startIdentityServer } from '../../../src/testing/index.js'
import { secret } from '../../server.js'
import { opensslMissing } from '../../example/shell.js'
import { selfSigned } from './certificate.js'
import { chromiumMissing, startChromium } from './chromium.js'
import { freePort, startExample, startSite } from './example.js'
import { bundleSdk } from './sdk.js'
import { expectedOf, story } from './story.js'

t.test('an app of another origin in Chromium', { skip: chromiumMissing }, async t => {
  const browser = await startChromium()
  t.teardown(() => browser.close())
  const site = await startSite({ '/sdk.js': bundleSdk() })
  t.teardown(() => site.close())
  const stranger = await startSite({ '/sdk.js': bundleSdk() })
  t.teardown(() => stranger.close())
  const example = await startExample([site.origin])
  t.teardown(() => example.close())

  t.test('client-directed login, the four APIs and the table, with preflights', async t => {
    const page = await browser.newPage()
    const preflights: string[] = []
    const session = await page.context().newCDPSession(page)
    await session.send('Network.enable')
    session.on('Network.requestWillBeSent', ({ request }) => {
      if (request.method === 'OPTIONS') preflights.push(request.url)
    })
    await page.goto(site.origin)
    const login = `await client.login('facebook', { access_token: ${JSON.stringify(example.facebookToken)} })`
    const seen: unknown = JSON.parse(String(await page.evaluate(story(example.url, login))))
    t.match(seen, expectedOf('facebook:10158000000000008'))
    t.ok(preflights.length > 0)
    await page.close()
  })

  t.test('a page of an origin that is not listed reads nothing, and its popup gets no token', async t => {
    const page = await browser.newPage()
    await page.goto(stranger.origin)
    const status = await page.evaluate(
      `new WindowsAzure.MobileServiceClient('${example.url}').invokeApi('everyone', { method: 'get' })
        .then(() => 'read', error => error.request.status)`
    )
    t.equal(status, 0)
    const refused = page.context().waitForEvent('page')
    await page.evaluate(
      `window.open('${example.url}/.auth/login/facebook?completion_type=postMessage&completion_origin=' +
        encodeURIComponent(location.origin)) !== null`
    )
    const popup = await refused
    await popup.waitForLoadState()
    t.match(await popup.content(), 'Not a whitelisted origin')
    await page.context().close()
  })
})

t.test(
  'popup login: the completion page hands the login to the app, and the popup closes',
  { skip: chromiumMissing || opensslMissing },
  async t => {
    const browser = await startChromium()
    t.teardown(() => browser.close())
    const site = await startSite({ '/sdk.js': bundleSdk() })
    t.teardown(() => site.close())
    const idp = await startIdentityServer()
    t.teardown(() => idp.close())
    const port = await freePort()
    const app = Fastify({ https: selfSigned() })
    await app.register(tokenExchange, {
      issuer: `https://localhost:${port}`,
      keys: secret,
      providers: { facebook: facebook({ ...idp.facebook.options, redirect: {} }) },
      cors: { origins: [site.origin] },
      azureMobileServices: true
    })
    app.get('/api/auth', { onRequest: app.requireLevel('authenticated') }, request => ({ id: request.auth.user?.id }))
    await app.listen({ port, host: 'localhost' })
    t.teardown(() => app.close())

    const context = await browser.newContext({ ignoreHTTPSErrors: true })
    const page = await context.newPage()
    await page.goto(site.origin)
    let popups = 0
    page.on('popup', () => {
      popups++
    })
    const login = `(async () => {
    const client = new WindowsAzure.MobileServiceClient('https://localhost:${port}')
    const user = await client.login('facebook')
    const answer = await client.invokeApi('auth', { method: 'get' })
    return [user.userId, answer.result.id]
  })()`
    t.same(await page.evaluate(login), ['facebook:10158000000000001', 'facebook:10158000000000001'])
    t.equal(popups, 1)
    t.equal(context.pages().length, 1, 'the popup has closed')
    t.same(
      (await context.cookies()).map(({ name }) => name),
      [],
      'no cookie is left'
    )

    idp.facebook.page.refuse()
    const refused = `new WindowsAzure.MobileServiceClient('https://localhost:${port}').login('facebook')
      .then(() => 'in', error => String(error.message || error))`
    t.match(await page.evaluate(refused), 'access_denied')
    await context.close()
  }
)
