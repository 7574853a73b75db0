import { generateKeyPair, generateProof } from 'dpop'
import t from 'tap'
import { buildServer, buildStrictServer, openClient } from '../../example/recipes/dpop.js'
import { ownProvider, secret } from '../server.js'
import { freePort } from '../sessions/servers.js'

t.test('a login with the client is bound to its key, and a copy of the refresh token is worth nothing', async t => {
  for (const build of [buildServer, buildStrictServer]) {
    const port = await freePort()
    const url = `http://127.0.0.1:${port}`
    const app = await build({ issuer: url, keys: secret, providers: { own: ownProvider() } })
    t.teardown(() => app.close())
    let stolen = ''
    app.addHook('onSend', async (_request, _reply, payload) => {
      const [, token] = /"refresh_token":"([^"]+)"/.exec(String(payload)) ?? []
      stolen = token ?? stolen
      return payload
    })
    await app.listen({ port, host: '127.0.0.1' })
    const client = openClient(url)
    await client.login('own', { access_token: 'good' })
    t.equal(client.user?.userId, 'own:10158')

    const headers: Record<string, string> = { 'content-type': 'application/json' }
    const payload = JSON.stringify({ grant_type: 'refresh_token', refresh_token: stolen })
    const thief = await fetch(`${url}/token`, { method: 'POST', headers, body: payload })
    t.match(await thief.json(), { error: 'invalid_grant' })
    const nonce = thief.headers.get('dpop-nonce') ?? undefined
    const dpop = await generateProof(await generateKeyPair('ES256'), `${url}/token`, 'POST', nonce)
    const again = await fetch(`${url}/token`, { method: 'POST', headers: { ...headers, dpop }, body: payload })
    t.match(await again.json(), { error: 'invalid_grant' })
    await client.refresh()
    t.equal(client.user?.userId, 'own:10158', 'its owner goes on')
  }
})

t.test('the strict server lets nobody in without a proof, and its API wants one too', async t => {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const app = await buildStrictServer({ issuer: url, keys: secret, providers: { own: ownProvider() } })
  t.teardown(() => app.close())
  await app.listen({ port, host: '127.0.0.1' })
  const login = await app.inject({ method: 'POST', url: '/login/own', payload: { access_token: 'good' } })
  t.match(login.json(), { statusCode: 400, code: 'AUTH_ERR_DPOP_INVALID' })
  const client = openClient(url)
  await client.login('own', { access_token: 'good' })
  t.equal((await client.fetch('/me')).status, 200)
})
