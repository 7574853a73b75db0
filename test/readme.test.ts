import { createPrivateKey, createPublicKey, randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Fastify from 'fastify'
import t from 'tap'
import { checks } from '../src/errors.js'
import tokenExchange, { errors } from '../src/index.js'
import { facebook, google } from '../src/providers/index.js'
import { startIdentityServer } from '../src/testing/index.js'
import { run } from './example/program.js'
import { curlMissing, opensslMissing, paste } from './example/shell.js'
import { blockVariables, openBlocks, openWorkshop, page, pages, pagesOf, root } from './readme/blocks.js'
import { compiles } from './readme/compiles.js'
import { composeExamples, examplesIn, membersOf } from './readme/examples.js'
import { compose, fragments } from './readme/fragments.js'
import { freePort } from './sessions/servers.js'

const { block, left } = openBlocks(pagesOf.readme)
const fileOf = (path: string): string => readFileSync(join(root, path), 'utf8')
const workshop = openWorkshop()
t.teardown(() => workshop.remove())

/** They install, or start for good: another test runs what is behind them, or nothing can. */
const notRun = new Map([
  ['README#Try it', 'npm install fastify fastify-token-exchange\n'],
  ['getting-started#An application', 'npm install fastify fastify-token-exchange\n'],
  ['getting-started#The example', 'npm ci && npm start\n'] // test/example/server.test.ts
])

t.test('the commands that are not run are these, and their scripts exist', async t => {
  for (const [name, text] of notRun) t.equal(block(name), text)
  const { scripts } = JSON.parse(fileOf('package.json'))
  const commands = [...pages.values()].flatMap(text => [...text.matchAll(/npm run ([\w:-]+)/g)])
  for (const [, name = ''] of commands) t.type(scripts[name], 'string', name)
  t.type(scripts.start, 'string')
})

t.test('the server, the own provider and the metrics are those of the example, which has tests of its own', async t => {
  t.equal(block('getting-started#An application 2'), fileOf('example/smallest.ts'))
  t.ok(fileOf('example/own-provider.ts').includes(block('own-provider#Your own provider')))
  t.equal(block('observability#Prometheus'), fileOf('example/recipes/prometheus.ts'))
})

t.test('the command for a secret prints one', async t => {
  const [secret] = await paste([block('getting-started#An application 3')])
  t.match(secret, /^[0-9a-f]{64}$/)
})

t.test('the two calls of an app', { skip: curlMissing }, async t => {
  const idp = await startIdentityServer()
  const app = Fastify()
  t.teardown(() => Promise.all([app.close(), idp.close()]))
  await app.register(tokenExchange, {
    issuer: 'http://localhost:3000',
    keys: randomBytes(32).toString('hex'),
    providers: { facebook: facebook(idp.facebook.options) }
  })
  app.get('/api/auth', { onRequest: app.requireLevel('authenticated') }, ({ auth }) => ({
    message: `hello, ${auth.user?.id}`
  }))
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  const here = (text: string): string => text.replaceAll('http://localhost:3000', url)
  const token = idp.facebook.accessToken()

  const name = 'getting-started#The two calls of an app'
  const [printed = ''] = await paste([here(block(name))], { FACEBOOK_TOKEN: token })
  t.strictSame(JSON.parse(printed), { message: 'hello, facebook:10158000000000001' }, 'with curl')

  workshop.write('fetch.js', `const facebookToken = '${token}'\n${here(block(`${name} 2`))}`)
  const fetching = run('node fetch.js', {}, workshop.directory)
  t.teardown(() => fetching.kill())
  await fetching.until(/hello, facebook:10158000000000001/)
  t.equal(await fetching.ended(), 0, 'with fetch')

  const answer = (await app.inject({ method: 'POST', url: '/login/facebook', payload: { access_token: token } })).json()
  const shown = JSON.parse(block(`${name} 3`))
  const withoutTokens = { access_token: '', authenticationToken: '' }
  t.strictSame({ ...answer, ...withoutTokens }, { ...shown, ...withoutTokens }, 'the answer')
  t.equal(shown.access_token.slice(0, 40), answer.access_token.slice(0, 40))

  const [nonce = ''] = await paste([here(block('login#Nonces and replay'))])
  t.strictSame(
    { ...JSON.parse(nonce), nonce: '' },
    { ...JSON.parse(block('login#Nonces and replay 2')), nonce: '' },
    'a nonce'
  )
})

t.test('the program of the README, and the two calls', { skip: curlMissing }, async t => {
  const port = await freePort()
  const here = (text: string): string => text.replaceAll('3000', String(port))
  workshop.write('server.js', here(block('README#Try it 2')))
  const server = run('tsx server.js', {}, workshop.directory)
  t.teardown(() => server.kill())
  const [, idToken = ''] = await server.until(/ID_TOKEN=(\S+)\n/)
  const [printed = ''] = await paste([here(block('README#Try it 3'))], { ID_TOKEN: idToken })
  t.match(JSON.parse(printed), { owner: /^google:\d+$/ })
})

t.test('a login by redirect: the address of the provider, and the code', { skip: curlMissing }, async t => {
  const idp = await startIdentityServer()
  const app = Fastify()
  t.teardown(() => Promise.all([app.close(), idp.close()]))
  const port = await freePort()
  const issuer = `http://127.0.0.1:${port}`
  const here = (text: string): string => text.replaceAll('http://localhost:3000', issuer)
  await app.register(tokenExchange, {
    issuer,
    keys: randomBytes(32).toString('hex'),
    providers: { google: google({ ...idp.google.options, redirect: { clientSecret: idp.google.clientSecret } }) },
    clients: { web: { redirectUris: ['https://www.example.com/callback'] } },
    sessions: {}
  })
  await app.listen({ port, host: '127.0.0.1' })

  const begin = here(block('redirect-logins#The three steps'))
  const [address = ''] = await paste([begin])
  t.ok(address.startsWith(`${idp.google.options.endpoints.authorize}?`), address)
  t.equal(new URL(address).searchParams.get('redirect_uri'), `${issuer}/callback/google`)

  const code = await codeOfBrowser(/"(http[^"]+)"/.exec(begin)?.[1] ?? '')
  const [printed = ''] = await paste([here(block('redirect-logins#The three steps 2'))], { CODE: code })
  t.match(JSON.parse(printed), { access_token: String, refresh_token: String, user: { provider: 'google' } })
})

