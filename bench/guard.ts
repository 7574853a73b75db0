import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import fastifyJwt from '@fastify/jwt'
import Fastify, { type FastifyInstance } from 'fastify'
import { tokenExchange, type TokenExchangeOptions } from 'fastify-token-exchange'
import { compare, serveUntilDisconnected } from './load.js'

// Throughput of a guarded GET relative to a bare Fastify route, with 1,000 users in turn, in one run.
// Each case is measured several times, alternating with the bare route, and the median ratio is printed.

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
const claims = (index: number) => ({
  userId: `facebook:1015800000000${index}`,
  permissions: ['todo:read', 'todo:write']
})

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
      return manyTokens(index =>
        app.jwt.sign(
          {
            sub: claims(index).userId,
            permissions: claims(index).permissions,
            iss: issuer,
            jti: randomBytes(16).toString('hex')
          },
          { expiresIn: '1h' }
        )
      )
    }
  }
}

/** The child: one server of one case. */
async function serve (name: string): Promise<void> {
  const app = Fastify()
  const tokens = await cases.find(one => one.name === name)?.build(app) ?? []
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  await serveUntilDisconnected({
    url,
    requests: tokens.map(token => ({ headers: { authorization: `Bearer ${token}` } }))
  })
  await app.close()
}

if (process.argv[2] === 'serve') {
  await serve(process.argv[3] ?? '')
} else {
  console.log(
    `node ${process.version}, ${users} users, median of ${rounds} rounds of ${seconds} s, relative to the bare route\n`
  )
  await compare(
    cases.map(({ name }) => name),
    { script: fileURLToPath(import.meta.url), base: () => 'bare', rounds, seconds, load: { connections: 50 } }
  )
}
