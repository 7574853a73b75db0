import type { FastifyInstance } from 'fastify'
import type { Nonces } from '../login/nonces.js'
import { bodyLimit } from './bodies.js'

/** `POST /nonce`: a nonce of this server, for a login at a provider that asks for one. */
export function nonceRoute (scope: FastifyInstance, nonces: Nonces, config: object): void {
  scope.post('/nonce', { bodyLimit, config }, async () => nonces.issue())
}
