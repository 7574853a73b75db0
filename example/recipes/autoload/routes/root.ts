import type { FastifyPluginAsync } from 'fastify'

const root: FastifyPluginAsync = async fastify => {
  fastify.get('/', { onRequest: fastify.requireLevel('everyone') }, async () => ({ root: true }))
}

export default root
