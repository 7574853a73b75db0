import Fastify, { type FastifyInstance } from 'fastify'
import tokenExchange, { errors, type ApplicationVerifier, type TokenExchangeOptions } from 'fastify-token-exchange'
import { appCheck, type AppCheckOptions } from 'fastify-token-exchange/applications'

export async function buildServer (
  options: TokenExchangeOptions,
  firebase: AppCheckOptions
): Promise<FastifyInstance> {
  const app = Fastify()
  await app.register(tokenExchange, {
    ...options,
    applications: { mobile: appCheck(firebase), partner: partner(['shop', 'kiosk']) }
  })
  app.get('/prices', { onRequest: app.requireLevel('application') }, request => ({ for: request.auth.application }))
  return app
}

/** Somebody of your own: here by a name and the time, where you would verify a signature. */
export function partner (names: readonly string[]): ApplicationVerifier {
  return {
    header: 'X-Partner',
    async verify (token) {
      const [name = '', expiry = ''] = token.split(' ')
      if (!names.includes(name)) throw new errors.GrantRejectedError('name')
      return { application: name, expiresAt: Number(expiry) }
    }
  }
}
