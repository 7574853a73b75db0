import { initTRPC, TRPCError } from '@trpc/server'
import {
  fastifyTRPCPlugin, type CreateFastifyContextOptions, type FastifyTRPCPluginOptions
} from '@trpc/server/adapters/fastify'
import Fastify, { type FastifyInstance } from 'fastify'
import tokenExchange, { errors, type TokenExchangeOptions } from 'fastify-token-exchange'

/** `auth` is what the guard of the scope has found: nobody, or a user. */
const createContext = ({ req: { auth } }: CreateFastifyContextOptions) => ({ auth })
const { router, procedure } = initTRPC.context<typeof createContext>().create()

/** Procedures for users: `ctx.user` is one. */
const forUsers = procedure.use(({ ctx: { auth: { user } }, next }) => {
  if (user === null) throw refused('UNAUTHORIZED', errors.CredentialMissingError.code)
  return next({ ctx: { user } })
})

const forAdmins = forUsers.use(({ ctx: { user }, next }) => {
  if (user.level !== 'admin') throw refused('FORBIDDEN', errors.LevelInsufficientError.code)
  return next()
})

const needs = (permission: string) => forUsers.use(({ ctx: { user }, next }) => {
  if (!user.permissions.includes(permission)) throw refused('FORBIDDEN', errors.PermissionMissingError.code)
  return next()
})

const refused = (code: 'UNAUTHORIZED' | 'FORBIDDEN', message: string): TRPCError => new TRPCError({ code, message })

/** What Zod does in your application. */
function text (value: unknown): string {
  if (typeof value !== 'string') throw new TypeError('must be a string')
  return value
}

const todos: string[] = []
export const appRouter = router({
  about: procedure.query(() => ({ name: 'Todo' })),
  me: forUsers.query(({ ctx: { user } }) => ({ id: user.id })),
  add: needs('todo:write').input(text).mutation(({ input }) => todos.push(input)),
  clear: forAdmins.mutation(() => { todos.length = 0 })
})
export type AppRouter = typeof appRouter

const trpcOptions: FastifyTRPCPluginOptions<AppRouter>['trpcOptions'] = {
  router: appRouter,
  createContext,
  // A 401 names a scheme (RFC 9110, 15.5.2).
  responseMeta: ({ errors }) =>
    errors.some(({ code }) => code === 'UNAUTHORIZED') ? { headers: { 'www-authenticate': 'Bearer' } } : {}
}

export async function trpcServer (options: TokenExchangeOptions): Promise<FastifyInstance> {
  const app = Fastify({ routerOptions: { maxParamLength: 5000 } })
  await app.register(tokenExchange, options)
  await app.register(async scope => {
    // Whoever comes without a token may ask what is for everyone; a bad token is 401 before any procedure runs.
    scope.addHook('onRequest', scope.requireLevel('everyone'))
    await scope.register(fastifyTRPCPlugin, { prefix: '/trpc', trpcOptions })
  })
  return app
}
