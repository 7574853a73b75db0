import { randomUUID } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import { errors, type Identity, type PermissionLookup, type User } from 'fastify-token-exchange'

// A table of yours: which identity opens which account.
export const identities = new Map<string, string>()

const keyOf = ({ provider, subject }: Identity | User): string => JSON.stringify([provider, subject])

export function guestRoutes (app: FastifyInstance): void {
  // An application key keeps out who has none of your apps. Limit the rate as well: each request makes an account.
  app.post('/guests', { onRequest: app.requireLevel('application') }, async (request, reply) => {
    // Who is somebody already does not become a guest.
    if (request.auth.user !== null) return await reply.code(409).send({ message: 'You are logged in' })
    reply.header('cache-control', 'no-store')
    return await app.tokenExchange.login({ provider: 'guest', subject: randomUUID() }, request)
  })
}

export const permissions: PermissionLookup = (identity, { reason, user }) => {
  const known = identities.get(keyOf(identity))
  if (known === undefined && reason === 'refresh') return null
  // The guest's account stays as it is: the app asks whether to go over to the account that there is.
  if (user !== null && known !== undefined && known !== user.id) throw new errors.LinkRequiredError()
  const accountId = known ?? user?.id ?? randomUUID()
  identities.set(keyOf(identity), accountId)
  if (identity.provider === 'guest') return { userId: accountId, permissions: ['list:write'], claims: { guest: true } }
  // From now on the login opens the account, and what made the guest does not: somebody else may have begun it.
  if (user?.provider === 'guest') identities.delete(keyOf(user))
  return { userId: accountId, permissions: ['list:write', 'list:share'] }
}