/** Follows a login by redirect as a browser does, to the code in the address that it ends at. */
async function codeOfBrowser (address: string): Promise<string> {
  const begun = await fetch(address, { redirect: 'manual' })
  const cookie = begun.headers.getSetCookie().map(line => line.split(';')[0]).join('; ')
  const atProvider = await fetch(begun.headers.get('location') ?? '', { redirect: 'manual' })
  const back = await fetch(atProvider.headers.get('location') ?? '', { redirect: 'manual', headers: { cookie } })
  return new URL(back.headers.get('location') ?? '').searchParams.get('code') ?? ''
}

t.test('the fragments compile and do what the text says', async t => {
  const files = fragments.map((fragment, index) => {
    workshop.write(`fragment${index}.ts`, compose(fragment, block(fragment.block)))
    return `fragment${index}.ts`
  })
  workshop.write('testing.js', block('testing#Testing your login'))
  workshop.write('examples.ts', composeExamples())
  const imports = [...files, 'testing.js'].map(
    file => `await import('./${file.replace(/ts$/, 'js')}')\nconsole.log('ran ${file}')`
  )
  workshop.write('all.ts', `${imports.join('\n')}\nprocess.exit()\nexport {}\n`)

  const running = run('tsx all.ts', blockVariables(), workshop.directory)
  t.teardown(() => running.kill())
  t.equal(await running.ended(), 0)
  t.equal(running.output(), [...files, 'testing.js'].map(file => `ran ${file}\n`).join(''))
  await compiles(t, workshop.directory)
})

