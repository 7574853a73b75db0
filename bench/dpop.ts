import * as crypto from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Fastify, { type FastifyInstance } from 'fastify'
import { tokenExchange } from 'fastify-token-exchange'
import * as jose from 'jose'
import { requestOf } from './load-generator.js'
import { compare, type Subject, type Variant } from './measure.js'

// What a proof with each request costs (RFC 9449): a guarded GET with a bound token, beside one with a Bearer token,
// the same check written by hand with jose, and the signature alone that neither can do without.

const issuer = 'https://api.example.com'
const users = 200
// Each proof is taken once: as many as the measuring asks for.
const count = 10_000
const proofs = 50_000

const isParent = process.argv[2] === undefined
const folder = process.env.BENCH_FOLDER ??= mkdtempSync(join(tmpdir(), 'bench-dpop-'))
const secret = process.env.BENCH_SECRET ??= crypto.randomBytes(32).toString('base64url')
const [bound, bearer] = [join(folder, 'bound'), join(folder, 'bearer')]

interface Holder { header: string, privateKey: crypto.KeyObject, token: string, ath: string }

const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')

function proofOf ({ header, privateKey, ath }: Holder, claims: object): string {
  const iat = Math.floor(Date.now() / 1000)
  const signed = `${header}.${encode({ htm: 'GET', htu: `${issuer}/`, iat, jti: crypto.randomUUID(), ath, ...claims })}`
  const key = { key: privateKey, dsaEncoding: 'ieee-p1363' } as const
  return `${signed}.${crypto.sign('sha256', Buffer.from(signed), key).toString('base64url')}`
}

async function serve (): Promise<FastifyInstance> {
  const app = Fastify()
  await app.register(tokenExchange, {
    issuer,
    keys: secret,
    accessTokenLifetime: 86_400,
    dpop: { mode: 'all', maxAge: 3600 },
    providers: { own: { accepts: ['access_token'], verify: async ({ token }) => ({ subject: token }) } }
  })
  app.get('/', { onRequest: app.requireLevel('authenticated') }, answer)
  return app
}

const answer = (): object => ({ hello: 'world' })

async function logIn (app: FastifyInstance, subject: string): Promise<Holder> {
  const { privateKey, publicKey } = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const header = encode({ typ: 'dpop+jwt', alg: 'ES256', jwk: publicKey.export({ format: 'jwk' }) })
  const holder = { header, privateKey, token: '', ath: '' }
  const dpop = proofOf(holder, { htm: 'POST', htu: `${issuer}/login/own` })
  const login = await app.inject({
    method: 'POST', url: '/login/own', headers: { dpop }, payload: { access_token: subject }
  })
  const token = login.json<{ access_token: string }>().access_token
  return { ...holder, token, ath: crypto.createHash('sha256').update(token).digest('base64url') }
}

async function writeRequests (): Promise<void> {
  const app = await serve()
  const holders = await Promise.all(Array.from({ length: users }, (_unused, index) => logIn(app, String(index))))
  const lines = Array.from({ length: proofs }, (_unused, index) => {
    const holder = holders[index % users] ?? fail()
    return JSON.stringify(requestOf({ headers: { authorization: `DPoP ${holder.token}`, dpop: proofOf(holder, {}) } }))
  })
  writeFileSync(bound, lines.join('\n'))
  const plain = Array.from({ length: users }, (_unused, index) => {
    const { access_token: token } = app.tokenExchange.issue({ userId: `own:${index}` })
    return JSON.stringify(requestOf({ headers: { authorization: `Bearer ${token}` } }))
  })
  writeFileSync(bearer, plain.join('\n'))
}

function fail (): never {
  throw new Error('no holder')
}

function served (name: string, file: string, first: number, build: () => Promise<FastifyInstance>): Variant {
  return {
    name,
    base: 'guarded, Bearer',
    count,
    load: { connections: 50, file, first },
    prepare: async () => ({ url: await (await build()).listen({ port: 0, host: '127.0.0.1' }) })
  }
}

/** RFC 9449, 4.3, with what jose has for it; no memory of proofs. */
async function byHand (): Promise<FastifyInstance> {
  const app = Fastify()
  const key = new TextEncoder().encode(secret)
  app.get('/', {
    async onRequest (request) {
      const token = request.headers.authorization?.slice(5) ?? ''
      const { payload: { cnf } } = await jose.jwtVerify<{ cnf: { jkt: string } }>(token, key, {
        algorithms: ['HS256'], issuer, audience: issuer, typ: 'at+jwt', requiredClaims: ['exp']
      })
      const { payload, protectedHeader } = await jose.jwtVerify(
        String(request.headers.dpop), jose.EmbeddedJWK, { algorithms: ['ES256'], typ: 'dpop+jwt', maxTokenAge: 3600 }
      )
      const jkt = await jose.calculateJwkThumbprint(protectedHeader.jwk ?? {})
      const ath = crypto.createHash('sha256').update(token).digest('base64url')
      const isGood = jkt === cnf.jkt && payload.htm === request.method && payload.ath === ath &&
        payload.htu === `${issuer}${request.url}` && typeof payload.jti === 'string'
      if (!isGood) throw new Error('proof')
    }
  }, answer)
  return app
}

/** The signature of a proof by a key that is imported already. */
async function verifyAlone (): Promise<Subject> {
  const lines = readFileSync(bound, 'utf8').split('\n', count)
  const signatures = lines.map(line => {
    const proof = /dpop: ([^\\]+)/.exec(line)?.[1] ?? ''
    const end = proof.lastIndexOf('.')
    const { jwk } = JSON.parse(Buffer.from(proof.slice(0, proof.indexOf('.')), 'base64url').toString())
    const key = { key: crypto.createPublicKey({ key: jwk, format: 'jwk' }), dsaEncoding: 'ieee-p1363' } as const
    return { signed: Buffer.from(proof.slice(0, end)), key, signature: Buffer.from(proof.slice(end + 1), 'base64url') }
  })
  return {
    call (index) {
      const { signed, key, signature } = signatures[index % count] ?? fail()
      if (!crypto.verify('sha256', signed, key, signature)) throw new Error('signature')
    }
  }
}

if (isParent) await writeRequests()
const alone = 'crypto.verify alone, ES256'
await compare(import.meta.url, [
  served('guarded, Bearer', bearer, users, serve),
  served('guarded, DPoP with ES256', bound, proofs, serve),
  served('jose by hand, DPoP with ES256', bound, proofs, byHand),
  { name: alone, base: alone, count, load: null, prepare: verifyAlone }
])
if (isParent) rmSync(folder, { recursive: true })
