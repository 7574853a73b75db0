import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Test } from 'tap'

export type Handler = (request: IncomingMessage, response: ServerResponse, body: string) => void

export interface FakeServer {
  url: string
  /** `METHOD /path` of every request so far. */
  calls: string[]
  requests: Array<{ method: string, url: URL, headers: IncomingMessage['headers'], body: string }>
  answer: Handler
  /** Opened so far. */
  connections: () => number
}

/** A provider on loopback whose behaviour a test exchanges at any time; it ends with the test. */
export async function fakeServer (t: Test, answer: Handler): Promise<FakeServer> {
  let connections = 0
  const fake: FakeServer = { url: '', calls: [], requests: [], answer, connections: () => connections }
  const server = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8').on('data', chunk => { body += chunk }).on('end', () => {
      const url = new URL(request.url ?? '/', 'http://fake')
      fake.calls.push(`${request.method} ${url.pathname}`)
      fake.requests.push({ method: request.method ?? '', url, headers: request.headers, body })
      response.on('error', () => {})
      fake.answer(request, response, body)
    })
  })
  server.on('connection', () => { connections++ }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  fake.url = typeof address === 'object' && address !== null ? `http://127.0.0.1:${address.port}` : ''
  t.teardown(() => { server.closeAllConnections(); server.close() })
  return fake
}

export function json (body: unknown, status = 200, headers: Record<string, string> = {}): Handler {
  return (_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
  }
}

export function raw (body: string | Buffer, status = 200, headers: Record<string, string | number> = {}): Handler {
  return (_request, response) => { response.writeHead(status, headers).end(body) }
}
