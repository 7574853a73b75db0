import {
  AggregationTemporality, InMemoryMetricExporter, MeterProvider, PeriodicExportingMetricReader
} from '@opentelemetry/sdk-metrics'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { SpanStatusCode } from '@opentelemetry/api'
import t, { type Test } from 'tap'
import { memoryStore } from '../../src/sessions/stores/memory.js'
import { instrument } from '../../src/telemetry/index.js'
import { ownProvider, startApp, type Options } from '../server.js'

/** OpenTelemetry's SDK, whose exporters keep in memory what they are given. */
function telemetry (t: Test) {
  const metricExporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({ exporter: metricExporter, exportIntervalMillis: 3_600_000 })
  const spanExporter = new InMemorySpanExporter()
  const meterProvider = new MeterProvider({ readers: [reader] })
  const tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spanExporter)] })
  const stop = instrument({ meterProvider, tracerProvider })
  t.teardown(async () => {
    stop()
    await Promise.all([meterProvider.shutdown(), tracerProvider.shutdown()])
  })
  return {
    stop,
    spans: () => spanExporter.getFinishedSpans(),
    /** `name attribute=value …` of each series, and its count or sum. */
    async series (): Promise<Record<string, number>> {
      await reader.forceFlush()
      const [last] = metricExporter.getMetrics().slice(-1)
      const metrics = last?.scopeMetrics.flatMap(({ metrics }) => metrics) ?? []
      const points = metrics.flatMap(({ descriptor: { name }, dataPoints }) =>
        dataPoints.map(({ attributes, value }) => ({ name, attributes, value })))
      return Object.fromEntries(points.map(({ name, attributes, value }) => {
        const said = Object.entries(attributes).map(pair => pair.join('=')).sort()
        return [[name, ...said].join(' '), typeof value === 'number' ? value : value.count]
      }))
    },
    async units (): Promise<Record<string, string>> {
      await reader.forceFlush()
      const scopes = metricExporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics)
      const metrics = scopes.flatMap(({ metrics }) => metrics)
      return Object.fromEntries(metrics.map(({ descriptor: { name, unit } }) => [name, unit]))
    }
  }
}

async function server (t: Test, options: Options = {}) {
  const app = await startApp(t, { providers: { own: ownProvider() }, sessions: { store: memoryStore() }, ...options })
  app.get('/user', { onRequest: app.requireUser() }, () => 'user')
  const post = (url: string, payload: object) => app.inject({ method: 'POST', url, payload })
  return {
    app,
    login: (token: string) => post('/login/own', { access_token: token }),
    refresh: (token: string) => post('/token', { grant_type: 'refresh_token', refresh_token: token })
  }
}

t.test('logins, refreshes and refusals are counted by what came of them, and by nobody', async t => {
  const { series, units } = telemetry(t)
  const { app, login, refresh } = await server(t)
  const { refresh_token: token } = (await login('good')).json()
  await login('bad')
  await refresh(token)
  await refresh('x')
  await app.inject('/user')
  const provider = 'token_exchange.provider=own'
  const counted = await series()
  t.match(counted, {
    [`token_exchange.login.duration ${provider} token_exchange.result=succeeded`]: 1,
    [`token_exchange.login.duration error.type=AUTH_ERR_GRANT_REJECTED ${provider} token_exchange.result=refused`]: 1,
    [`token_exchange.refreshes ${provider} token_exchange.result=succeeded`]: 1,
    'token_exchange.refreshes error.type=AUTH_ERR_REFRESH_INVALID token_exchange.result=refused': 1,
    'token_exchange.access.refused error.type=AUTH_ERR_CREDENTIAL_MISSING': 1
  })
  t.notMatch(Object.keys(counted).join(' '), '10158')
  t.match(await units(), { 'token_exchange.login.duration': 's' })
})

t.test('an outage is a login that failed', async t => {
  const { series, spans } = telemetry(t)
  const { login } = await server(t, { providers: { own: ownProvider(() => { throw new Error('down') }) } })
  await login('good')
  const attributes = [
    'error.type=AUTH_ERR_PROVIDER_UNAVAILABLE', 'token_exchange.provider=own', 'token_exchange.result=failed'
  ]
  t.match(await series(), { [`token_exchange.login.duration ${attributes.join(' ')}`]: 1 })
  const [span] = spans().filter(({ name }) => name === 'token_exchange.verify')
  t.match(span, {
    attributes: { 'token_exchange.provider': 'own', 'error.type': 'AUTH_ERR_PROVIDER_UNAVAILABLE' },
    status: { code: SpanStatusCode.ERROR }
  })
})

t.test('a verification, a lookup and each call of the store is a span', async t => {
  const { spans } = telemetry(t)
  const { login } = await server(t)
  await login('good')
  const seen = spans().map(({ name, attributes }) => `${name} ${String(attributes['token_exchange.operation'])}`)
  for (const span of ['token_exchange.verify verify', 'token_exchange.lookup login', 'token_exchange.store create']) {
    t.ok(seen.includes(span), span)
  }
  const attributes = new Set(spans().flatMap(span => Object.keys(span.attributes)))
  t.same([...attributes].sort(), ['token_exchange.operation', 'token_exchange.provider'])
})

t.test('what was revoked elsewhere is measured by how late it is heard', async t => {
  const { series } = telemetry(t)
  const store = memoryStore()
  const one = await server(t, { sessions: { store } })
  await server(t, { sessions: { store } })
  await one.app.tokenExchange.revokeUser('own:1')
  while ((await series())['token_exchange.revocation.lag'] === undefined) { /* it polls, and flushing takes turns */ }
  t.equal((await series())['token_exchange.revocation.lag'], 1)
})

t.test('after its end nothing is counted', async t => {
  const { stop, series, spans } = telemetry(t)
  stop()
  const { login } = await server(t)
  await login('good')
  t.same(await series(), {})
  t.same(spans(), [])
})
