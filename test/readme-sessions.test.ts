import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import tokenExchange from '../src/index.js'
import { facebook } from '../src/providers/index.js'
import { startIdentityServer, type IdentityServer } from '../src/testing/index.js'
import { run } from './example/program.js'
import { curlMissing, paste } from './example/shell.js'
import { blockVariables, openBlocks, openWorkshop, page, pagesOf, root } from './readme/blocks.js'
import { compiles } from './readme/compiles.js'
import { compose, sessionFragments, storesFragment } from './readme/fragments.js'
import { freePort, postgresMissing, redisMissing, startPostgres, startRedis } from './sessions/servers.js'

const { block, left } = openBlocks(pagesOf.sessions)
const workshop = openWorkshop()
t.teardown(() => workshop.remove())

interface Server {
  idp: IdentityServer
  url: string
  here(text: string): string
  login(): Promise<Record<string, string>>
}

/** The server that the commands call, at a port of its own. */
async function startServer (t: Test): Promise<Server> {
  const idp = await startIdentityServer()
  const app = Fastify()
  t.teardown(() => Promise.all([app.close(), idp.close()]))
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const privateKey = readFileSync(join(workshop.directory, 'signing-key.pem'), 'utf8')
  await app.register(tokenExchange, {
    issuer: url,
    keys: [{ algorithm: 'EdDSA', privateKey }],
    providers: { facebook: facebook(idp.facebook.options) },
    sessions: {}
  })
  await app.listen({ port, host: '127.0.0.1' })
  const login = async () =>
    (
      await app.inject({
        method: 'POST',
        url: '/login/facebook',
        payload: { access_token: idp.facebook.accessToken() }
      })
    ).json()
  return { idp, url, here: text => text.replaceAll('http://localhost:3000', url), login }
}

/** What was printed, and what the page shows, with their values taken away. */
function shapeOf (json: string): unknown {
  return JSON.parse(json, (_name, value) =>
    typeof value === 'number' ? 0 : typeof value === 'string' && value.length === 22 ? '' : value
  )
}

t.test('the commands of refreshing and logging out', { skip: curlMissing }, async t => {
  const { idp, here, login } = await startServer(t)
  const { access_token: access = '', refresh_token: refresh = '' } = await login()

  const commands = ['sessions#Refreshing', 'sessions#Refreshing 3'].map(name => here(block(name)))
  const [refreshed = '', exchanged = ''] = await paste(commands, {
    REFRESH_TOKEN: refresh,
    FACEBOOK_TOKEN: idp.facebook.accessToken()
  })
  t.match(JSON.parse(refreshed), {
    access_token: String,
    refresh_token: /^.{72}$/,
    token_type: 'Bearer',
    expires_in: 3600
  })
  t.match(JSON.parse(exchanged), {
    access_token: String,
    refresh_token: String,
    issued_token_type: 'urn:ietf:params:oauth:token-type:access_token'
  })

  const [list, others, logout, revoke] = here(block('sessions#Logging out')).trim().split('\n')
  const status = (command = ''): string => command.replace('curl -s', "curl -s -w '%{http_code}'")
  const environment = { TOKEN: access, REFRESH_TOKEN: refresh }
  const [, two = '', one = '', ...rest] = await paste(
    [status(others), list ?? '', `${list}`, status(logout), status(revoke), status(list)],
    environment
  )
  t.strictSame(shapeOf(one), shapeOf(block('sessions#Logging out 2')))
  t.strictSame(two, one)
  t.strictSame(rest.map(printed => printed.slice(-3)), ['204', '200', '401'])
})

t.test('the function of an app: a retry, a dead session, an outage', async t => {
  const { here, url, login } = await startServer(t)
  const { refresh_token: token } = await login()
  workshop.write(
    'refresh.js',
    `${here(block('sessions#Refreshing 2'))}
    const first = await refresh('${token}')
    const again = await refresh('${token}')
    console.log(first.refreshToken === again.refreshToken, typeof first.accessToken, await refresh('tampered'))
    await fetch('${url}/revoke', { method: 'POST', body: new URLSearchParams({ token: first.refreshToken }) })
    console.log(await refresh(first.refreshToken))
    const outage = { error: 'temporarily_unavailable', code: 'AUTH_ERR_STORE_UNAVAILABLE' }
    globalThis.fetch = async () => Response.json(outage, { status: 503 })
    console.log(await refresh('x').catch(error => error.message))`
  )
  const program = run('node refresh.js', {}, workshop.directory)
  t.teardown(() => program.kill())
  t.equal(await program.ended(), 0)
  t.equal(program.output(), 'true string null\nnull\nAUTH_ERR_STORE_UNAVAILABLE\n')
})

t.test(
  'the own store is that of the example, which has tests of its own; the conformance tests run as shown',
  async t => {
    const ownStore = readFileSync(join(root, 'example/own-store.ts'), 'utf8')
    t.equal(block('own-store#A store of your own'), ownStore)
    for (const file of ['database.ts', 'people.ts']) {
      workshop.write(file, readFileSync(join(root, 'example', file), 'utf8'))
    }
    workshop.write('own-store.ts', ownStore)
    workshop.write(
      'conformance.ts',
      `import { PGlite } from '@electric-sql/pglite'
import { ownStore, ownTables } from './own-store.js'
const database = new PGlite()
for (const statement of ownTables) await database.query(statement)
${block('own-store#A store of your own 2')}`
    )
    const program = run('tsx conformance.ts', {}, workshop.directory)
    t.teardown(() => program.kill())
    t.equal(await program.ended(), 0)
    t.match(program.output(), /fail 0/)
  }
)

