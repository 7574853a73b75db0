import { subscribe, tracingChannel, unsubscribe } from 'node:diagnostics_channel'
import {
  context, metrics, SpanStatusCode, trace, type Attributes, type MeterProvider, type Span, type TracerProvider
} from '@opentelemetry/api'
import type { TokenExchangeEvent, Traced } from '../events.js'

/** Where metrics and spans go. @default the global providers of `@opentelemetry/api` */
export interface InstrumentOptions {
  meterProvider?: MeterProvider
  tracerProvider?: TracerProvider
}

const name = 'fastify-token-exchange'

/**
 * Tells OpenTelemetry what happens, for all servers of this process: metrics of logins, refreshes, refusals, ends of
 * sessions, events of providers and how late revocations are heard; spans of verifications, lookups and calls of the
 * store. No attribute says who a user is.
 *
 * @returns a function that ends it
 * @example
 * ```ts
 * import { instrument } from 'fastify-token-exchange/telemetry'
 *
 * const stop = instrument()
 * ```
 */
export function instrument ({ meterProvider, tracerProvider }: InstrumentOptions = {}): () => void {
  const stopCounting = count(meterProvider ?? metrics.getMeterProvider())
  const stopTracing = follow(tracerProvider ?? trace.getTracerProvider())
  return () => {
    stopCounting()
    stopTracing()
  }
}

function count (provider: MeterProvider): () => void {
  const meter = provider.getMeter(name)
  const logins = meter.createHistogram('token_exchange.login.duration', {
    unit: 's', description: 'How long logins take, by how they end.'
  })
  const refreshes = meter.createCounter('token_exchange.refreshes', { unit: '{refresh}' })
  const refusals = meter.createCounter('token_exchange.access.refused', { unit: '{request}' })
  const ends = meter.createCounter('token_exchange.sessions.ended', { unit: '{session}' })
  const told = meter.createCounter('token_exchange.provider.events', { unit: '{event}' })
  const lag = meter.createHistogram('token_exchange.revocation.lag', {
    unit: 's', description: 'How long after another server has made them revocations are heard.'
  })

  function record (event: TokenExchangeEvent): void {
    const of = attributesOf(event)
    switch (event.type) {
      case 'login.succeeded': return logins.record(secondsOf(event), { ...of, ...result('succeeded') })
      case 'login.refused': return logins.record(secondsOf(event), { ...of, ...result('refused') })
      case 'login.failed': return logins.record(secondsOf(event), { ...of, ...result('failed') })
      case 'session.refreshed': return refreshes.add(1, { ...of, ...result('succeeded') })
      case 'refresh.refused': return refreshes.add(1, { ...of, ...result('refused') })
      case 'access.refused': return refusals.add(1, of)
      case 'session.ended': return ends.add(1, { ...of, 'token_exchange.cause': event.cause })
      case 'provider.event': return told.add(1, { ...of, 'token_exchange.kind': event.kind })
      case 'revocation.heard': return lag.record(secondsOf(event))
    }
  }

  const listener = (event: unknown): void => { if (isEvent(event)) record(event) }
  subscribe('fastify-token-exchange:event', listener)
  return () => { unsubscribe('fastify-token-exchange:event', listener) }
}

function isEvent (message: unknown): message is TokenExchangeEvent {
  return typeof message === 'object' && message !== null && typeof Reflect.get(message, 'type') === 'string'
}

function secondsOf ({ milliseconds = 0 }: TokenExchangeEvent): number {
  return milliseconds / 1000
}

function result (value: 'succeeded' | 'refused' | 'failed'): Attributes {
  return { 'token_exchange.result': value }
}

/** Of few values each: a metric by user would have as many series as there are users. */
function attributesOf (event: TokenExchangeEvent): Attributes {
  return {
    ...(event.provider !== undefined && { 'token_exchange.provider': event.provider }),
    ...('code' in event && { 'error.type': event.code })
  }
}

const traces = ['verify', 'lookup', 'store'] as const

function follow (provider: TracerProvider): () => void {
  const tracer = provider.getTracer(name)
  const spans = new WeakMap<object, Span>()
  const ends = traces.map(what => {
    const channel = tracingChannel<unknown, Traced>(`${name}:${what}`)
    const subscribers = {
      start (traced: Traced) {
        const attributes = { 'token_exchange.operation': traced.operation, ...attributesOfTrace(traced) }
        spans.set(traced, tracer.startSpan(`token_exchange.${what}`, { attributes }, context.active()))
      },
      end () {},
      asyncStart () {},
      error (traced: Traced) {
        spans.get(traced)?.setAttributes({ 'error.type': traced.code }).setStatus({ code: SpanStatusCode.ERROR })
      },
      asyncEnd (traced: Traced) {
        spans.get(traced)?.end()
      }
    }
    channel.subscribe(subscribers)
    return () => { channel.unsubscribe(subscribers) }
  })
  return () => { for (const end of ends) end() }
}

function attributesOfTrace ({ provider }: Traced): Attributes {
  return provider === undefined ? {} : { 'token_exchange.provider': provider }
}
