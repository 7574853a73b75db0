// Two servers of one application on one store: who logs out at one of them is refused by the other.
// The store is Redis with REDIS_URL, PostgreSQL with DATABASE_URL, else the memory of this process.
import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import Fastify, { type FastifyInstance } from 'fastify'
import tokenExchange from 'fastify-token-exchange'
import { facebook } from 'fastify-token-exchange/providers'
import { startIdentityServer } from 'fastify-token-exchange/testing'
import { openDatabase } from './database.js'
import { openSessionStore, type SessionStorage } from './session-store.js'
import { giveUp } from './settings.js'

const { REDIS_URL, DATABASE_URL, SIGNING_SECRET = randomBytes(32).toString('hex') } = process.env

const idp = await startIdentityServer()
const storage = await connect()
const servers = [
  await startServer(storage),
  await startServer(storage.name === 'memory' ? storage : await connect())
] as const
const [first, second] = servers.map(({ url }) => url)
console.log(`Two servers, ${first} and ${second}, with their sessions in ${storage.name}`)

const login = await fetch(`${first}/login/facebook`, {
  method: 'POST',
  body: new URLSearchParams({ access_token: idp.facebook.accessToken() })
})
const tokens = await members(login)
const headers = { authorization: `Bearer ${tokens.access_token}` }
console.log(`Log in at the first: ${login.status}`)
console.log(`Ask the first: ${await ask(first)}; ask the second: ${await ask(second)}`)

const { status } = await fetch(`${first}/logout`, { method: 'POST', headers })
const loggedOut = performance.now()
console.log(`Log out at the first: ${status}`)
console.log(`Ask the first: ${await ask(first)}`)

let answer = await ask(second)
for (; answer.startsWith('200') && performance.now() < loggedOut + 10_000; answer = await ask(second)) await pause(5)
console.log(`Ask the second: ${answer}, ${Math.ceil(performance.now() - loggedOut)} ms after the logout`)

const refresh = await fetch(`${second}/token`, {
  method: 'POST',
  body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: String(tokens.refresh_token) })
})
console.log(`Refresh at the second: ${refresh.status} ${(await members(refresh)).code}`)

for (const { app } of servers) await app.close()
await idp.close()
if (!answer.startsWith('401')) process.exitCode = 1

/** A connection of its own for each server, as servers on two machines have. */
async function connect (): Promise<SessionStorage> {
  if (REDIS_URL !== undefined || DATABASE_URL === undefined) return openSessionStore(REDIS_URL, undefined)
  const database = await openDatabase(DATABASE_URL, undefined).catch(giveUp)
  return { ...openSessionStore(undefined, database), close: () => database.close() }
}

async function startServer ({ store, close }: SessionStorage): Promise<{ app: FastifyInstance, url: string }> {
  const app = Fastify()
  app.addHook('onClose', close)
  await app.register(tokenExchange, {
    issuer: 'http://localhost:3000',
    keys: SIGNING_SECRET,
    providers: { facebook: facebook(idp.facebook.options) },
    sessions: { store }
  })
  app.get('/api/auth', { onRequest: app.requireLevel('authenticated') }, () => ({ message: 'hello' }))
  return { app, url: await app.listen({ port: 0, host: '127.0.0.1' }) }
}

async function ask (url: string | undefined): Promise<string> {
  const answered = await fetch(`${url}/api/auth`, { headers })
  const { code = '' } = await members(answered)
  return `${answered.status} ${code}`.trim()
}

async function members (answer: Response): Promise<Record<string, unknown>> {
  return Object(await answer.json())
}
