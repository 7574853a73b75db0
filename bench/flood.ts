import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import Fastify from 'fastify'
import { tokenExchange } from 'fastify-token-exchange'
import { google } from 'fastify-token-exchange/providers'
import { startIdentityServer } from 'fastify-token-exchange/testing'

// What a flood of bad logins does to guarded routes: the time that 99 of 100 guarded requests stay within, while nobody
// logs in and while one address sends 1,000 ID tokens of another app's key a second. The server, the callers of the
// guarded route and the flood are three processes; stretches with and without the flood take turns.

const [role] = process.argv.slice(2)
const seconds = Number(process.env.SECONDS ?? 5)
const rounds = Number(process.env.ROUNDS ?? 5)
/** Logins, and guarded requests, in a second: both come whether or not the one before was answered. */
const rate = 1000

interface Target { url: string, path: string, method: string, headers: Record<string, string>, body: string }

async function serve (): Promise<void> {
  const idp = await startIdentityServer()
  const app = Fastify()
  await app.register(tokenExchange, {
    issuer: 'https://api.example.com',
    keys: 'k3Jx0sVb7Qm2Zt9Lw5Yc8Hn4Rd6Pf1Ga',
    providers: { google: google(idp.google.options) }
  })
  app.get('/', { onRequest: app.requireLevel('authenticated') }, () => ({ hello: 'world' }))
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  const { access_token: token } = app.tokenExchange.issue({ userId: 'facebook:10158' })
  const idToken = await idp.google.idToken({ sub: '1' })
  // All of it is good but the signature: nothing costs a verifier more.
  const forged = `${idToken.slice(0, -6)}${idToken.endsWith('AAAAAA') ? 'BBBBBB' : 'AAAAAA'}`
  const guarded: Target = { url, path: '/', method: 'GET', headers: { authorization: `Bearer ${token}` }, body: '' }
  const headers = { 'content-type': 'application/json' }
  const login: Target = {
    url,
    path: '/login/google',
    method: 'POST',
    headers,
    body: JSON.stringify({ id_token: forged })
  }
  tell({ guarded, login })
}

interface Message { guarded?: Target, login?: Target, times?: number[] }

function tell (message: Message): void {
  process.send?.(JSON.stringify(message))
}

function told (child: ChildProcess): Promise<Message> {
  return new Promise(resolve => child.once('message', text => resolve(JSON.parse(String(text)))))
}

/** Sends `rate` requests a second for a while; answers the milliseconds that each took. */
async function send ({ url, path, method, headers, body }: Target): Promise<number[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: 64 })
  const times: number[] = []
  const ends = performance.now() + seconds * 1000
  const one = (): Promise<void> => new Promise((resolve, reject) => {
    const began = performance.now()
    request(`${url}${path}`, { agent, method, headers }, answer => {
      answer.resume().on('end', () => { times.push(performance.now() - began); resolve() })
    }).on('error', reject).end(body)
  })
  const running: Array<Promise<void>> = []
  // By a timer, a few at a time: a loop that waits for its turn would take the processor from the server.
  for (let due = performance.now(); due < ends; await pause(5)) {
    for (; due < performance.now(); due += 1000 / rate) running.push(one())
  }
  await Promise.all(running)
  agent.destroy()
  return times
}

async function beAsked (): Promise<void> {
  process.on('message', (target: Target) => { send(target).then(times => tell({ times }), () => process.exit(1)) })
  await once(process, 'disconnect')
  process.exit()
}

async function ask (child: ChildProcess, target: Target): Promise<number[]> {
  child.send(target)
  return (await told(child)).times ?? []
}

function within99 (times: readonly number[]): number {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length * 0.99)] ?? NaN
}

async function run (): Promise<void> {
  const child = (name: string): ChildProcess => fork(fileURLToPath(import.meta.url), [name])
  const [server, callers, flood] = [child('server'), child('callers'), child('flood')]
  const { guarded, login } = await told(server)
  if (guarded === undefined || login === undefined) throw new Error('the server did not say where it is')
  await Promise.all([ask(callers, guarded), ask(flood, login)])
  const figures: Array<[number, number]> = []
  for (let round = 0; round < rounds; round++) {
    const without = within99(await ask(callers, guarded))
    const [during] = await Promise.all([ask(callers, guarded), ask(flood, login)])
    figures.push([without, within99(during)])
    console.log(
      `${without.toFixed(2)} ms without, ${within99(during).toFixed(2)} ms during ${rate} bad logins a second`
    )
  }
  const ratios = figures.map(([without, during]) => during / without).toSorted((a, b) => a - b)
  console.log(`p99 during the flood: ${(ratios[Math.floor(rounds / 2)] ?? NaN).toFixed(2)} times that without, median`)
  for (const one of [server, callers, flood]) one.kill()
}

if (role === undefined) await run()
else if (role === 'server') await serve()
else await beAsked()
