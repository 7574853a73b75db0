import { mock } from 'node:test'
import { createTRPCClient, httpBatchLink, TRPCClientError } from '@trpc/client'
import t from 'tap'
import { trpcServer, type AppRouter } from '../../example/recipes/trpc.js'
import { createClient } from '../../src/client/index.js'
import { memoryStore } from '../../src/sessions/stores/index.js'
import type { TokenExchangeOptions } from '../../src/index.js'
import { guardsOnly, masterKey, ownProvider, type Closing } from '../server.js'

async function start (t: Closing, options: Partial<TokenExchangeOptions> = {}) {
  const app = await trpcServer({ ...guardsOnly, ...options })
  t.teardown(() => app.close())
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  const client = (headers: Record<string, string> = {}) =>
    createTRPCClient<AppRouter>({ links: [httpBatchLink({ url: `${url}/trpc`, headers })] })
  const as = (user: object) =>
    client({ authorization: `Bearer ${app.tokenExchange.issue({ userId: 'ada', ...user }).access_token}` })
  return { app, url, client, as }
}

/** What tRPC answers in the place of a result. */
async function refusal (call: Promise<unknown>): Promise<[status: unknown, message: string]> {
  const error: unknown = await call.then(() => null, error => error)
  if (!(error instanceof TRPCClientError)) throw error
  return [error.data?.httpStatus, error.message]
}

t.test('each procedure says whom it is for', async t => {
  const { client, as } = await start(t)
  const [nobody, reader, writer, admin] = [
    client(), as({}), as({ permissions: ['todo:write'] }), as({ level: 'admin' })
  ]
  t.strictSame(await nobody.about.query(), { name: 'Todo' })
  t.strictSame(await refusal(nobody.me.query()), [401, 'AUTH_ERR_CREDENTIAL_MISSING'])
  t.strictSame(await refusal(client({ 'x-zumo-master': masterKey }).me.query()), [401, 'AUTH_ERR_CREDENTIAL_MISSING'])
  t.strictSame(await reader.me.query(), { id: 'ada' })
  t.strictSame(await refusal(reader.add.mutate('milk')), [403, 'AUTH_ERR_PERMISSION_MISSING'])
  t.equal(await writer.add.mutate('milk'), 1)
  t.strictSame(await refusal(writer.clear.mutate()), [403, 'AUTH_ERR_LEVEL_INSUFFICIENT'])
  t.strictSame(await refusal(admin.add.mutate('milk')), [403, 'AUTH_ERR_PERMISSION_MISSING'])
  await admin.clear.mutate()
})

t.test('of several procedures in one request, each is refused on its own', async t => {
  const { as, url } = await start(t)
  t.equal((await fetch(`${url}/trpc/about,me?batch=1`)).status, 207)
  const reader = as({})
  const [me, added] = await Promise.allSettled([reader.me.query(), reader.about.query()])
  t.match([me, added], [{ value: { id: 'ada' } }, { value: { name: 'Todo' } }])
  const answers = await Promise.allSettled([reader.add.mutate('milk'), reader.clear.mutate()])
  t.match(answers, [{ reason: { message: 'AUTH_ERR_PERMISSION_MISSING' } }, {
    reason: { message: 'AUTH_ERR_LEVEL_INSUFFICIENT' }
  }])
})

t.test('a bad token is 401 before any procedure runs, with the code that clients look for; a 401 names a scheme',
  async t => {
    const { url } = await start(t)
    const bad = await fetch(`${url}/trpc/about`, { headers: { authorization: 'Bearer x.y.z' } })
    t.equal(bad.status, 401)
    t.match(await bad.json(), { code: 'AUTH_ERR_TOKEN_INVALID' })
    const missing = await fetch(`${url}/trpc/me`)
    t.equal(missing.status, 401)
    t.equal(missing.headers.get('www-authenticate'), 'Bearer')
  })

t.test('through the fetch of the client of this package, which refreshes', async t => {
  const events: string[] = []
  const { app, url } = await start(t, {
    providers: { own: ownProvider() },
    sessions: { store: memoryStore() },
    onEvent: ({ type }) => events.push(type)
  })
  const client = createClient({ url })
  await client.login('own', { access_token: 'good' })
  // `fetch: client.fetch` without the setting exactOptionalPropertyTypes.
  const link = httpBatchLink({
    url: `${url}/trpc`,
    fetch: (input, { body = null, signal = null, ...init } = {}) => client.fetch(input, { ...init, body, signal })
  })
  const trpc = createTRPCClient<AppRouter>({ links: [link] })
  t.strictSame(await trpc.me.query(), { id: 'own:10158' })
  mock.timers.enable({ apis: ['Date'], now: Date.now() + 7_200_000 })
  t.teardown(() => mock.timers.reset())
  t.strictSame(await trpc.me.query(), { id: 'own:10158' })
  t.strictSame(events, ['login.succeeded', 'session.refreshed'])
  await app.close()
})
