import fp from 'fastify-plugin'
import tokenExchange from 'fastify-token-exchange'
import { google } from 'fastify-token-exchange/providers'

const { ISSUER = 'http://localhost:3000', SIGNING_SECRET, GOOGLE_CLIENT_IDS = '' } = process.env

// fastify-plugin, or the guards would be there for this file alone.
export default fp(async fastify => {
  await fastify.register(tokenExchange, {
    issuer: ISSUER,
    keys: SIGNING_SECRET,
    providers: { google: google({ clientIds: GOOGLE_CLIENT_IDS.split(' ') }) },
    defaultLevel: 'authenticated',
    sessions: {}
  })
}, { name: 'token-exchange' })
