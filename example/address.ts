import { lookup } from 'node:dns/promises'
import { createServer } from 'node:net'

/** Where a program listens. */
export interface Address {
  readonly host: string
  readonly port: number
  /** What to type into a browser. */
  readonly url: string
}

/**
 * Finds out where to listen before anything else is made: tokens name the address as their issuer.
 *
 * @param port `0` is a free one
 * @throws Error in one sentence, which names the remedy
 */
export async function addressOf (host: string, port: string): Promise<Address> {
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65_535) {
    throw new Error(`PORT is ${JSON.stringify(port)}: a number from 0 to 65535 is needed, as in PORT=3001.`)
  }
  const known = await lookup(host, { all: true }).catch(() => {
    throw new Error(`HOST is ${JSON.stringify(host)}, which is no address of this machine: leave it out for 127.0.0.1.`)
  })
  let free = Number(port)
  // `localhost` is two addresses, and Fastify listens on both.
  for (const { address } of known) free = await tryListening(address, free)
  return { host, port: free, url: urlOf(host, free) }
}

function tryListening (address: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => reject(new Error(remedyOf(error.code, address, port))))
    server.listen(port, address, () => {
      const bound = server.address()
      server.close(() => resolve(typeof bound === 'object' && bound !== null ? bound.port : port))
    })
  })
}

function remedyOf (code: string | undefined, address: string, port: number): string {
  if (code === 'EADDRINUSE') {
    return `Port ${port} is taken by another program: stop that one, or take another port with PORT=${port + 1}.`
  }
  if (code === 'EACCES') return `Port ${port} is not for everybody on this machine: take another with PORT=3000.`
  return `HOST is ${address}, where this machine cannot listen (${code}): leave it out for 127.0.0.1.`
}

/** In normal form, without the port of http itself: it is the issuer. */
export function urlOf (host: string, port: number): string {
  return new URL(`http://${nameOf(host)}:${port}`).origin
}

/** A host as it stands in a URL. Redirect URIs name the loopback by its address (RFC 8252, 7.3), and so does this. */
function nameOf (host: string): string {
  if (host === 'localhost' || host === '0.0.0.0' || host === '::') return '127.0.0.1'
  return host.includes(':') ? `[${host}]` : host
}
