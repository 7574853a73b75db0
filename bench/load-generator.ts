import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'

// The load generator, in a process of its own: connections that are kept alive, one request at a time on each. They
// take the requests in turn, so that none is sent again before all others were.

export interface Load {
  readonly connections: number
  /** A file of requests: JSON texts, one a line, each the bytes of a request. */
  readonly file: string
  /** How many of them, from the first. */
  readonly first: number
}

export interface RequestParts {
  method?: string
  path?: string
  headers?: Readonly<Record<string, string>>
  body?: string
}

/** The bytes of an HTTP/1.1 request. */
export function requestOf ({ method = 'GET', path = '/', headers = {}, body = '' }: RequestParts): string {
  const length = body === '' ? {} : { 'content-length': String(Buffer.byteLength(body)) }
  const lines = Object.entries({ host: 'localhost', ...headers, ...length }).map(pair => `${pair.join(': ')}\r\n`)
  return `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n${body}`
}

let requests: readonly Buffer[] = []
let sockets: readonly Socket[] = []
let next = 0

async function open (url: string, { connections, file, first }: Load): Promise<void> {
  requests = readFileSync(file, 'utf8').split('\n').slice(0, first).map(line => Buffer.from(JSON.parse(line)))
  const { port, hostname } = new URL(url)
  sockets = Array.from({ length: connections }, () => connect({ port: Number(port), host: hostname, noDelay: true }))
  await Promise.all(sockets.map(socket => once(socket, 'connect')))
}

async function send (count: number): Promise<void> {
  let left = count
  await Promise.all(sockets.map(async socket => {
    while (left-- > 0) await exchange(socket, requests[next++ % requests.length] ?? Buffer.alloc(0))
  }))
}

function exchange (socket: Socket, request: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    let answer = ''
    const read = (chunk: Buffer): void => {
      answer += chunk.toString('latin1')
      if (answer.length < endOf(answer)) return
      socket.off('data', read)
      if (answer.startsWith('HTTP/1.1 200 ')) resolve()
      else reject(new Error(answer))
    }
    socket.on('data', read)
    socket.write(request)
  })
}

/** Where an answer ends that says its length. */
function endOf (answer: string): number {
  const head = answer.indexOf('\r\n\r\n')
  const length = /\r\ncontent-length: (\d+)/i.exec(answer)?.[1] ?? '0'
  return head === -1 ? Infinity : head + 4 + Number(length)
}

async function work (url: string | undefined, load: Load, count: number): Promise<void> {
  if (url === undefined) await send(count)
  else await open(url, load)
  process.send?.({})
}

if (process.argv[1]?.endsWith('load-generator.ts') === true) {
  process.on('message', ({ url, count, ...load }: Load & { url?: string, count: number }) => {
    work(url, load, count).catch((error: unknown) => {
      console.error(error)
      process.exit(1)
    })
  })
  process.on('disconnect', () => process.exit())
}
