import * as crypto from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fastifyJwt, { type FastifyJWTOptions } from '@fastify/jwt'
import Fastify, { type FastifyInstance } from 'fastify'
import { tokenExchange, type TokenExchangeOptions } from 'fastify-token-exchange'
import { requestOf } from './load-generator.js'
import { compare, type Subject, type Variant } from './measure.js'

// What a guard costs: a guarded GET beside a bare one, and a new token beside the least that could be done by hand.

type Algorithm = 'HS256' | 'EdDSA'
type Keys = TokenExchangeOptions['keys']

const issuer = 'https://api.example.com'
const many = 100_000

// Keys and tokens are made here, once; the processes under test find them.
const isParent = process.argv[2] === undefined
const folder = process.env.BENCH_FOLDER ??= mkdtempSync(join(tmpdir(), 'bench-guard-'))
const secret = process.env.BENCH_SECRET ??= crypto.randomBytes(32).toString('base64url')
const pem = process.env.BENCH_KEY ??= String(
  crypto.generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' })
)
const publicKey = crypto.createPublicKey(crypto.createPrivateKey(pem))
const keys: Record<Algorithm, Keys> = { HS256: secret, EdDSA: [{ algorithm: 'EdDSA', privateKey: pem }] }
const fileOf = (algorithm: Algorithm): string => join(folder, algorithm)

async function writeRequests (algorithm: Algorithm): Promise<void> {
  const app = Fastify()
  await app.register(tokenExchange, { issuer, keys: keys[algorithm], accessTokenLifetime: 86_400 })
  const lines = Array.from({ length: many }, (_unused, index) => {
    const { access_token: token } = app.tokenExchange.issue({
      userId: `facebook:${1_015_800_000_000_000 + index}`,
      permissions: ['todo:read', 'todo:write']
    })
    return JSON.stringify(requestOf({ headers: { authorization: `Bearer ${token}` } }))
  })
  writeFileSync(fileOf(algorithm), lines.join('\n'))
}

const answer = (): object => ({ hello: 'world' })

/** A server whose `GET /` is asked with the tokens of so many users in turn. */
function served (name: string, algorithm: Algorithm, build: (app: FastifyInstance) => unknown, users = 1000): Variant {
  return {
    name,
    base: `bare route, ${algorithm} tokens of ${users} users`,
    count: Math.max(30_000, users),
    load: { connections: 50, file: fileOf(algorithm), first: users },
    async prepare () {
      const app = Fastify()
      await build(app)
      return { url: await app.listen({ port: 0, host: '127.0.0.1' }) }
    }
  }
}

function bare (algorithm: Algorithm, users = 1000): Variant {
  return served(`bare route, ${algorithm} tokens of ${users} users`, algorithm, app => app.get('/', answer), users)
}

function guarded (name: string, algorithm: Algorithm, users = 1000, options?: Partial<TokenExchangeOptions>): Variant {
  return served(name, algorithm, async app => {
    await app.register(tokenExchange, { issuer, keys: keys[algorithm], ...options })
    app.get('/', { onRequest: app.requireLevel('authenticated') }, answer)
  }, users)
}

function jwtVerified (name: string, algorithm: Algorithm, verify: FastifyJWTOptions['verify']): Variant {
  const pair = { private: pem, public: String(publicKey.export({ type: 'spki', format: 'pem' })) }
  return served(name, algorithm, async app => {
    const key = { secret: algorithm === 'HS256' ? secret : pair, sign: { algorithm } }
    await app.register(fastifyJwt, { ...key, ...(verify !== undefined && { verify }) })
    app.get('/', { onRequest: async request => { await request.jwtVerify() } }, answer)
  })
}

type Check = (token: string) => unknown

/** A function of tokens that are all new to it: there are enough of them. */
function called (name: string, base: string, algorithm: Algorithm, prepare: () => Promise<Check>): Variant {
  return {
    name,
    base,
    count: algorithm === 'HS256' ? 30_000 : 5000,
    load: null,
    async prepare (): Promise<Subject> {
      const check = await prepare()
      // Outside of the heap: the collector would walk through all of them, and blame whoever makes it work.
      const requests = readFileSync(fileOf(algorithm))
      let end = 0
      return {
        call () {
          const start = requests.indexOf('Bearer ', end) + 'Bearer '.length
          end = requests.indexOf('\\', start)
          return check(requests.toString('latin1', start, end))
        }
      }
    }
  }
}

async function ours (algorithm: Algorithm): Promise<Check> {
  const app = Fastify()
  await app.register(tokenExchange, { issuer, keys: keys[algorithm] })
  return app.tokenExchange.verify
}

const parse = (segment = ''): unknown => JSON.parse(Buffer.from(segment, 'base64url').toString())

const byHand: Record<Algorithm, () => Promise<Check>> = {
  async HS256 () {
    const key = crypto.createSecretKey(Buffer.from(secret))
    return token => {
      const [header, payload, signature = ''] = token.split('.')
      const expected = crypto.createHmac('sha256', key).update(`${header}.${payload}`).digest()
      if (!crypto.timingSafeEqual(expected, Buffer.from(signature, 'base64url'))) throw new Error('signature')
      return parse(payload)
    }
  },
  async EdDSA () {
    return token => {
      const end = token.lastIndexOf('.')
      const signature = Buffer.from(token.slice(end + 1), 'base64url')
      if (!crypto.verify(null, Buffer.from(token.slice(0, end)), publicKey, signature)) throw new Error('signature')
    }
  }
}

const hmac = 'HMAC and JSON.parse by hand'
const signature = 'crypto.verify by hand'

if (isParent) for (const algorithm of ['HS256', 'EdDSA'] as const) await writeRequests(algorithm)
await compare(import.meta.url, [
  bare('HS256'),
  guarded('guarded, HS256', 'HS256'),
  jwtVerified('jwtVerify, HS256', 'HS256', undefined),
  jwtVerified('jwtVerify, HS256, its cache', 'HS256', { cache: 10_000 }),
  bare('EdDSA'),
  guarded('guarded, EdDSA', 'EdDSA'),
  jwtVerified('jwtVerify, EdDSA', 'EdDSA', undefined),
  jwtVerified('jwtVerify, EdDSA, its cache', 'EdDSA', { cache: 10_000 }),
  bare('HS256', many),
  guarded('guarded, HS256, 100,000 users in 128 MiB', 'HS256', many, { tokenCache: { bytes: 128 * 1024 * 1024 } }),
  called(hmac, hmac, 'HS256', byHand.HS256),
  called('a new token, HS256', hmac, 'HS256', async () => await ours('HS256')),
  called(signature, signature, 'EdDSA', byHand.EdDSA),
  called('a new token, EdDSA', signature, 'EdDSA', async () => await ours('EdDSA'))
])
if (isParent) rmSync(folder, { recursive: true })
