// The same from CommonJS, where each entry point carries its own copy of the error classes.
const assert = require('node:assert/strict')
const Fastify = require('fastify')
const tokenExchange = require('fastify-token-exchange')
const { ClientError, createClient } = require('fastify-token-exchange/client')
const { facebook } = require('fastify-token-exchange/providers')
const { memoryStore } = require('fastify-token-exchange/stores')
const { startIdentityServer } = require('fastify-token-exchange/testing')

async function story () {
  assert.equal(tokenExchange.default, tokenExchange.tokenExchange)
  assert.equal(typeof memoryStore, 'function')
  const idp = await startIdentityServer()
  const app = Fastify()
  await app.register(tokenExchange, {
    issuer: 'https://api.example.com',
    keys: 'of the story: 32 bytes or more, ok',
    providers: { facebook: facebook(idp.facebook.options) }
  })
  const onRequest = app.requireLevel('authenticated')
  app.get('/api/auth', { onRequest }, ({ auth }) => ({ message: `hello, ${auth.user?.id}` }))

  const login = token => app.inject({ method: 'POST', url: '/login/facebook', payload: { access_token: token } })
  const answer = await login(idp.facebook.accessToken({ id: '10158' }))
  assert.equal(answer.statusCode, 200)
  const refused = await login('nonsense')
  assert.deepEqual([refused.statusCode, refused.json().code], [401, tokenExchange.errors.GrantRejectedError.code])
  const called = await app.inject({ url: '/api/auth', headers: { 'x-zumo-auth': answer.json().authenticationToken } })
  assert.deepEqual([called.statusCode, called.json()], [200, { message: 'hello, facebook:10158' }])

  const client = createClient({ url: 'http://127.0.0.1:1' })
  await assert.rejects(client.login('facebook', {}), ClientError)

  await app.close()
  await idp.close()
  console.log('the story holds: CommonJS')
}

story()
