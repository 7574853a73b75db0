import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { codeOf, errors, legible } from '../errors.js'
import type { ProviderEvent } from '../identity.js'
import { checkOf, type IncomingEvents, type ReadEvents } from '../login/read-events.js'
import type { Server } from '../server.js'
import { bodyLimit } from './bodies.js'

interface Named { Params: { provider: string } }

/** Whether any provider of this server sends events. */
export function hasEvents ({ providers }: Server): boolean {
  return [...providers.values()].some(({ events }) => events !== null)
}

/** `POST /events/:provider`: what providers take back. In a scope of its own: signatures are about bytes as sent. */
export function eventRoutes (scope: FastifyInstance, server: Server): void {
  keepBodies(scope)
  // Whatever limits the application has: what is sent once must not meet a 429.
  const config: object = { ...server.routeConfig, rateLimit: false }
  const route = { bodyLimit, config }

  scope.post<Named>('/events/:provider', route, async (request, reply) => {
    const { provider } = request.params
    const { read, status = 200, refusal } = incoming(server, provider)
    try {
      await take(server, provider, read, request)
    } catch (thrown) {
      if (refusal === undefined || codeOf(thrown) !== errors.EventInvalidError.code) throw thrown
      return await reply.code(400).send(refusal(checkOf(thrown)))
    }
    return await reply.code(status).send()
  })

  if (![...server.providers.values()].some(({ events }) => events?.deletion != null)) return
  scope.post<Named>('/events/:provider/deletion', route, async (request, reply) => {
    const { provider } = request.params
    const { deletion } = incoming(server, provider)
    if (deletion === null) throw new errors.ProviderUnknownError('no callback for the deletion of data')
    const [event] = await take(server, provider, deletion.read, request)
    return await answerDeletion(deletion.answer, event, request, reply)
  })
}

function keepBodies (scope: FastifyInstance): void {
  scope.removeAllContentTypeParsers()
  scope.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => { done(null, body) })
}

function incoming ({ exchange }: Server, name: string): IncomingEvents {
  const { events } = exchange.provider(name)
  if (events === null) throw new errors.ProviderUnknownError('its events are not taken')
  return events
}

/** Verified, done, and only then answered. */
async function take (
  { providerEvents }: Server,
  provider: string,
  read: ReadEvents,
  request: FastifyRequest
): Promise<readonly ProviderEvent[]> {
  const { headers, body } = request
  const events = await read({ headers, body: Buffer.isBuffer(body) ? body : Buffer.alloc(0) }, request)
  await providerEvents.take(provider, events, request)
  return events
}

/** By a function of the application's. */
async function answerDeletion (
  answer: (event: ProviderEvent) => object,
  event: ProviderEvent | undefined,
  request: FastifyRequest,
  reply: FastifyReply
): Promise<FastifyReply> {
  if (event === undefined) throw new errors.EventInvalidError('no event')
  try {
    return await reply.send(answer(event))
  } catch (thrown) {
    const cause = legible(thrown)
    request.log.error({ err: cause }, 'deletionUrl failed')
    throw new errors.EventFailedError(undefined, { cause })
  }
}
