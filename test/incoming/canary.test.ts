import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import t from 'tap'
import { logStream, startApp } from '../server.js'
import { eventProviders, idp, senderNames, senders, type SenderName } from './senders.js'

t.teardown(() => idp.close())

const address = 'canary@example.com'

// Long enough that no random id holds one by chance; of tokens, the end of each, which is its own.
const secrets = new Set([
  address, 'privaterelay', 'Canary', 'eyJhbGciOi', idp.facebook.options.appSecret, idp.github.webhookSecret,
  idp.github.options.clientSecret
])

function keepSecret (tokens: object): void {
  for (const token of Object.values(tokens)) if (typeof token === 'string') secrets.add(token.slice(-24))
}

const grants: Record<SenderName, (id: string) => Promise<object>> = {
  apple: async sub => ({ id_token: await idp.apple.idToken({ sub, email: address }) }),
  google: async sub => ({ id_token: await idp.google.idToken({ sub, email: address, name: 'Canary' }) }),
  facebook: async id => ({ access_token: idp.facebook.accessToken({ id, email: address, name: 'Canary' }) }),
  github: async id => ({ access_token: idp.github.accessToken({ id, email: address, name: 'Canary' }) }),
  oidc: async sub => ({ id_token: await idp.oidc.idToken({ sub, email: address, name: 'Canary' }) })
}

t.test('ten thousand events of all types hold no token, no secret and no address', { timeout: 110_000 }, async t => {
  const lines: string[] = []
  const types = new Set<string>()
  const hear = (event: unknown): void => {
    types.add(String(Reflect.get(Object(event), 'type')))
    lines.push(JSON.stringify(event))
  }
  subscribe('fastify-token-exchange:event', hear)
  t.teardown(() => unsubscribe('fastify-token-exchange:event', hear))
  const { stream, text } = logStream()
  const app = await startApp(t, {
    providers: eventProviders(),
    sessions: { retryWindow: 0 },
    permissions: ({ subject }) => subject.endsWith('9') ? null : {},
    onProviderEvent: event => { lines.push(JSON.stringify(event)) }
  }, { logger: { level: 'info', stream } })
  app.get('/guarded', { onRequest: app.requireLevel('admin') }, () => 'in')
  const post = async (url: string, payload: object) => (await app.inject({ method: 'POST', url, payload })).json()
  const refresh = (token: unknown) => post('/token', { grant_type: 'refresh_token', refresh_token: token })

  for (let user = 1; lines.length < 10_000; user++) {
    const name = senderNames[user % senderNames.length] ?? 'apple'
    const id = String(user)
    const [grant, another] = [await grants[name](id), await grants[name](id)]
    const login = await post(`/login/${name}`, grant)
    const next = await refresh(login.refresh_token)
    for (const given of [grant, another]) keepSecret(given)
    for (const { access_token: access, refresh_token: renewal } of [login, next]) keepSecret({ access, renewal })
    const authorization = `Bearer ${next.access_token}`
    for (let call = 0; call < 20; call++) await app.inject({ url: '/guarded', headers: { authorization } })
    await refresh(login.refresh_token)
    await post(`/login/${name}`, { id_token: `${login.access_token}`, nonce: address })
    await post(`/login/${name}`, another)
    const { headers, body } = name === 'apple' && user % 2 === 0
      ? await idp.apple.notify('email-disabled', id)
      : await senders[name].revoke(id)
    for (const wrong of ['', 'a']) {
      await app.inject({ method: 'POST', url: `/events/${name}`, headers: { ...headers }, payload: `${body}${wrong}` })
    }
    const { access_token: token } = app.tokenExchange.issue({ userId: id })
    keepSecret({ token })
    await post('/revoke', { token })
  }

  t.ok(lines.length >= 10_000)
  for (const type of [
    'login.succeeded', 'login.refused', 'session.refreshed', 'session.reused', 'session.ended', 'refresh.refused',
    'access.refused', 'token.revoked', 'provider.event'
  ]) t.ok(types.has(type), type)
  const all = `${lines.join('\n')}\n${text()}`
  t.ok(secrets.size > 1000)
  t.strictSame([...secrets].filter(secret => all.includes(secret)), [])
})
