import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { limitedServer } from '../../example/recipes/rate-limits.js'
import { memoryStore } from '../../src/sessions/stores/index.js'
import { guardsOnly, masterKey, ownProvider, type Closing } from '../server.js'

async function start (t: Closing): Promise<FastifyInstance> {
  const app = await limitedServer({
    ...guardsOnly, providers: { own: ownProvider() }, sessions: { store: memoryStore() }
  })
  t.teardown(() => app.close())
  await app.ready()
  return app
}

const from = (address: string) => ({ 'x-forwarded-for': address })
const logIn = async (app: FastifyInstance, headers: object) =>
  await app.inject({ method: 'POST', url: '/login/own', headers: { ...headers }, payload: { access_token: 'good' } })
const refresh = async (app: FastifyInstance, headers: object, token: string) => await app.inject({
  method: 'POST', url: '/token', headers: { ...headers }, payload: { grant_type: 'refresh_token', refresh_token: token }
})
const bearer = (app: FastifyInstance, userId: string) =>
  ({ authorization: `Bearer ${app.tokenExchange.issue({ userId }).access_token}` })

/** The statuses of so many requests, and how often each came. */
async function tally (count: number, ask: () => Promise<{ statusCode: number }>): Promise<Record<number, number>> {
  const seen: Record<number, number> = {}
  for (let index = 0; index < count; index++) {
    const { statusCode } = await ask()
    seen[statusCode] = (seen[statusCode] ?? 0) + 1
  }
  return seen
}

t.test('logins by address: 429 says when to try again, and nobody else is concerned', async t => {
  const app = await start(t)
  const flood = from('192.0.2.1')
  t.strictSame(await tally(20, () => logIn(app, flood)), { 200: 20 })
  const answer = await logIn(app, flood)
  t.match(answer.json(), { statusCode: 429, code: 'RATE_LIMITED', error: 'Too Many Requests' })
  t.match(answer.json().message, /^Too many requests: try again in \d+ seconds$/)
  t.match(answer.headers['retry-after'], /^\d+$/)
  t.equal(answer.headers['cache-control'], 'no-store')
  t.equal((await logIn(app, from('192.0.2.2'))).statusCode, 200)
})

t.test('/token has a limit of its own, and answers as RFC 6749 has it; the refused token is not spent', async t => {
  const app = await start(t)
  const { refresh_token: token } = (await logIn(app, from('192.0.2.2'))).json()
  const flood = from('192.0.2.1')
  t.strictSame(await tally(300, () => refresh(app, flood, 'junk')), { 400: 300 })
  const answer = await refresh(app, flood, token)
  t.equal(answer.statusCode, 429)
  t.match(answer.json(), { error: 'temporarily_unavailable', code: 'RATE_LIMITED' })
  t.match(answer.headers['retry-after'], /^\d+$/)
  t.equal((await refresh(app, from('192.0.2.2'), token)).statusCode, 200)
})

t.test('guarded routes by user: the routes of a scope together, a route that costs more on its own', async t => {
  const app = await start(t)
  const get = async (url: string, headers: Record<string, string>) => await app.inject({ url, headers })
  const [ada, bob] = [bearer(app, 'ada'), bearer(app, 'bob')]
  t.strictSame(await tally(6, () => get('/export', ada)), { 200: 5, 429: 1 })
  t.strictSame(await tally(50, () => get('/todos', ada)), { 200: 50 })
  t.strictSame(await tally(51, () => get('/lists', { ...ada, ...from('192.0.2.3') })), { 200: 50, 429: 1 })
  t.equal((await get('/todos', bearer(app, 'ada'))).statusCode, 429, 'another token of the same user')
  t.equal((await get('/todos', bob)).statusCode, 200)
  t.strictSame(await tally(6, () => get('/export', { 'x-zumo-master': masterKey })), { 200: 6 })
  t.strictSame(await tally(6, () => get('/export', {})), { 401: 6 }, 'who is nobody uses up nobody\'s limit')
})
