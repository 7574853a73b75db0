import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import autocannon from 'autocannon'
import fastifyJwt from '@fastify/jwt'
import Fastify, { type FastifyInstance } from 'fastify'
import { tokenExchange, type TokenExchangeOptions } from '../src/index.js'

// Throughput of a guarded GET relative to a bare Fastify route, with 1,000 users in turn, in one run.
// The server has a process of its own; each case is measured several times, alternating with the bare route,
// and the median ratio is printed. The second column divides by the processor time that the server used: what
// else the machine does at that time, the load generator included, does not reach it.

const issuer = 'https://api.example.com'
const users = 1000
const rounds = Number(process.env.ROUNDS ?? 7)
const seconds = Number(process.env.SECONDS ?? 3)

const secret = randomBytes(32).toString('base64url')
const ed25519 = generateKeyPairSync('ed25519')
const pair = {
  private: ed25519.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  public: ed25519.publicKey.export({ type: 'spki', format: 'pem' }).toString()
}
const claims = (index: number) => ({ userId: `facebook:1015800000000${index}`, permissions: ['todo:read', 'todo:write'] })

type Keys = TokenExchangeOptions['keys']

interface Case { name: string, build (app: FastifyInstance): Promise<string[]> }

const cases: Case[] = [
  // The same requests, tokens and all, to a route of an application without any plugin.
  { name: 'bare', build: async app => { app.get('/', answer); return tokensOf(Fastify(), secret) } },
  ours('requireLevel HS256', secret),
  ours('requireLevel EdDSA', [{ algorithm: 'EdDSA', privateKey: pair.private }]),
  theirs('jwtVerify HS256', { secret }),
  theirs('jwtVerify HS256, its cache', { secret, verify: { cache: 10_000 } }),
  theirs('jwtVerify EdDSA', { secret: pair, sign: { algorithm: 'EdDSA' } }),
  theirs('jwtVerify EdDSA, its cache', { secret: pair, sign: { algorithm: 'EdDSA' }, verify: { cache: 10_000 } })
]

function answer () {
  return { hello: 'world' }
}

async function tokensOf (app: FastifyInstance, keys: Keys): Promise<string[]> {
  await app.register(tokenExchange, { issuer, keys })
  return manyTokens(index => app.tokenExchange.issue(claims(index)).access_token)
}

function manyTokens (token: (index: number) => string): string[] {
  return Array.from({ length: users }, (_unused, index) => token(index))
}

function ours (name: string, keys: Keys): Case {
  return {
    name,
    async build (app) {
      const tokens = await tokensOf(app, keys)
      app.get('/', { onRequest: app.requireLevel('authenticated') }, answer)
      return tokens
    }
  }
}

function theirs (name: string, options: fastifyJwt.FastifyJWTOptions): Case {
  return {
    name,
    async build (app) {
      await app.register(fastifyJwt, options)
      app.get('/', { onRequest: async request => { await request.jwtVerify() } }, answer)
      return manyTokens(index => app.jwt.sign({ sub: claims(index).userId, permissions: claims(index).permissions, iss: issuer, jti: randomBytes(16).toString('hex') }, { expiresIn: '1h' }))
    }
  }
}

/** The child: one server of one case. It tells how much processor time it has used whenever it is asked. */
async function serve (name: string): Promise<void> {
  const app = Fastify()
  const tokens = await cases.find(one => one.name === name)?.build(app)
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  process.on('message', () => process.send?.({ microseconds: process.cpuUsage().user + process.cpuUsage().system }))
  process.send?.({ url, tokens })
  await once(process, 'disconnect')
  await app.close()
}

interface Measured { perSecond: number, perProcessorSecond: number }

async function measure (name: string): Promise<Measured> {
  const child = fork(new URL(import.meta.url), ['serve', name], { execArgv: process.execArgv })
  const [{ url, tokens }] = await once(child, 'message') as [{ url: string, tokens: string[] }]
  const requests = tokens.map(token => ({ headers: { authorization: `Bearer ${token}` } }))
  await autocannon({ url, connections: 50, pipelining: 4, duration: 1, requests })
  const before = await processorTime(child)
  const { requests: { total }, non2xx, duration } = await autocannon({ url, connections: 50, pipelining: 4, duration: seconds, requests })
  const used = await processorTime(child) - before
  child.disconnect()
  await once(child, 'exit')
  if (non2xx > 0) throw new Error(`${name}: ${non2xx} answers were refusals`)
  return { perSecond: total / duration, perProcessorSecond: total / used * 1e6 }
}

async function processorTime (child: ChildProcess): Promise<number> {
  child.send('processor time')
  const [{ microseconds }] = await once(child, 'message') as [{ microseconds: number }]
  return microseconds
}

function median (numbers: number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN
}

async function compare (): Promise<void> {
  const measured = new Map(cases.map(({ name }) => [name, new Array<Measured>()]))
  for (let round = 0; round < rounds; round++) {
    for (const { name } of cases) measured.get(name)?.push(await measure(name))
  }
  const bare = measured.get('bare') ?? []
  console.log(`node ${process.version}, ${users} users, median of ${rounds} rounds of ${seconds} s, relative to the bare route\n`)
  console.log(`${''.padEnd(28)} requests per second    per second of the server's processor`)
  for (const [name, results] of measured) console.log(row(name, results, bare))
}

function row (name: string, results: Measured[], bare: Measured[]): string {
  const columns = (['perSecond', 'perProcessorSecond'] as const).map(unit => {
    const ratio = median(results.map((result, round) => result[unit] / (bare[round]?.[unit] ?? Number.NaN)))
    return `${median(results.map(result => result[unit])).toFixed(0).padStart(8)}  ${ratio.toFixed(2)}`
  })
  return `${name.padEnd(28)} ${columns.join('          ')}`
}

if (process.argv[2] === 'serve') await serve(process.argv[3] ?? '')
else await compare()
