// Run by lifecycle.test.ts as a process of its own: a server whose provider or lookup hangs, an app that keeps its
// connection, and close() in the middle. It must end by itself, with what it saw as its last words.
import { Agent, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import Fastify from 'fastify'
import { tokenExchange } from '../src/plugin.js'
import type { TokenExchangeOptions } from '../src/options.js'
import { issuer, ownProvider, secret } from './routes/login-server.js'

const [hangs, handler] = process.argv.slice(2)
const unhandled: string[] = []
process.on('unhandledRejection', thrown => unhandled.push(String(thrown)))

let begin = (): void => {}
const begun = new Promise<void>(resolve => { begin = resolve })
const late: Array<() => void> = []
const hang = (): Promise<never> => new Promise((_resolve, reject) => {
  late.push(() => reject(new Error('long after everybody left')))
  begin()
})
const forever = { providerTimeout: 60_000, lookupTimeout: 60_000 }
const options: Partial<TokenExchangeOptions> = hangs === 'provider' ? { ...forever, providers: { own: ownProvider(hang) } } : { ...forever, permissions: hang }

const app = Fastify()
if (handler === 'slow-handler') {
  app.setErrorHandler(async (error: Error & { statusCode?: number, code?: string }, _request, reply) => {
    await once(app.server, 'close-began')
    return await reply.code(error.statusCode ?? 500).send({ code: error.code })
  })
  const close = app.server.close.bind(app.server)
  app.server.close = (...args) => { setImmediate(() => app.server.emit('close-began')); return close(...args) }
}
await app.register(tokenExchange, { issuer, keys: secret, providers: { own: ownProvider() }, ...options })
await app.listen({ port: 0, host: '127.0.0.1' })

const agent = new Agent({ keepAlive: true })
const { port } = app.server.address() as AddressInfo
const answered = new Promise<object>((resolve, reject) => {
  const call = request({ agent, port, host: '127.0.0.1', method: 'POST', path: '/login/own', headers: { 'content-type': 'application/json' } }, answer => {
    let body = ''
    answer.setEncoding('utf8').on('data', chunk => { body += chunk })
    answer.on('end', () => resolve({ status: answer.statusCode, headers: answer.headers, body: JSON.parse(body) }))
  })
  call.on('error', reject)
  call.end('{"access_token":"good"}')
})

await begun
await app.close()
const answer = await answered
late.forEach(reject => reject())
await new Promise(setImmediate)
process.stdout.write(JSON.stringify({ answer, unhandled, resources: process.getActiveResourcesInfo().filter(name => /TCPServer|Timeout|Worker/.test(name)) }))
