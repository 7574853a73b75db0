import type { FastifyPluginAsync } from 'fastify'
import { userOf } from 'fastify-token-exchange'

const todos: FastifyPluginAsync = async fastify => {
  fastify.get('/', async request => ({ owner: userOf(request).id })) // for users, by defaultLevel
  fastify.post('/', { onRequest: fastify.requirePermission('todo:write') }, async (_request, reply) =>
    await reply.code(201).send({}))
}

export default todos
