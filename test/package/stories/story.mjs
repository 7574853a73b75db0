// What an application does, from an ES module: log in with a Facebook token, call with ours.
import assert from 'node:assert/strict'
import Fastify from 'fastify'
import { createClient } from 'fastify-token-exchange/client'
import tokenExchange, { errors, tokenExchange as named } from 'fastify-token-exchange'
import { facebook, oidc } from 'fastify-token-exchange/providers'
import * as stores from 'fastify-token-exchange/stores'
import { startIdentityServer } from 'fastify-token-exchange/testing'

assert.equal(tokenExchange, named)
const storeNames = Object.keys(stores).filter(name => /Store$/.test(name))
assert.deepEqual(storeNames.sort(), ['memoryStore', 'postgresStore', 'redisStore'])

const idp = await startIdentityServer()
const app = Fastify()
await app.register(tokenExchange, {
  issuer: 'https://api.example.com',
  keys: 'of the story: 32 bytes or more, ok',
  providers: { facebook: facebook(idp.facebook.options), corp: oidc(idp.oidc.options) }
})
const onRequest = app.requireLevel('authenticated')
app.get('/api/auth', { onRequest }, ({ auth }) => ({ message: `hello, ${auth.user?.id}` }))
const url = await app.listen({ port: 0, host: '127.0.0.1' })

const headers = { 'content-type': 'application/json' }
const login = (provider, body) =>
  fetch(`${url}/login/${provider}`, { method: 'POST', headers, body: JSON.stringify(body) })

const answer = await login('facebook', { access_token: idp.facebook.accessToken({ id: '10158' }) })
assert.equal(answer.status, 200)
const { access_token: token, user } = await answer.json()
assert.equal(user.userId, 'facebook:10158')
assert.equal((await login('corp', { id_token: await idp.oidc.idToken({ sub: 'u1' }) })).status, 200)
const refused = await login('facebook', { access_token: 'nonsense' })
assert.equal(refused.status, 401)
assert.equal((await refused.json()).code, errors.GrantRejectedError.code)

const called = await fetch(`${url}/api/auth`, { headers: { authorization: `Bearer ${token}` } })
assert.deepEqual([called.status, await called.json()], [200, { message: 'hello, facebook:10158' }])
assert.equal((await fetch(`${url}/api/auth`)).status, 401)

const client = createClient({ url })
await client.login('facebook', { access_token: idp.facebook.accessToken({ id: '10158' }) })
assert.equal((await client.fetch('/api/auth')).status, 200)

await app.close()
await idp.close()
console.log('the story holds: ES module')
