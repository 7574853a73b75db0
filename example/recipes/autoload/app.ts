import { join } from 'node:path'
import AutoLoad, { type AutoloadPluginOptions } from '@fastify/autoload'
import type { FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'

export type AppOptions = Partial<AutoloadPluginOptions>

const app: FastifyPluginAsync<AppOptions> = async (fastify, opts) => {
  // Plugins come first: the guards are there when the routes are declared.
  await fastify.register(AutoLoad, { dir: join(import.meta.dirname, 'plugins'), options: opts, forceESM: true })
  await fastify.register(AutoLoad, { dir: join(import.meta.dirname, 'routes'), options: opts, forceESM: true })
}

// `fastify start` registers this as a plugin: fastify-plugin keeps it in the root scope, where defaultLevel belongs.
export default fp(app)
