import { once } from 'node:events'
import { createServer } from 'node:http'
import { Provider } from 'oidc-provider'
import t from 'tap'
import { oidc } from '../../src/providers/oidc.js'
import { freePort } from '../sessions/servers.js'
import { eventServer, idp } from './senders.js'

t.teardown(() => idp.close())

const redirectUri = 'https://app.example.com/callback'

/** A browser of one person: it goes where it is sent, with its cookies, and fills in what is asked. */
class Browser {
  readonly #cookies = new Map<string, string>()

  async open (url: string, form?: Record<string, string>): Promise<{ url: string, page: string }> {
    if (url.startsWith(redirectUri)) return { url, page: '' }
    const cookie = [...this.#cookies].map(pair => pair.join('=')).join('; ')
    const answer = await fetch(url, {
      redirect: 'manual',
      headers: { cookie },
      ...(form !== undefined && { method: 'POST', body: new URLSearchParams(form) })
    })
    for (const line of answer.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
      this.#cookies.set(name, value)
    }
    const location = answer.headers.get('location')
    return location === null ? { url, page: await answer.text() } : await this.open(new URL(location, url).href)
  }

  /** The address that a page's form is posted to. */
  async submit ({ url, page }: { url: string, page: string }, more: Record<string, string>) {
    const [, action = url] = /<form[^>]* action="([^"]+)"/.exec(page) ?? []
    const hidden = Array.from(page.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)"/g),
      ([, name = '', value = '']) => [name, value])
    return await this.open(new URL(action, url).href, { ...Object.fromEntries(hidden), ...more })
  }
}

t.test('Back-Channel Logout of a real OpenID Connect server', async t => {
  const [issuerPort, port] = [await freePort(), await freePort()]
  const issuer = `http://127.0.0.1:${issuerPort}`
  const provider = new Provider(issuer, {
    clients: [{
      client_id: 'web',
      token_endpoint_auth_method: 'none',
      redirect_uris: [redirectUri],
      backchannel_logout_uri: `http://127.0.0.1:${port}/events/oidc`,
      backchannel_logout_session_required: true
    }],
    features: { backchannelLogout: { enabled: true } },
    pkce: { required: () => false },
    cookies: { keys: ['a-key-for-the-cookies-of-the-test'] },
    // Its own dispatcher calls no loopback address.
    fetch: async (url, options) => await fetch(url, Object.assign(options ?? {}, { dispatcher: undefined }))
  })
  const handle = provider.callback()
  const server = createServer((request, response) => {
    handle(request, response).catch(error => response.destroy(error))
  }).listen(issuerPort, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => { server.close(); server.closeAllConnections() })

  const told: object[] = []
  const { app, login, call } = await eventServer(t, {
    providers: { oidc: oidc({ issuer, clientIds: ['web'], events: {} }) },
    onProviderEvent: event => { told.push(event) }
  })
  await app.listen({ port, host: '127.0.0.1' })

  async function logIn (browser: Browser) {
    const parameters = new URLSearchParams({
      client_id: 'web', response_type: 'code', scope: 'openid', redirect_uri: redirectUri, nonce: 'a'
    })
    const form = await browser.open(`${issuer}/auth?${parameters}`)
    const consent = await browser.submit(form, { prompt: 'login', login: 'ada', password: 'any' })
    const { url } = await browser.submit(consent, { prompt: 'consent' })
    const answer = await fetch(`${issuer}/token`, {
      method: 'POST',
      body: new URLSearchParams({
        client_id: 'web',
        grant_type: 'authorization_code',
        code: new URL(url).searchParams.get('code') ?? '',
        redirect_uri: redirectUri
      })
    })
    const { id_token: idToken }: { id_token?: string } = JSON.parse(await answer.text())
    return await login('oidc', 'ada', { id_token: idToken })
  }

  const [computer, phone] = [new Browser(), new Browser()]
  const [atComputer, onPhone] = [await logIn(computer), await logIn(phone)]
  t.same([await call(atComputer.access), await call(onPhone.access)], [200, 200])
  await computer.submit(await computer.open(`${issuer}/session/end`), { logout: 'yes' })
  t.match(told, [{ kind: 'sessions-revoked', subject: 'ada', providerSession: String, provider: 'oidc' }])
  t.same([await call(atComputer.access), await call(onPhone.access)], [401, 200], 'that session, and no other')
})