t.test('the fragments compile and do what the text says', async t => {
  const files = sessionFragments.map((fragment, index) => {
    workshop.write(`fragment${index}.ts`, compose(fragment, block(fragment.block)))
    return `fragment${index}`
  })
  workshop.write('stores.ts', compose(storesFragment, block('sessions#Stores')))
  workshop.write('service.ts', block('other-services#A second service that only verifies'))
  const imports = files.map(file => `await import('./${file}.js')\nconsole.log('ran ${file}')`)
  workshop.write('all.ts', `${imports.join('\n')}\nprocess.exit()\nexport {}\n`)

  const running = run('tsx all.ts', blockVariables(), workshop.directory)
  t.teardown(() => running.kill())
  t.equal(await running.ended(), 0)
  t.equal(running.output(), files.map(file => `ran ${file}\n`).join(''))
  await compiles(t, workshop.directory)
})

t.test('each of the stores', { skip: redisMissing || postgresMissing }, async t => {
  const [redis, postgres] = [await startRedis('no'), await startPostgres()]
  t.teardown(() => Promise.all([redis.remove(), postgres.remove()]))
  workshop.write('run-stores.ts', "await import('./stores.js')\nprocess.exit()\nexport {}\n")
  const env = {
    REDIS_URL: `redis://127.0.0.1:${redis.port}`,
    DATABASE_URL: `postgres://postgres@127.0.0.1:${postgres.port}/postgres`
  }
  const program = run('tsx run-stores.ts', { ...blockVariables(), ...env }, workshop.directory)
  t.teardown(() => program.kill())
  t.equal(await program.ended(), 0)
  t.equal(program.output(), '')
})

t.test('the second service takes the tokens of the first', async t => {
  const issuer = Fastify()
  t.teardown(() => issuer.close())
  const privateKey = readFileSync(join(workshop.directory, 'signing-key.pem'), 'utf8')
  await issuer.register(tokenExchange, {
    issuer: 'https://api.example.com',
    keys: [{ algorithm: 'EdDSA', privateKey }]
  })
  const { access_token: token } = issuer.tokenExchange.issue({ userId: 'user-42', permissions: ['report:read'] })

  const service = run('tsx service.ts', { PORT: '0' }, workshop.directory)
  t.teardown(() => service.kill())
  const [, url] = await service.until(/listening at (http:\/\/127\.0\.0\.1:\d+)/)
  t.equal((await fetch(`${url}/reports`)).status, 401)
  t.equal((await fetch(`${url}/reports`, { headers: { authorization: `Bearer ${token}` } })).status, 200)
  t.equal((await fetch(`${url}/login/facebook`, { method: 'POST' })).status, 404)
})

t.test('the key set and the metadata, and a service that has only jose', { skip: curlMissing }, async t => {
  const { here, url, login } = await startServer(t)
  const [keySet, metadata] = here(block('other-services#Keys and metadata')).trim().split('\n')
  const [printedKeys = '', printedMetadata = ''] = await paste([keySet ?? '', metadata ?? ''])
  t.match(JSON.parse(printedKeys), { keys: [{ kty: 'OKP', crv: 'Ed25519', alg: 'EdDSA', use: 'sig' }] })
  t.strictSame(JSON.parse(printedMetadata), JSON.parse(here(block('other-services#Keys and metadata 2'))))

  const { access_token: token } = await login()
  const foreign = generateKeyPairSync('ed25519').privateKey
  const stranger = Fastify()
  t.teardown(() => stranger.close())
  await stranger.register(tokenExchange, {
    issuer: url,
    keys: [{ algorithm: 'EdDSA', privateKey: foreign.export({ type: 'pkcs8', format: 'pem' }).toString() }]
  })
  t.not(createPublicKey(foreign).export({ format: 'jwk' }).x, JSON.parse(printedKeys).keys[0].x)
  const { access_token: foreignToken } = stranger.tokenExchange.issue({ userId: 'x' })
  workshop.write(
    'verify.js',
    `${here(block('other-services#Verifying without this package'))}
    console.log(JSON.stringify(await userOf('${token}')))
    console.log(await userOf('${foreignToken}').catch(error => error.code))`
  )
  const program = run('node verify.js', {}, workshop.directory)
  t.teardown(() => program.kill())
  t.equal(await program.ended(), 0)
  t.equal(
    program.output(),
    '{"id":"facebook:10158000000000001","level":"authenticated","permissions":[]}\nERR_JWKS_NO_MATCHING_KEY\n'
  )
})

t.test('no block is left out, and the table names every option', async t => {
  const skipped = curlMissing === false
    ? []
    : ['sessions#Refreshing', 'sessions#Logging out', 'other-services#Keys', 'other-services#Verifying']
  t.strictSame(left().filter(name => !skipped.some(prefix => name.startsWith(prefix))), [])

  const declared =
    /export interface SessionOptions [^]*?^}/m.exec(
      readFileSync(join(root, 'src/sessions/session-options.ts'), 'utf8')
    )?.[0] ?? ''
  const options = [...declared.matchAll(/^ {2}(\w+)\?:/gm)].map(([, name]) => name)
  t.equal(options.length, 9)
  for (const name of options) t.ok(page('sessions').includes(`\n| \`${name}\` |`), `option ${name}`)
})
