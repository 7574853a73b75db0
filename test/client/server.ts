import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { TokenExchangeOptions } from '../../src/index.js'
import type { Fetch } from '../../src/client/index.js'
import { facebook, google, oidc } from '../../src/providers/index.js'
import { memoryStore } from '../../src/sessions/stores/index.js'
import { startIdentityServer, type IdentityServer } from '../../src/testing/index.js'
import { buildServer, secret, type Closing } from '../server.js'
import { freePort } from '../sessions/servers.js'

/** What the server does with requests for a path, in the place of answering them. */
export type Fault = 'cut' | 'lose the answer' | WrongAnswer

interface WrongAnswer { readonly status: number, readonly body?: string, readonly headers?: Record<string, string> }

export interface ClientServer {
  readonly app: FastifyInstance
  readonly url: string
  readonly idp: IdentityServer
  /** Each request that came, as `POST /token 200`; what was cut is `cut`. */
  readonly calls: string[]
  /** The headers of the last request for this path. */
  headersOf (path: string): IncomingHttpHeaders
  /** What is wrong with a path from now on; null for nothing. */
  break (path: string, fault: Fault | null): void
  /** How many requests for a path there were, preflights aside. */
  count (path: string): number
}

export const appUri = 'com.example.app:/callback'

/** A server with the plugin, on a port of loopback, beside identity providers of its own. */
export async function clientServer (
  t: Closing,
  options: Partial<TokenExchangeOptions> = {},
  hasSessions = true
): Promise<ClientServer> {
  const idp = await startIdentityServer()
  const url = `http://127.0.0.1:${await freePort()}`
  const [calls, faults] = [new Array<string>(), new Map<string, Fault>()]
  const headers = new Map<string, IncomingHttpHeaders>()
  const pathOf = (request: FastifyRequest): string => request.url.split('?')[0] ?? ''

  function watch (app: FastifyInstance): void {
    t.teardown(async () => { await app.close(); await idp.close() })
    app.addHook('onRequest', (request, reply, done) => {
      headers.set(pathOf(request), request.headers)
      // Node's own is not of the clock that a test sets.
      reply.header('date', new Date().toUTCString())
      const fault = faults.get(pathOf(request))
      if (fault === 'cut') cut(request, reply)
      else if (typeof fault === 'object') reply.code(fault.status).headers(fault.headers ?? {}).send(fault.body ?? '')
      else done()
    })
    app.addHook('onSend', (request, reply, payload, done) => {
      if (faults.get(pathOf(request)) === 'lose the answer') cut(request, reply)
      else done(null, payload)
    })
    app.addHook('onResponse', (request, reply, done) => {
      calls.push(`${request.method} ${pathOf(request)} ${reply.statusCode}`)
      done()
    })
  }

  function cut (request: FastifyRequest, reply: FastifyReply): void {
    reply.hijack()
    calls.push(`${request.method} ${pathOf(request)} cut`)
    request.raw.socket.destroy()
  }

  const app = await buildServer({
    issuer: url,
    keys: secret,
    providers: {
      facebook: facebook(idp.facebook.options),
      google: google(idp.google.options),
      corp: oidc({ ...idp.oidc.options, redirect: { clientSecret: idp.oidc.clientSecret } })
    },
    clients: { app: { redirectUris: [appUri, 'http://127.0.0.1/callback'] } },
    ...(hasSessions && { sessions: { store: memoryStore() } }),
    ...options
  }, { prepare: watch })
  app.get('/me', { onRequest: app.requireUser() }, request => request.auth.user)
  app.get('/open', { onRequest: app.requireLevel('everyone') }, request => ({ user: request.auth.user?.id ?? null }))
  app.post('/todos', { onRequest: app.requireUser() }, request => request.body)
  await app.listen({ host: '127.0.0.1', port: Number(new URL(url).port) })

  return {
    app,
    url,
    idp,
    calls,
    headersOf: path => headers.get(path) ?? {},
    break (path, fault) {
      if (fault === null) faults.delete(path)
      else faults.set(path, fault)
    },
    count: path => calls.filter(call => call.includes(` ${path} `) && !call.startsWith('OPTIONS')).length
  }
}

/** Another server, which answers with the headers that it got. */
export async function stranger (t: Closing): Promise<string> {
  const server = createServer((request, response) => response.end(JSON.stringify(request.headers)))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => { server.close(); server.closeAllConnections() })
  return `http://127.0.0.1:${portOf(server)}`
}

export function portOf (server: Server): number {
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

/** A `fetch` for a client that believes its access tokens to be good for a year. */
export const withoutExpiry: Fetch = async (...request) => {
  const answer = await fetch(...request)
  if (!/\/(token|login\/\w+)$/.test(answer.url) || !answer.ok) return answer
  const body: object = JSON.parse(await answer.text())
  return Response.json({ ...body, expires_in: 365 * 86_400 })
}
