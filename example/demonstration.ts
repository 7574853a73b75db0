import type { FastifyInstance } from 'fastify'
import type { Application } from './application.js'
import type { EventFeed } from './event-feed.js'
import { flaws, grantOf, people, personNames, providerNames, signIn } from './people.js'
import type { Settings } from './settings.js'

const chosen = {
  type: 'object',
  required: ['provider', 'person'],
  properties: {
    provider: { enum: providerNames },
    person: { enum: personNames },
    flaw: { enum: flaws, default: 'none' }
  }
} as const

interface Chosen {
  Body: {
    provider: typeof providerNames[number]
    person: typeof personNames[number]
    flaw: typeof flaws[number]
  }
}

interface Switches { outage: boolean, slow: boolean }

/** No part of the API. */
const hidden = { schema: { hide: true } }

/** Milliseconds that each answer of a slow provider takes. */
const slowness = 1200

/**
 * What the page needs that no application has: the part of the user and of the provider, played on this machine, and
 * the keys. Whoever reaches these routes is whom they please: never have them in an application.
 */
export async function demonstrationRoutes (
  app: FastifyInstance,
  { idp }: Application,
  { applicationKey, masterKey, issuer }: Settings,
  feed: EventFeed
): Promise<void> {
  let switches: Switches = { outage: false, slow: false }

  app.get('/demonstration', hidden, async () => ({ applicationKey, masterKey, issuer, switches }))

  app.post<Chosen>('/demonstration/grants', { schema: { hide: true, body: chosen } }, async ({ body }) =>
    await grantOf(idp, body.provider, people[body.person], body.flaw))

  app.post<Chosen>('/demonstration/sign-in', { schema: { hide: true, body: chosen } }, async ({ body }, reply) => {
    signIn(idp, body.provider, people[body.person])
    return reply.code(204).send()
  })

  app.post<{ Body: Partial<Switches> }>('/demonstration/switches', hidden, async ({ body }) => {
    switches = { ...switches, ...body }
    idp.outage(switches.outage ? 'down' : false)
    idp.slow(switches.slow ? slowness : 0)
    return switches
  })

  app.post('/demonstration/rotation', hidden, async (_request, reply) => {
    await idp.rotate()
    return reply.code(204).send()
  })

  app.get('/demonstration/events', hidden, async (_request, reply) =>
    reply.headers({ 'content-type': 'text/event-stream', 'cache-control': 'no-store' }).send(feed.open()))
}
