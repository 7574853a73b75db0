import type { FastifyInstance } from 'fastify'
import type { TokenExchangeEvent } from 'fastify-token-exchange'
import { Counter, Gauge, Histogram, Registry } from 'prom-client'

export const registry = new Registry()
const registers = [registry]
const named = (name: string, help: string, ...labelNames: string[]) => ({ name, help, labelNames, registers })

const logins = new Histogram(named('token_exchange_login_duration_seconds', 'Logins.', 'provider', 'result', 'code'))
const refreshes = new Counter(named('token_exchange_refreshes_total', 'Refreshes.', 'result', 'retry', 'code'))
const refusals = new Counter(named('token_exchange_access_refused_total', 'Refusals of guards.', 'code'))
const ends = new Counter(named('token_exchange_sessions_ended_total', 'Ends of sessions.', 'cause'))
const lag = new Histogram(named('token_exchange_revocation_lag_seconds', 'How late revocations are heard.'))

/** The option `onEvent`. Labels have few values each: none says who a user is. */
export function onEvent (event: TokenExchangeEvent): void {
  const { provider = '', milliseconds = 0 } = event
  const seconds = milliseconds / 1000
  switch (event.type) {
    case 'login.succeeded': return logins.observe({ provider, result: 'succeeded', code: '' }, seconds)
    case 'login.refused': return logins.observe({ provider, result: 'refused', code: event.code }, seconds)
    case 'login.failed': return logins.observe({ provider, result: 'failed', code: event.code }, seconds)
    case 'session.refreshed': return refreshes.inc({ result: 'succeeded', retry: event.retry, code: '' })
    case 'refresh.refused': return refreshes.inc({ result: 'refused', retry: '', code: event.code })
    case 'access.refused': return refusals.inc({ code: event.code })
    case 'session.ended': return ends.inc({ cause: event.cause })
    case 'revocation.heard': return lag.observe(seconds)
  }
}

/** `GET /metrics`, for a scraper that has the master key. */
export function metricsRoute (app: FastifyInstance): void {
  const health = () => app.tokenExchange.health()
  const up = (name: string, help: string, isUp: () => boolean) =>
    new Gauge({ ...named(name, help), collect () { this.set(isUp() ? 1 : 0) } })
  up('token_exchange_store_up', 'Whether the session store answers.', () => health().ok)
  app.get('/metrics', { onRequest: app.requireLevel('admin') }, async (_request, reply) =>
    await reply.type(registry.contentType).send(await registry.metrics()))
}
