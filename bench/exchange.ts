import { createHmac, randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import fastifyJwt from '@fastify/jwt'
import Fastify, { type FastifyInstance } from 'fastify'
import { createLocalJWKSet, jwtVerify } from 'jose'
import { Agent, request } from 'undici'
import { tokenExchange } from 'fastify-token-exchange'
import { facebook, google } from 'fastify-token-exchange/providers'
import { startIdentityServer } from 'fastify-token-exchange/testing'
import { compare, serveUntilDisconnected } from './load.js'

// Exchanges per second, beside a hand-written Fastify route of jose + @fastify/jwt that makes the same checks,
// in one run. The identity server runs in the parent: what it costs falls on both alike.

const issuer = 'https://api.example.com'
const rounds = Number(process.env.ROUNDS ?? 7)
const seconds = Number(process.env.SECONDS ?? 3)

/** What the child is told of the identity server. */
interface Login {
  facebook: { appId: string; appSecret: string; endpoints: { graph: string } }
  accessToken: string
  google: { clientIds: string[]; endpoints: { jwks: string } }
  idToken: string
}

const names = ['google, by hand', 'google', 'facebook, by hand', 'facebook']

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

async function serve (name: string): Promise<void> {
  const login: Login = JSON.parse(process.env.LOGIN ?? '{}')
  const app = Fastify()
  await (name.endsWith('by hand') ? byHand : ours)(app, login)
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  const isGoogle = name.startsWith('google')
  const body = JSON.stringify(isGoogle ? { id_token: login.idToken } : { access_token: login.accessToken })
  await serveUntilDisconnected({
    url,
    requests: [
      {
        method: 'POST',
        path: `/login/${isGoogle ? 'google' : 'facebook'}`,
        headers: { 'content-type': 'application/json' },
        body
      }
    ]
  })
  await app.close()
}

async function run (): Promise<void> {
  const idp = await startIdentityServer()
  const login: Login = {
    facebook: { ...idp.facebook.options, endpoints: { graph: idp.facebook.options.endpoints.graph } },
    accessToken: idp.facebook.accessToken({ id: '10158' }),
    google: { clientIds: [...idp.google.options.clientIds], endpoints: idp.google.options.endpoints },
    idToken: await idp.google.idToken({ sub: '1' })
  }
  console.log(`node ${process.version}, median of ${rounds} rounds of ${seconds} s, relative to the route by hand\n`)
  await compare(names, {
    script: fileURLToPath(import.meta.url),
    base: name => `${name.split(',')[0] ?? ''}, by hand`,
    rounds,
    seconds,
    load: { connections: 20, env: { LOGIN: JSON.stringify(login) } }
  })
  await idp.close()
}

if (process.argv[2] === 'serve') await serve(process.argv[3] ?? '')
else await run()
