import { createHmac, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fastifyJwt from '@fastify/jwt'
import Fastify, { type FastifyInstance } from 'fastify'
import { createLocalJWKSet, jwtVerify } from 'jose'
import { Agent, request } from 'undici'
import { tokenExchange } from 'fastify-token-exchange'
import { facebook, google } from 'fastify-token-exchange/providers'
import { startIdentityServer } from 'fastify-token-exchange/testing'
import { requestOf } from './load-generator.js'
import { compare, type Variant } from './measure.js'

// What an exchange costs, beside a hand-written Fastify route of jose + @fastify/jwt that makes the same checks. The
// identity server runs in the parent, and what it costs falls on neither.

const issuer = 'https://api.example.com'

/** What the child is told of the identity server. */
interface Login {
  facebook: { appId: string; appSecret: string; endpoints: { graph: string } }
  accessToken: string
  google: { clientIds: string[]; endpoints: { jwks: string } }
  idToken: string
}

async function ours (app: FastifyInstance, login: Login): Promise<void> {
  await app.register(tokenExchange, {
    issuer,
    keys: randomBytes(32).toString('base64url'),
    providers: { facebook: facebook(login.facebook), google: google(login.google) }
  })
}

/** What a team would write: the same checks, claims and answer; a deadline, and a bound on what it reads. */
async function byHand (app: FastifyInstance, login: Login): Promise<void> {
  await app.register(fastifyJwt, { secret: randomBytes(32).toString('base64url') })
  const keys = createLocalJWKSet(JSON.parse(await (await request(login.google.endpoints.jwks)).body.text()))
  const dispatcher = new Agent({ maxResponseSize: 512 * 1024 })
  const body = { type: 'object', properties: { access_token: { type: 'string' }, id_token: { type: 'string' } } }

  function answer (provider: string, subject: string, clientId: string) {
    const token = app.jwt.sign(
      {
        iss: issuer,
        aud: issuer,
        sub: `${provider}:${subject}`,
        client_id: clientId,
        jti: randomBytes(16).toString('hex'),
        idp: provider,
        level: 'authenticated',
        permissions: []
      },
      { expiresIn: '1h' }
    )
    return {
      access_token: token,
      token_type: 'Bearer',
      expires_in: 3600,
      user: { userId: `${provider}:${subject}`, provider, level: 'authenticated', permissions: [] },
      authenticationToken: token
    }
  }

  app.post<{ Body: { id_token: string } }>('/login/google', { schema: { body } }, async (request, reply) => {
    const { payload } = await jwtVerify(request.body.id_token, keys, {
      issuer: ['https://accounts.google.com', 'accounts.google.com'],
      audience: login.google.clientIds,
      algorithms: ['RS256'],
      maxTokenAge: '24h',
      clockTolerance: 30,
      requiredClaims: ['sub', 'exp', 'iat']
    })
    reply.header('cache-control', 'no-store')
    return answer('google', payload.sub ?? '', String(payload.aud))
  })

  app.post<{ Body: { access_token: string } }>('/login/facebook', { schema: { body } }, async (incoming, reply) => {
    const { appId, appSecret, endpoints: { graph } } = login.facebook
    const token = incoming.body.access_token
    const signal = AbortSignal.timeout(5000)
    const call = async (url: string) => JSON.parse(await (await request(url, { dispatcher, signal })).body.text())
    const inspection = new URLSearchParams({ input_token: token, access_token: `${appId}|${appSecret}` })
    const { data } = await call(`${graph}/debug_token?${inspection.toString()}`)
    if (data.is_valid !== true || data.app_id !== appId || data.type !== 'USER') throw new Error('refused')
    const proof = createHmac('sha256', appSecret).update(token).digest('hex')
    const fields = 'id,name,email,picture'
    const profile = new URLSearchParams({ fields, access_token: token, appsecret_proof: proof })
    const me = await call(`${graph}/me?${profile.toString()}`)
    if (me.id !== data.user_id) throw new Error('refused')
    reply.header('cache-control', 'no-store')
    return answer('facebook', me.id, appId)
  })
}

function variant (name: string, build: (app: FastifyInstance, login: Login) => Promise<void>): Variant {
  const [provider = ''] = name.split(',')
  return {
    name,
    base: `${provider}, by hand`,
    count: 15_000,
    load: { connections: 20, file: fileOf(provider), first: 1 },
    async prepare () {
      const app = Fastify()
      await build(app, login)
      return { url: await app.listen({ port: 0, host: '127.0.0.1' }) }
    }
  }
}

async function startProviders (): Promise<Login> {
  const idp = await startIdentityServer()
  return {
    facebook: { ...idp.facebook.options, endpoints: { graph: idp.facebook.options.endpoints.graph } },
    accessToken: idp.facebook.accessToken({ id: '10158' }),
    google: { clientIds: [...idp.google.options.clientIds], endpoints: idp.google.options.endpoints },
    idToken: await idp.google.idToken({ sub: '1' })
  }
}

function writeRequest (provider: string, grant: object): void {
  const headers = { 'content-type': 'application/json' }
  const request = requestOf({ method: 'POST', path: `/login/${provider}`, headers, body: JSON.stringify(grant) })
  writeFileSync(fileOf(provider), JSON.stringify(request))
}

// The identity server and what is sent are made here, once; the processes under test find them.
const isParent = process.argv[2] === undefined
const folder = process.env.BENCH_FOLDER ??= mkdtempSync(join(tmpdir(), 'bench-exchange-'))
const fileOf = (provider: string): string => join(folder, provider)
process.env.BENCH_LOGIN ??= JSON.stringify(await startProviders())
const login: Login = JSON.parse(process.env.BENCH_LOGIN)
if (isParent) {
  writeRequest('google', { id_token: login.idToken })
  writeRequest('facebook', { access_token: login.accessToken })
}

await compare(import.meta.url, [
  variant('google, by hand', byHand),
  variant('google', ours),
  variant('facebook, by hand', byHand),
  variant('facebook', ours)
])
rmSync(folder, { recursive: true, force: true })
process.exit()
