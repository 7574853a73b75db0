import { channel, tracingChannel, type TracingChannel } from 'node:diagnostics_channel'
import type { FastifyBaseLogger, FastifyRequest } from 'fastify'
import { codeOf, legible, type Check } from './errors.js'
import type { ProviderEventKind } from './identity.js'

/** Why a session has ended. */
export type EndCause = 'logout' | 'revoked' | 'reused' | 'denied' | 'provider' | 'code-reused'

/** What each kind of event says of itself. */
type Told =
  | { readonly type: 'login.succeeded' }
  /** `check` is missing where the application said no. */
  | { readonly type: 'login.refused', readonly code: string, readonly check?: Check }
  /** An outage, or overload. */
  | { readonly type: 'login.failed', readonly code: string }
  | { readonly type: 'session.refreshed', readonly retry: 'none' | 'concurrent' | 'lost-answer' }
  | { readonly type: 'refresh.refused', readonly code: string }
  /** An old refresh token came: a theft. The session ends. */
  | { readonly type: 'session.reused' }
  /** One session, or all of `userId` where there is no `sessionId`. */
  | { readonly type: 'session.ended', readonly cause: EndCause }
  | { readonly type: 'token.revoked' }
  /** By a guard. */
  | { readonly type: 'access.refused', readonly code: string }
  | { readonly type: 'provider.unavailable', readonly code: string }
  | { readonly type: 'provider.recovered' }
  | { readonly type: 'store.unavailable' }
  | { readonly type: 'store.recovered' }
  /** Of another server; `milliseconds` since it was made. */
  | { readonly type: 'revocation.heard' }
  | { readonly type: 'provider.event', readonly kind: ProviderEventKind }

/** What events have in common, where it applies. */
interface Common {
  readonly provider?: string
  readonly subject?: string
  readonly userId?: string
  readonly sessionId?: string
  readonly clientId?: string
  /** That it took, or since it happened. */
  readonly milliseconds?: number
}

export type EventFacts = Told & Common

/**
 * Something that happened. Frozen; holds no token, no secret, no e-mail address and no text of a provider's.
 *
 * @example
 * ```ts
 * function onEvent (event: TokenExchangeEvent) {
 *   if (event.type === 'login.refused') console.warn(event.provider, event.code, event.check)
 * }
 * ```
 */
export type TokenExchangeEvent = EventFacts & {
  /** Milliseconds since the epoch. */
  readonly at: number
  /** Fastify's id of the request; null where it happened without one. */
  readonly requestId: string | null
}

/** Called with what happened, and never awaited. What it throws is logged, and changes nothing. */
export type EventListener = (event: TokenExchangeEvent, request: FastifyRequest | null) => void

/** Where everything that happens is published, and nowhere else. */
export interface Events {
  /** Whether anybody listens: what only an event needs is made then, and not before. */
  isHeard (): boolean
  publish (facts: EventFacts, request?: FastifyRequest | null): void
}

/** Every event of every server of this process, for `node:diagnostics_channel`. */
const events = channel('fastify-token-exchange:event')

export function createEvents (listener: EventListener | null, log: FastifyBaseLogger): Events {
  function isHeard (): boolean {
    return listener !== null || events.hasSubscribers
  }

  function publish (facts: EventFacts, request: FastifyRequest | null = null): void {
    if (!isHeard()) return
    const event: TokenExchangeEvent = Object.freeze({ at: Date.now(), requestId: request?.id ?? null, ...facts })
    if (listener !== null) call(listener, event, request)
    if (events.hasSubscribers) events.publish(event)
  }

  function call (listener: EventListener, event: TokenExchangeEvent, request: FastifyRequest | null): void {
    const failed = (thrown: unknown): void => (request?.log ?? log).error({ err: legible(thrown) }, 'onEvent failed')
    try {
      const answer: unknown = listener(event, request)
      if (answer instanceof Promise) answer.catch(failed)
    } catch (thrown) {
      failed(thrown)
    }
  }

  return { isHeard, publish }
}

/** What a subscriber of a tracing channel is told: never a result. */
export interface Traced {
  readonly operation: string
  readonly provider?: string
  /** Of the error that came of it; there from `error` on. */
  code?: string
}

const traces = {
  verify: tracingChannel<unknown, Traced>('fastify-token-exchange:verify'),
  lookup: tracingChannel<unknown, Traced>('fastify-token-exchange:lookup'),
  store: tracingChannel<unknown, Traced>('fastify-token-exchange:store')
}

export function isTraced (name: keyof typeof traces): boolean {
  return traces[name].hasSubscribers
}

/** Runs work of others so that it can be traced; without a subscriber it is just run. */
export function traced<T> (name: keyof typeof traces, context: Traced, work: () => Promise<T>): Promise<T> {
  const trace = traces[name]
  return trace.hasSubscribers ? tellOf(trace, context, work) : work()
}

// Not by tracePromise(), which puts what came of the work into the context: a store answers with sessions.
async function tellOf<T> (
  trace: TracingChannel<unknown, Traced>,
  context: Traced,
  work: () => Promise<T>
): Promise<T> {
  try {
    const running = trace.start.runStores(context, work)
    trace.end.publish(context)
    return await running
  } catch (thrown) {
    context.code = codeOf(thrown) ?? 'unknown'
    trace.error.publish(context)
    throw thrown
  } finally {
    trace.asyncStart.publish(context)
    trace.asyncEnd.publish(context)
  }
}
