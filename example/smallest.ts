import Fastify from 'fastify'
import tokenExchange from 'fastify-token-exchange'
import { facebook } from 'fastify-token-exchange/providers'

const { FACEBOOK_APP_ID = '', FACEBOOK_APP_SECRET = '', SIGNING_SECRET, PORT = '3000' } = process.env

const app = Fastify({ logger: true })
await app.register(tokenExchange, {
  issuer: 'http://localhost:3000',
  keys: SIGNING_SECRET,
  providers: { facebook: facebook({ appId: FACEBOOK_APP_ID, appSecret: FACEBOOK_APP_SECRET }) }
})
app.get('/api/everyone', { onRequest: app.requireLevel('everyone') }, () => ({ message: 'hello' }))
app.get('/api/auth', { onRequest: app.requireLevel('authenticated') }, request => ({
  message: `hello, ${request.auth.user?.id}`
}))
await app.listen({ port: Number(PORT) })
