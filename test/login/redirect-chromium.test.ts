import { createServer as createHttpServer } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Page } from 'playwright-core'
import { Provider } from 'oidc-provider'
import t, { type Test } from 'tap'
import { apple } from '../../src/providers/apple.js'
import { oidc } from '../../src/providers/oidc.js'
import { startIdentityServer } from '../../src/testing/index.js'
import { selfSigned } from '../azure/clients/certificate.js'
import { chromiumMissing, startChromium } from '../azure/clients/chromium.js'
import { opensslMissing } from '../example/shell.js'
import { pkce } from '../routes/authorization-server.js'
import { logStream, startApp, type Options } from '../server.js'
import { freePort } from '../sessions/servers.js'

const skip = chromiumMissing || opensslMissing

/** The client's own site, of another host and over https, where it redeems nothing by itself. */
async function startClient (t: Test): Promise<{ uri: string, referrers: Array<string | undefined> }> {
  const referrers: Array<string | undefined> = []
  const server = createHttpsServer(selfSigned(), (request, response) => {
    if (request.url?.startsWith('/callback') === true) referrers.push(request.headers.referer)
    response.setHeader('content-type', 'text/html')
    response.end('<!DOCTYPE html><title>Client</title><p>Welcome back')
  })
  await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve) })
  t.teardown(() => { server.close(); server.closeAllConnections() })
  return { uri: `https://127.0.0.1:${portOf(server.address())}/callback`, referrers }
}

function portOf (address: AddressInfo | string | null): number {
  return typeof address === 'object' && address !== null ? address.port : 0
}

/** An OpenID Connect server of somebody else's make. */
async function startIssuer (t: Test, redirectUris: string[]): Promise<string> {
  const port = await freePort()
  const issuer = `http://localhost:${port}`
  const provider = new Provider(issuer, {
    clients: [{ client_id: 'web', token_endpoint_auth_method: 'none', redirect_uris: redirectUris }],
    pkce: { required: () => true },
    cookies: { keys: ['a-key-for-the-cookies-of-the-test'] }
  })
  const handle = provider.callback()
  const server = createHttpServer((request, response) => {
    handle(request, response).catch(error => response.destroy(error))
  })
  await new Promise<void>(resolve => { server.listen(port, 'localhost', resolve) })
  t.teardown(() => { server.close(); server.closeAllConnections() })
  return issuer
}

interface Story { url: string, page: Page, clientUri: string, referrers: Array<string | undefined>, log: () => string }

async function start (t: Test, providers: (url: string) => Promise<Options['providers']>): Promise<Story> {
  const port = await freePort()
  const url = `http://localhost:${port}`
  const { uri, referrers } = await startClient(t)
  const { stream, text } = logStream()
  const app = await startApp(t, {
    issuer: url,
    providers: await providers(url) ?? {},
    clients: { web: { redirectUris: [uri] } },
    sessions: {}
  }, { logger: { level: 'trace', stream } })
  await app.listen({ port, host: 'localhost' })
  const browser = await startChromium()
  t.teardown(() => browser.close())
  const context = await browser.newContext({ ignoreHTTPSErrors: true })
  return { url, page: await context.newPage(), clientUri: uri, referrers, log: text }
}

const { verifier, challenge } = pkce()

function authorizationOf ({ url, clientUri }: Story, more: Record<string, string> = {}): string {
  return `${url}/authorize?${new URLSearchParams({
    response_type: 'code',
    client_id: 'web',
    redirect_uri: clientUri,
    code_challenge: challenge,
    code_challenge_method: 'S256',
    state: 'of the page',
    ...more
  })}`
}

async function redeem ({ url, clientUri, page }: Story) {
  const code = new URL(page.url()).searchParams.get('code') ?? ''
  const answer = await fetch(`${url}/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'authorization_code',
      code,
      client_id: 'web',
      redirect_uri: clientUri,
      code_verifier: verifier
    })
  })
  return { status: answer.status, body: await answer.json(), code }
}

t.test('a web page logs in at a real OpenID Connect server, in Chromium', { skip }, async t => {
  const story = await start(t, async url => {
    const issuer = await startIssuer(t, [`${url}/callback/oidc`])
    return { oidc: oidc({ issuer, clientIds: ['web'], redirect: {} }) }
  })
  const { page, clientUri, referrers, log } = story
  await page.goto(authorizationOf(story, { login_hint: 'ada' }))
  t.equal(await page.inputValue('input[name=login]'), 'ada', 'the hint has reached the provider')
  await page.fill('input[name=password]', 'any')
  await page.click('button[type=submit]')
  await page.waitForSelector('text=Continue')
  await page.click('button[type=submit]')
  await page.waitForURL(`${clientUri}?**`)
  const { searchParams } = new URL(page.url())
  t.equal(searchParams.get('state'), 'of the page')
  t.equal(searchParams.get('iss'), story.url)
  const { status, body, code } = await redeem(story)
  t.equal(status, 200)
  t.match(body, { access_token: String, refresh_token: String, user: { userId: 'oidc:ada' } })
  t.same(referrers, [undefined], 'the client is not told where the browser came from')
  const cookies = await page.context().cookies(`${story.url}/callback/oidc`)
  t.same(cookies.filter(({ name }) => name.startsWith('login')), [], 'the cookie is gone')
  for (const secret of [code, verifier, body.access_token, body.refresh_token]) t.notOk(log().includes(secret))

  await page.goto(authorizationOf(story, { prompt: 'login' }))
  await page.click('text=Cancel')
  await page.waitForURL(`${clientUri}?**`)
  t.match(Object.fromEntries(new URL(page.url()).searchParams), { error: 'access_denied', state: 'of the page' })
  await page.context().clearCookies()
  await page.goto(authorizationOf(story, { prompt: 'none' }))
  await page.waitForURL(`${clientUri}?**`)
  t.match(Object.fromEntries(new URL(page.url()).searchParams), { error: 'login_required' })
})

t.test("Apple's answer is a form of another site, which brings no cookie along", { skip }, async t => {
  const idp = await startIdentityServer()
  t.teardown(() => idp.close())
  const story = await start(t, async () => ({
    apple: apple({ ...idp.apple.options, redirect: { clientId: 'com.example.web' } })
  }))
  const { page, clientUri } = story
  const visited: string[] = []
  page.on('request', request => {
    if (request.isNavigationRequest()) visited.push(`${request.method()} ${request.url()}`)
  })
  await page.goto(authorizationOf(story))
  await page.waitForURL(`${clientUri}?**`)
  const callbacks = visited.filter(visit => visit.includes('/callback/apple'))
  t.match(callbacks, [/^POST /, /^GET .*\?answer=[\w.-]+$/])
  const { status, body, code } = await redeem(story)
  t.equal(status, 200)
  t.match(body, { user: { provider: 'apple' } })
  t.notOk(callbacks.some(visit => visit.includes(code)))
})
