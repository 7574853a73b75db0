import { createHash } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import type { Deadlines } from '../deadline.js'
import { errors, legible } from '../errors.js'
import type { Events } from '../events.js'
import type { ProviderEvent, ProviderEventKind } from '../identity.js'
import type { Sessions } from '../sessions/sessions.js'
import { createTurns, type SharedPlace } from './turns.js'

/** What the application is told: what a provider has taken back, and the name under which it is registered. */
export type ToldProviderEvent = Readonly<ProviderEvent> & { readonly provider: string }

/**
 * Told of each event at least once, after the sessions that it ends have ended: to delete an account, to disable one.
 * What it throws makes the provider send the event again.
 */
export type ProviderEventListener = (
  event: ToldProviderEvent,
  context: {
    /** Aborted at the deadline (`lookupTimeout`) and when the server closes. */
    readonly signal: AbortSignal
  }
) => void | Promise<void>

/** Does what events of a provider ask for. */
export interface ProviderEvents {
  /**
   * Ends what verified events name, tells the application, and remembers them. What was done before is not done again.
   *
   * @throws errors.StoreUnavailableError, errors.EventFailedError: the event is to be sent again
   */
  take (provider: string, events: readonly ProviderEvent[], request: FastifyRequest): Promise<void>
}

interface ProviderEventsParts {
  readonly events: Events
  /** Null where there are none to end. */
  readonly sessions: Pick<Sessions, 'endIdentity' | 'endProviderSession'> | null
  /** Remembers what was done. */
  readonly place: SharedPlace
  readonly listener: ProviderEventListener | null
  /** Milliseconds for the application. */
  readonly milliseconds: number
  readonly deadlines: Deadlines
}

const ending: readonly ProviderEventKind[] = [
  'sessions-revoked', 'authorization-revoked', 'account-disabled', 'account-deleted', 'credential-change',
  'data-deletion-requested'
]

/** Milliseconds: a day, and what clocks may differ in which an event of that age is still taken. */
const remembered = 25 * 3_600_000
/** Milliseconds for sessions to end, and for the store, beside those of the application. */
const others = 10_000

export function createProviderEvents (parts: ProviderEventsParts): ProviderEvents {
  const { events: bus, sessions, place, listener, milliseconds, deadlines } = parts
  const turns = createTurns(place, milliseconds + others)

  async function take (provider: string, events: readonly ProviderEvent[], request: FastifyRequest): Promise<void> {
    for (const [id, some] of byId(events)) {
      if (id === null) await act(provider, some, request)
      else await once(keyOf(provider, id), () => act(provider, some, request))
    }
  }

  // Remembered when it has succeeded and no sooner: an outage, or a process that goes away, must not lose it. What was
  // done right before that is done again then.
  async function once (key: string, work: () => Promise<void>): Promise<void> {
    const hadTurn = await turns.take(key, async () => {
      const isDone = await place.take(key) !== null
      if (!isDone) await work()
      await place.keep(key, 'done', remembered)
    })
    if (!hadTurn) throw new errors.EventFailedError('another server is at it')
  }

  async function act (provider: string, events: readonly ProviderEvent[], request: FastifyRequest): Promise<void> {
    for (const event of events) {
      const { kind, subject, at } = event
      if (ending.includes(kind)) await end(provider, event, request)
      const told = Object.freeze({ ...event, provider, at: Math.min(at, Date.now()) })
      await tell(told, request)
      request.log.info({ provider, kind }, 'an event of the identity provider')
      bus.publish({ type: 'provider.event', kind, provider, ...(subject !== null && { subject }) }, request)
    }
  }

  async function end (provider: string, event: ProviderEvent, request: FastifyRequest): Promise<void> {
    const { subject, providerSession, at } = event
    const on = { cause: 'provider', request } as const
    if (providerSession !== null) await sessions?.endProviderSession(provider, providerSession, at, on)
    else if (subject !== null) await sessions?.endIdentity(provider, subject, at, on)
  }

  async function tell (event: ToldProviderEvent, request: FastifyRequest): Promise<void> {
    if (listener === null) return
    try {
      await deadlines.within(milliseconds, deadline =>
        listener(event, { get signal () { return deadline.signal } })
      )
    } catch (thrown) {
      const cause = legible(thrown)
      request.log.error({ err: cause, provider: event.provider }, 'onProviderEvent failed')
      throw new errors.EventFailedError(undefined, { cause })
    }
  }

  return { take }
}

/** RFC 8417, 2.2: what one token says are parts of one event, done together. */
function byId (events: readonly ProviderEvent[]): ReadonlyMap<string | null, readonly ProviderEvent[]> {
  const ids = new Set(events.map(({ id }) => id))
  return new Map(Array.from(ids, id => [id, events.filter(event => event.id === id)]))
}

function keyOf (provider: string, id: string): string {
  return `event ${createHash('sha256').update(JSON.stringify([provider, id])).digest('base64url')}`
}
