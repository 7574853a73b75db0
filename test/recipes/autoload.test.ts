import { randomBytes } from 'node:crypto'
import t from 'tap'
import { run } from '../example/program.js'
import { buildServer, codeIn } from '../server.js'
import { freePort } from '../sessions/servers.js'

t.test('fastify-cli starts the folder: the guards are there in its routes, and the login too', async t => {
  const port = await freePort()
  const [issuer, keys] = [`http://localhost:${port}`, randomBytes(32).toString('hex')]
  const program = run(`fastify start --port ${port} --log-level info example/recipes/autoload/app.ts`, {
    ISSUER: issuer,
    SIGNING_SECRET: keys,
    GOOGLE_CLIENT_IDS: '1042-ios.apps.googleusercontent.com 1042-web.apps.googleusercontent.com',
    // A project that is compiled first needs neither.
    NODE_OPTIONS: '--import=tsx',
    FASTIFY_AUTOLOAD_TYPESCRIPT: '1'
  })
  t.teardown(() => program.kill())
  await program.until(/Server listening/)

  // A server with the same issuer and keys.
  const other = await buildServer({ issuer, keys })
  t.teardown(() => other.close())
  const tokenOf = (...permissions: string[]) =>
    ({ authorization: `Bearer ${other.tokenExchange.issue({ userId: 'ada', permissions }).access_token}` })
  async function ask (path: string, init: RequestInit = {}): Promise<[status: number, what: string | undefined]> {
    const answer = await fetch(`http://localhost:${port}${path}`, init)
    const body = await answer.text()
    return [answer.status, codeIn(body) ?? body]
  }

  t.strictSame(await ask('/'), [200, '{"root":true}'])
  t.strictSame(await ask('/todos'), [401, 'AUTH_ERR_CREDENTIAL_MISSING'])
  t.strictSame(await ask('/todos', { headers: tokenOf() }), [200, '{"owner":"ada"}'])
  const post = (headers: Record<string, string>) => ask('/todos', { method: 'POST', headers })
  t.strictSame(await post(tokenOf()), [403, 'AUTH_ERR_PERMISSION_MISSING'])
  t.strictSame(await post(tokenOf('todo:write')), [201, '{}'])
  const body = new URLSearchParams({ id_token: 'junk' })
  t.strictSame(await ask('/login/google', { method: 'POST', body }), [401, 'AUTH_ERR_GRANT_REJECTED'])
  t.equal(await program.stop(), 0, 'SIGTERM ends it in order')
})

t.test('without SIGNING_SECRET it does not start, and says why', async t => {
  const env = { GOOGLE_CLIENT_IDS: 'web', NODE_OPTIONS: '--import=tsx', FASTIFY_AUTOLOAD_TYPESCRIPT: '1' }
  const program = run('fastify start --port 0 example/recipes/autoload/app.ts', env)
  t.teardown(() => program.kill())
  t.not(await program.ended(), 0)
  t.match(program.output(), /keys is undefined/)
})
