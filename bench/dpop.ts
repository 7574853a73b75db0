import * as crypto from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { auth } from 'express-oauth2-jwt-bearer'
import Fastify, { type FastifyInstance, type onRequestHookHandler } from 'fastify'
import { tokenExchange } from 'fastify-token-exchange'
import * as jose from 'jose'
import { requestOf } from './load-generator.js'
import { compare, type Subject, type Variant } from './measure.js'

// What a proof with each request costs (RFC 9449): a guarded GET with a bound token, beside one with a Bearer token, a
// library for Express, the same check written by hand with jose, and the signature alone that none can do without.

const issuer = 'https://api.example.com'
const users = 200
// Each proof is taken once: as many as the measuring asks for.
const count = 10_000
const proofs = 50_000

const isParent = process.argv[2] === undefined
const folder = process.env.BENCH_FOLDER ??= mkdtempSync(join(tmpdir(), 'bench-dpop-'))
const secret = process.env.BENCH_SECRET ??= crypto.randomBytes(32).toString('base64url')
const [bound, bearer, long] = [join(folder, 'bound'), join(folder, 'bearer'), join(folder, 'long')]

interface Holder { header: string, privateKey: crypto.KeyObject, token: string, ath: string }

const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')

function proofOf ({ header, privateKey, ath }: Holder, claims: object): string {
  const iat = Math.floor(Date.now() / 1000)
  const signed = `${header}.${encode({ htm: 'GET', htu: `${issuer}/`, iat, jti: crypto.randomUUID(), ath, ...claims })}`
  const key = { key: privateKey, dsaEncoding: 'ieee-p1363' } as const
  return `${signed}.${crypto.sign('sha256', Buffer.from(signed), key).toString('base64url')}`
}

async function serve (...behind: onRequestHookHandler[]): Promise<FastifyInstance> {
  const app = Fastify()
  await app.register(tokenExchange, {
    issuer,
    keys: secret,
    accessTokenLifetime: 86_400,
    dpop: { mode: 'all', maxAge: 3600 },
    providers: { own: { accepts: ['access_token'], verify: async ({ token }) => ({ subject: token }) } }
  })
  app.get('/', { onRequest: [app.requireLevel('authenticated'), ...behind] }, answer)
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
  const requests = Array.from({ length: proofs }, (_unused, index) => {
    const holder = holders[index % users] ?? fail()
    return requestOf({ headers: { authorization: `DPoP ${holder.token}`, dpop: proofOf(holder, {}) } })
  })
  write(bound, requests)
  const tokens = holders.map((_unused, index) => app.tokenExchange.issue({ userId: `own:${index}` }).access_token)
  write(bearer, tokens.map(token => requestOf({ headers: { authorization: `Bearer ${token}` } })))
  // As many bytes to read, in as many headers: what one proves with, where nobody looks for it.
  write(long, requests.map((request, index) => {
    const headers = { authorization: `Bearer ${tokens[index % users]}`, note: `${proofIn(request)}.` }
    const missing = request.length - requestOf({ headers }).length
    return requestOf({ headers: { ...headers, note: headers.note + '-'.repeat(missing) } })
  }))
}

function write (file: string, requests: readonly string[]): void {
  writeFileSync(file, requests.map(request => JSON.stringify(request)).join('\n'))
}

function proofIn (request: string): string {
  return /dpop: (.+)\r/.exec(request)?.[1] ?? fail()
}

function fail (): never {
  throw new Error('no holder')
}

const base = 'guarded, Bearer, as many bytes'

function served (name: string, file: string, first: number, build: () => Promise<FastifyInstance>): Variant {
  return {
    name,
    base,
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

/** The library's middleware, given what Express would: Fastify is beneath all of them, so that only checks differ. */
async function byLibrary (): Promise<FastifyInstance> {
  const app = Fastify()
  const check = auth({
    issuer, audience: issuer, secret, tokenSigningAlg: 'HS256', dpop: { enabled: true, required: true, iatOffset: 3600 }
  })
  app.get('/', {
    onRequest ({ headers, method, originalUrl }, _reply, done) {
      const get = (name: string): string | undefined => name === 'Host' ? 'api.example.com' : undefined
      const asked = { headers, method, originalUrl, protocol: 'https', get, is: () => false }
      Reflect.apply(check, undefined, [asked, {}, done])
    }
  }, answer)
  return app
}

interface Signed { header: string, signed: Buffer, signature: Buffer }

function signedIn (text: string): Signed {
  const [header = '', payload = '', signature = ''] = text.split('.', 3)
  return { header, signed: Buffer.from(`${header}.${payload}`), signature: Buffer.from(signature, 'base64url') }
}

function importedFrom (header: string): crypto.VerifyKeyObjectInput {
  const { jwk } = JSON.parse(Buffer.from(header, 'base64url').toString())
  return { key: crypto.createPublicKey({ key: jwk, format: 'jwk' }), dsaEncoding: 'ieee-p1363' }
}

/** A guard, and behind it the signature of a proof by a key that is imported already: nothing else of it is checked. */
async function serveVerify (): Promise<FastifyInstance> {
  const keys = new Map<string, crypto.VerifyKeyObjectInput>()
  return await serve((request, _reply, done) => {
    const { header, signed, signature } = signedIn(String(request.headers.note))
    const key = keys.get(header) ?? importedFrom(header)
    keys.set(header, key)
    done(crypto.verify('sha256', signed, key, signature) ? undefined : new Error('signature'))
  })
}

/** The same signatures, one after the other and nothing between. */
async function verifyAlone (): Promise<Subject> {
  const keys = new Map<string, crypto.VerifyKeyObjectInput>()
  const signatures = readFileSync(bound, 'utf8').split('\n', count).map(line => {
    const { header, ...rest } = signedIn(proofIn(JSON.parse(line)))
    const key = keys.get(header) ?? importedFrom(header)
    keys.set(header, key)
    return { key, ...rest }
  })
  return {
    call (index) {
      const { signed, key, signature } = signatures[index % count] ?? fail()
      if (!crypto.verify('sha256', signed, key, signature)) throw new Error('signature')
    }
  }
}

if (isParent) await writeRequests()
const alone = 'crypto.verify alone, no HTTP'
await compare(import.meta.url, [
  served('guarded, Bearer', bearer, users, serve),
  served(base, long, proofs, serve),
  served('guarded, Bearer, and crypto.verify', long, proofs, serveVerify),
  served('guarded, DPoP with ES256', bound, proofs, serve),
  served('express-oauth2-jwt-bearer', bound, proofs, byLibrary),
  served('jose by hand, DPoP with ES256', bound, proofs, byHand),
  { name: alone, base: alone, count, load: null, prepare: verifyAlone }
])
if (isParent) rmSync(folder, { recursive: true })
