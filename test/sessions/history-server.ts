// An application of its own process, for clients who take their turns at random: a token is the identity that it is
// of, and an identity is a user's name, a slash and anything.
import { memoryStore } from '../../src/sessions/stores/memory.js'
import { buildServer, ownProvider, type Options } from '../server.js'
import { connectTo, type StoreClient } from './private-stores.js'

const [, , address = 'memory'] = process.argv
const client: StoreClient = address === 'memory' ? { store: memoryStore(), close: async () => {} } : connectTo(address)
const options = {
  providers: { own: ownProvider(({ token }) => ({ subject: token })) },
  permissions: ({ subject }) => ({ userId: subject.split('/')[0] ?? '' }),
  sessions: { store: client.store, perUser: 10_000 }
} satisfies Options
// A client that has given up before it sent anything leaves a connection that Node's own close() waits for, as long as
// it is open, Fastify or not: to closeIdleConnections() what was never used is not idle.
const app = await buildServer(options, { fastify: { forceCloseConnections: true } })
app.get('/guarded', { onRequest: app.requireUser() }, request => request.auth.user)
app.post<{ Body: { id: string } }>('/revoke-user', async (request, reply) => {
  await app.tokenExchange.revokeUser(request.body.id)
  return await reply.code(204).send()
})
app.post<{ Body: { id: string } }>('/revoke-identity', async (request, reply) => {
  await app.tokenExchange.revokeIdentity('own', request.body.id)
  return await reply.code(204).send()
})
const url = await app.listen({ host: '127.0.0.1', port: 0 })

async function close (): Promise<void> {
  await app.close()
  await client.close()
}

process.on('disconnect', () => { close().catch(() => process.exit(1)) })

process.send?.(url)
