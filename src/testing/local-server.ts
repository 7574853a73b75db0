import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { json, type Answer, type Faults, type Site } from './site.js'

const bodyLimit = 65_536
const page = '<!doctype html><title>Sorry</title><h1>Something went wrong</h1>'

export interface LocalServer {
  readonly url: string
  serve (sites: readonly Site[], faults: Faults, calls: CallRecorder): void
  close (): Promise<void>
}

/**
 * Listens on the loopback interface only: what it hands out opens doors in tests and must not be reachable from
 * elsewhere.
 */
export async function listenLocally (port: number): Promise<LocalServer> {
  const server = createServer()
  const closing = new AbortController()
  const url = await listening(server, port)
  let closed: Promise<void> | undefined

  async function respond (
    sites: readonly Site[],
    faults: Faults,
    calls: CallRecorder,
    incoming: IncomingMessage,
    response: ServerResponse
  ): Promise<void> {
    // The path is appended and not resolved: `//host` is a path here, too.
    const { pathname, searchParams } = new URL(`${url}${incoming.url ?? '/'}`)
    const method = incoming.method ?? 'GET'
    calls.record(method, pathname)
    const body = await read(incoming)
    const site = sites.find(site => pathname.startsWith(`/${site.name}/`))
    for (const fault of [faults, ...(site === undefined ? [] : [site.faults])]) {
      if (fault.delay > 0) await delay(fault.delay, undefined, { ref: false, signal: closing.signal })
      if (fault.outage !== false) return fail(fault.outage, response)
    }
    const route = site?.find(method, pathname.slice(site.name.length + 1))
    if (route === undefined) return send(json(404, { error: 'not_found' }), response)
    send(await route.handler({ query: searchParams, headers: incoming.headers, body, params: route.params }), response)
  }

  return {
    url,
    serve (sites, faults, calls) {
      server.on('request', (incoming, response) => {
        // A client that went away, a request that is none, or close(): nobody is left to be answered.
        respond(sites, faults, calls, incoming, response).catch(() => response.destroy())
      })
    },
    close () {
      closed ??= new Promise(resolve => {
        closing.abort()
        server.close(() => resolve())
        server.closeAllConnections()
      })
      return closed
    }
  }
}

function listening (server: Server, port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => {
      const address = server.address()
      resolve(`http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : port}`)
    })
  })
}

async function read (incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of incoming) {
    const bytes: Buffer = chunk
    size += bytes.length
    if (size > bodyLimit) throw new RangeError('the body is too large')
    chunks.push(bytes)
  }
  return Buffer.concat(chunks).toString()
}

function fail (outage: Exclude<Faults['outage'], false>, response: ServerResponse): void {
  if (outage === 'hang') return
  if (outage === 'reset') { response.socket?.resetAndDestroy(); return }
  if (outage === 'html') return send({ status: 200, headers: { 'content-type': 'text/html' }, body: page }, response)
  send(json(503, { error: 'temporarily_unavailable' }, { 'retry-after': '1' }), response)
}

function send (answer: Answer, response: ServerResponse): void {
  response.writeHead(answer.status, answer.headers).end(answer.body)
}

/** One request that the identity server got. Without query, headers and body: that is where the secrets are. */
export interface RecordedCall {
  readonly method: string
  /** Whole path, e.g. `/facebook/debug_token`. */
  readonly path: string
  /** Milliseconds since the epoch, by the real clock. */
  readonly at: number
}

/** The requests so far, oldest first; those that an outage swallowed included. */
export interface CallLog extends Iterable<RecordedCall> {
  readonly length: number
  /** How many of them went to this path: the whole of it, or whatever the pattern finds. All, without an argument. */
  count (path?: string | RegExp): number
  clear (): void
}

interface CallRecorder extends CallLog {
  record (method: string, path: string): void
}

export function createCallLog (): CallRecorder {
  const calls: RecordedCall[] = []
  return {
    [Symbol.iterator]: () => [...calls].values(),
    get length () { return calls.length },
    count (path) {
      if (path === undefined) return calls.length
      return calls.filter(call => typeof path === 'string' ? call.path === path : call.path.search(path) !== -1).length
    },
    clear () { calls.length = 0 },
    record (method, path) { calls.push(Object.freeze({ method, path, at: Date.now() })) }
  }
}
