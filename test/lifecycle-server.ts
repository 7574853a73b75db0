// Run by lifecycle.test.ts as a process of its own: a server whose provider, lookup or key endpoint hangs, an app that
// keeps its connection, and close() in the middle. It must end by itself, with what it saw as its last words.
import { Agent, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import { google } from '../src/providers/google.js'
import type { FastifyInstance } from 'fastify'
import type { TokenExchangeOptions } from '../src/plugin-options.js'
import { buildServer, ownProvider } from './server.js'

const [hangs = '', handler, jwks = 'http://127.0.0.1:9'] = process.argv.slice(2)
const unhandled: string[] = []
process.on('unhandledRejection', thrown => unhandled.push(String(thrown)))

let begin = (): void => {}
const begun = new Promise<void>(resolve => { begin = resolve })
const late: Array<() => void> = []
const hang = (): Promise<never> => new Promise((_resolve, reject) => {
  late.push(() => reject(new Error('long after everybody left')))
  begin()
})
/** Its signature is looked at when the keys have come, which is never. */
const now = Math.floor(Date.now() / 1000)
const idToken = [
  { alg: 'RS256', kid: 'one' },
  { iss: 'https://accounts.google.com', aud: 'app', sub: '10158', iat: now, exp: now + 60 },
  0
]
  .map(part => Buffer.from(JSON.stringify(part)).toString('base64url'))
  .join('.')
const { verify } = google({ clientIds: ['app'], endpoints: { jwks } })
const hanging: Record<string, Partial<TokenExchangeOptions>> = {
  provider: { providers: { own: ownProvider(hang) } },
  lookup: { permissions: hang },
  keys: {
    providers: {
      own: {
        accepts: ['access_token'],
        verify: ({ token }, context) => {
          begin()
          return verify({ type: 'id_token', token }, context)
        }
      }
    }
  }
}
const options: Partial<TokenExchangeOptions> = { providerTimeout: 60_000, lookupTimeout: 60_000, ...hanging[hangs] }

function answerSlowly (app: FastifyInstance): void {
  app.setErrorHandler(async (error: Error & { statusCode?: number, code?: string }, _request, reply) => {
    await once(app.server, 'close-began')
    return await reply.code(error.statusCode ?? 500).send({ code: error.code })
  })
  const close = app.server.close.bind(app.server)
  app.server.close = (...args) => { setImmediate(() => app.server.emit('close-began')); return close(...args) }
}

const app = await buildServer({ providers: { own: ownProvider() }, ...options }, {
  ...(handler === 'slow-handler' && { prepare: answerSlowly })
})
await app.listen({ port: 0, host: '127.0.0.1' })

const agent = new Agent({ keepAlive: true })
const { port } = app.server.address() as AddressInfo
const answered = new Promise<object>((resolve, reject) => {
  const call = request(
    {
      agent,
      port,
      host: '127.0.0.1',
      method: 'POST',
      path: '/login/own',
      headers: { 'content-type': 'application/json' }
    },
    answer => {
      let body = ''
      answer.setEncoding('utf8').on('data', chunk => {
        body += chunk
      })
      answer.on('end', () => resolve({ status: answer.statusCode, headers: answer.headers, body: JSON.parse(body) }))
    }
  )
  call.on('error', reject)
  call.end(JSON.stringify({ access_token: hangs === 'keys' ? idToken : 'good' }))
})

await begun
await app.close()
const answer = await answered
late.forEach(reject => reject())
await new Promise(setImmediate)
process.stdout.write(
  JSON.stringify({
    answer,
    unhandled,
    resources: process.getActiveResourcesInfo().filter(name => /TCPServer|Timeout|Worker/.test(name))
  })
)
