import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { loadavg } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import Fastify from 'fastify'
import { tokenExchange } from 'fastify-token-exchange'
import { oidc } from 'fastify-token-exchange/providers'
import { postgresStore, redisStore } from 'fastify-token-exchange/stores'
import { startIdentityServer, type EventPost, type IdentityServer } from 'fastify-token-exchange/testing'
import { Redis } from 'ioredis'
import pg from 'pg'
import { Agent, request } from 'undici'
import { postgresMissing, redisMissing, startPostgres, startRedis } from '../test/sessions/servers.js'

// How long a user goes on being let in on one server, from the moment in which its provider posts to another one that
// it is gone. Two servers are a process each, on one store; the provider and the users are this process. Here the clock
// counts: bench/README.md. Stores that are not installed are left out.

const [role] = process.argv.slice(2)
/** Of each kind, on each store. */
const eventCount = Number(process.env.EVENTS ?? 250)
/** Users at once. */
const lanes = 8
/** Milliseconds between two requests of a user who is still let in: what is measured is as exact as that. */
const between = 4
/** Milliseconds at most before an event: they must not fall into step with the polls of the store. */
const interlude = 400
/** Milliseconds (contract, 15). */
const bound = 1000

interface Assignment {
  readonly store: string
  readonly port: number
  readonly provider: IdentityServer['oidc']['options']
}

async function serve ({ store, port, provider }: Assignment): Promise<void> {
  const at = { port, host: '127.0.0.1' }
  const app = Fastify()
  await app.register(tokenExchange, {
    issuer: 'https://api.example.com',
    keys: 'k3Jx0sVb7Qm2Zt9Lw5Yc8Hn4Rd6Pf1Ga',
    providers: { oidc: oidc({ ...provider, events: {} }) },
    sessions: {
      store: store === 'Redis'
        ? redisStore({ client: new Redis(at) })
        : postgresStore({ pool: new pg.Pool({ ...at, user: 'postgres' }) })
    }
  })
  app.get('/', { onRequest: app.requireUser() }, () => 'in')
  process.send?.(await app.listen({ host: at.host, port: 0 }))
}

async function startServer (assignment: Assignment): Promise<{ child: ChildProcess, url: string }> {
  const child = fork(fileURLToPath(import.meta.url), ['server'])
  child.send(assignment)
  const [url] = await once(child, 'message')
  return { child, url: String(url) }
}

/** Whom an event is about, and its post: all of a user's, or one session at the provider. */
const kinds = ['identity', 'session'] as const
type Kind = (typeof kinds)[number]
const eventOf: Record<Kind, (idp: IdentityServer, whom: { sub: string, sid: string }) => Promise<EventPost>> = {
  identity: (idp, { sub }) => idp.oidc.logout({ sub }),
  session: (idp, { sid }) => idp.oidc.logout({ sid })
}

const dispatcher = new Agent({ connections: 4 * lanes })

async function logIn (url: string, idToken: string): Promise<string> {
  const headers = { 'content-type': 'application/json' }
  const grant = { method: 'POST', headers, body: JSON.stringify({ id_token: idToken }) } as const
  const { body } = await request(`${url}/login/oidc`, { dispatcher, ...grant })
  return String(Reflect.get(Object(await body.json()), 'access_token'))
}

async function call (url: string, accessToken: string): Promise<number> {
  const { statusCode, body } = await request(url, { dispatcher, headers: { authorization: `Bearer ${accessToken}` } })
  await body.dump()
  return statusCode
}

/** Posts an event as providers do: what is answered 503 comes again. */
async function post (event: EventPost, url: string): Promise<void> {
  for (let status = 0; status !== 200; status = (await event.sendTo(`${url}/events/oidc`)).status) {
    if (status !== 0 && status !== 503) throw new Error(`the event was answered ${status}`)
    if (status === 503) console.log('an event was answered 503, and is sent again')
  }
}

/** Milliseconds until the other server refuses, by the clock of who waits for it. */
async function measure (idp: IdentityServer, urls: readonly string[], kind: Kind, user: number): Promise<number> {
  const [told = '', other = ''] = user % 2 === 0 ? urls : urls.toReversed()
  const whom = { sub: `${kind} ${user}`, sid: `${kind} ${user}` }
  const token = await logIn(user % 4 < 2 ? told : other, await idp.oidc.idToken(whom))
  const event = await eventOf[kind](idp, whom)
  await pause(Math.random() * interlude)
  if (await call(other, token) !== 200) throw new Error('the user is not let in')
  const began = performance.now()
  const posted = post(event, told)
  while (await call(other, token) !== 401) {
    if (performance.now() - began > 10 * bound) throw new Error('the other server does not learn of it')
    await pause(between)
  }
  const milliseconds = performance.now() - began
  await posted
  return milliseconds
}

async function measureAll (idp: IdentityServer, urls: readonly string[], kind: Kind): Promise<number[]> {
  const times: number[] = []
  let next = 0
  await Promise.all(Array.from({ length: lanes }, async () => {
    for (let user = next++; user < eventCount; user = next++) times.push(await measure(idp, urls, kind, user))
  }))
  return times.toSorted((a, b) => a - b)
}

function print (name: string, times: readonly number[]): void {
  const within = (share: number): string =>
    `${(times[Math.ceil(times.length * share) - 1] ?? NaN).toFixed(0).padStart(5)} ms`
  const load = loadavg()[0]?.toFixed(1)
  const figures = `half within ${within(0.5)}, 99 of 100 within ${within(0.99)}, all within ${within(1)}`
  console.log(`${name.padEnd(22)} ${figures}  (${times.length} events, load ${load})`)
  if ((times[Math.ceil(times.length * 0.99) - 1] ?? NaN) > bound) process.exitCode = 1
}

async function run (): Promise<void> {
  console.log(`node ${process.version}, from the event's post to one server until the other one refuses the user`)
  const idp = await startIdentityServer()
  for (const [store, missing, start] of [
    ['Redis', redisMissing, startRedis] as const,
    ['PostgreSQL', postgresMissing, startPostgres] as const
  ]) {
    if (missing !== false) continue
    const { port, remove } = await start()
    const assignment = { store, port, provider: idp.oidc.options }
    const servers = [await startServer(assignment), await startServer(assignment)]
    for (const kind of kinds) {
      print(`${store}, ${kind}`, await measureAll(idp, servers.map(({ url }) => url), kind))
    }
    for (const { child } of servers) child.kill()
    await remove()
  }
  await dispatcher.close()
  await idp.close()
}

if (role === undefined) await run()
else process.once('message', (assignment: Assignment) => { serve(assignment).catch(() => process.exit(1)) })
