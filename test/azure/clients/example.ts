import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { run } from '../../example/program.js'

/** The example server in a process of its own, for browser apps of these origins. */
export interface Example {
  /** Its public address. */
  url: string
  /** A classic token of a Facebook user whom it knows. */
  facebookToken: string
  /** And of the administrator. */
  administratorToken: string
  close (): void
}

export async function startExample (origins: string[]): Promise<Example> {
  const port = await freePort()
  const program = run('tsx --tsconfig example/tsconfig.json example/azure.ts', {
    PORT: String(port),
    HOST: 'localhost',
    ORIGINS: origins.join(' ')
  })
  await program.until(/login\/introspection .*\n/)
  const tokenIn = (pattern: RegExp): string => pattern.exec(program.output())?.[1] ?? ''
  const facebookToken = tokenIn(/access_token=(EAA\w+)/)
  const administratorToken = tokenIn(/^ADMIN=.*access_token=(EAA\w+)/m)
  return { url: `http://localhost:${port}`, facebookToken, administratorToken, close: program.kill }
}

/** A page of a browser app, on an origin of its own. */
export async function startSite (
  scripts: Readonly<Record<string, string>>
): Promise<{ origin: string, close(): void }> {
  const server = createServer((request, response) => {
    const script = scripts[request.url ?? '']
    response.setHeader('content-type', script === undefined ? 'text/html' : 'text/javascript')
    response.end(
      script ??
        `<!DOCTYPE html><title>App</title>${Object.keys(scripts)
          .map(path => `<script src="${path}"></script>`)
          .join('')}`
    )
  })
  await new Promise<void>(resolve => {
    server.listen(0, 'localhost', resolve)
  })
  return {
    origin: `http://localhost:${portOf(server.address())}`,
    close: () => {
      server.close()
      server.closeAllConnections()
    }
  }
}

// The example's public address holds its port, so that it has to be known before.
export async function freePort (): Promise<number> {
  const server = createServer()
  await new Promise<void>(resolve => { server.listen(0, 'localhost', resolve) })
  const port = portOf(server.address())
  await new Promise(resolve => { server.close(resolve) })
  return port
}

function portOf (address: AddressInfo | string | null): number {
  return typeof address === 'object' && address !== null ? address.port : 0
}