t.test('narrowed types refuse a misspelt permission', async t => {
  const narrowed = openWorkshop()
  t.teardown(() => narrowed.remove())
  narrowed.write('narrowed.ts', `import type { FastifyInstance } from 'fastify'
import type { PermissionLookup } from 'fastify-token-exchange'
${block('guards#Types of your own')}
export function declareRoutes (app: FastifyInstance): string | undefined {
  app.get('/todos', { onRequest: app.requirePermission('todo:read') }, ({ auth }) => auth.user?.claims.tenant)
  // @ts-expect-error a misspelt permission in a guard
  app.requirePermission('todo:raed')
  return app.tokenExchange.issue({ userId: '1', permissions: ['todo:write'], claims: { tenant: 'acme' } }).refresh_token
}
export const good: PermissionLookup = () => ({ permissions: ['todo:read'] })
// @ts-expect-error a misspelt permission in the lookup
export const misspelt: PermissionLookup = () => ({ permissions: ['todo:raed'] })
`)
  await compiles(t, narrowed.directory)
})

t.test('the commands for a key pair make one', { skip: opensslMissing }, async t => {
  const directory = mkdtempSync(join(tmpdir(), 'readme-keys-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  await paste([block('deployment#Key rotation')], {}, directory)
  const privateKey = createPrivateKey(readFileSync(join(directory, 'signing-key.pem')))
  t.ok(createPublicKey(privateKey).equals(createPublicKey(readFileSync(join(directory, 'signing-key.pub.pem')))))
  t.equal(privateKey.asymmetricKeyType, 'ed25519')
})

t.test('no block is left out', async t => {
  const skipped = [
    ...(curlMissing ? ['README#', 'getting-started#The two calls of an app', 'login#Nonces and replay'] : []),
    ...(opensslMissing ? ['deployment#Key rotation'] : [])
  ]
  t.strictSame(left().filter(name => !skipped.some(prefix => name.startsWith(prefix))), [])
})

t.test('every option, guard and factory shows an example where it is declared', async t => {
  for (const [path, name] of [
    ['src/plugin-options.ts', 'TokenExchangeOptions'],
    ['src/sessions/session-options.ts', 'SessionOptions'],
    ['src/guards/declaring.ts', 'Guards'],
    ['src/routes/app-api.ts', 'TokenExchange']
  ] as const) {
    t.strictSame(examplesIn(path, name).map(({ of }) => of), membersOf(path, name), name)
  }
  const factories = [
    ...['apple', 'facebook', 'github', 'google', 'introspection', 'microsoft', 'oidc', 'define']
      .map(name => `src/providers/${name}.ts`),
    ...['memory', 'redis', 'postgres'].map(name => `src/sessions/stores/${name}.ts`),
    'src/applications/app-check.ts', 'src/client/create-client.ts', 'src/testing/identity-server.ts',
    'src/telemetry/index.ts', 'src/plugin.ts'
  ]
  for (const path of factories) t.ok(examplesIn(path).length > 0, path)
})

t.test('the tables name every kind of event, and every check', async t => {
  const types = [...fileOf('src/events.ts').matchAll(/readonly type: '([\w.]+)'/g)].map(([, type]) => type)
  t.ok(types.length > 10)
  for (const type of types) t.match(page('observability'), new RegExp(`^\\|[^|]*\`${type}\``, 'm'), `event ${type}`)
  for (const check of checks) t.ok(page('errors').includes(`\n| \`${check}\` |`), `check ${check}`)
})

t.test('the tables name every option and every error', async t => {
  const declared = /export interface TokenExchangeOptions [^]*?^}/m.exec(fileOf('src/plugin-options.ts'))?.[0] ?? ''
  const options = [...declared.matchAll(/^ {2}(\w+)\??:/gm)].map(([, name]) => name)
  t.ok(options.length > 10)
  for (const name of options) t.ok(page('options').includes(`\n| \`${name}\` |`), `option ${name}`)

  for (const ErrorClass of Object.values(errors)) {
    const { code, statusCode } = new ErrorClass()
    t.ok(page('errors').includes(`\n| \`${code}\` | ${statusCode} |`), `${code} ${statusCode}`)
  }
})
