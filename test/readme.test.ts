import { createPrivateKey, createPublicKey, randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Fastify from 'fastify'
import t from 'tap'
import tokenExchange, { errors } from '../src/index.js'
import { facebook } from '../src/providers/index.js'
import { startIdentityServer } from '../src/testing/index.js'
import { run } from './example/program.js'
import { curlMissing, opensslMissing, paste } from './example/shell.js'
import { blockVariables, openWorkshop, readBlocks, readme, root, sectionsOfSessions } from './readme/blocks.js'
import { compiles } from './readme/compiles.js'
import { compose, fragments } from './readme/fragments.js'

const blocks = readBlocks()
const covered = new Set<string>()

function block (name: string): string {
  covered.add(name)
  return blocks.get(name)?.text ?? `there is no block ${name}`
}

const fileOf = (path: string): string => readFileSync(join(root, path), 'utf8')
const workshop = openWorkshop()
t.teardown(() => workshop.remove())

/** They install, start for good or measure: another test runs what is behind them, or nothing can. */
const notRun = new Map([
  ['Install', 'npm install fastify fastify-token-exchange\n'],
  ['The server 3', 'npm ci && npm start\n'], // test/example/server.test.ts
  ['Benchmarks', 'npm run bench:guard\n'],
  ['Benchmarks 2', 'npm run bench:exchange\n'],
  ['Benchmarks 3', 'npm run bench:sessions\n']
])

t.test('the commands that are not run are these, and their scripts exist', async t => {
  for (const [name, text] of notRun) t.equal(block(name), text)
  const { scripts } = JSON.parse(fileOf('package.json'))
  for (const [, name = ''] of readme.matchAll(/npm run ([\w:-]+)/g)) t.type(scripts[name], 'string', name)
  t.type(scripts.start, 'string')
})

t.test('the server and the own provider are those of the example, which has tests of its own', async t => {
  t.equal(block('The server'), fileOf('example/smallest.ts'))
  t.ok(fileOf('example/own-provider.ts').includes(block('Your own provider')))
})

t.test('the command for a secret prints one', async t => {
  const [secret] = await paste([block('The server 2')])
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

  const [printed = ''] = await paste([here(block('The two calls of an app'))], { FACEBOOK_TOKEN: token })
  t.strictSame(JSON.parse(printed), { message: 'hello, facebook:10158000000000001' }, 'with curl')

  workshop.write('fetch.js', `const facebookToken = '${token}'\n${here(block('The two calls of an app 2'))}`)
  const fetching = run('node fetch.js', {}, workshop.directory)
  t.teardown(() => fetching.kill())
  await fetching.until(/hello, facebook:10158000000000001/)
  t.equal(await fetching.ended(), 0, 'with fetch')

  const answer = (await app.inject({ method: 'POST', url: '/login/facebook', payload: { access_token: token } })).json()
  const shown = JSON.parse(block('The two calls of an app 3'))
  const withoutTokens = { access_token: '', authenticationToken: '' }
  t.strictSame({ ...answer, ...withoutTokens }, { ...shown, ...withoutTokens }, 'the answer')
  t.equal(shown.access_token.slice(0, 40), answer.access_token.slice(0, 40))

  const [nonce = ''] = await paste([here(block('Nonces and replay'))])
  t.strictSame(
    { ...JSON.parse(nonce), nonce: '' },
    { ...JSON.parse(block('Nonces and replay 2')), nonce: '' },
    'a nonce'
  )
})

t.test('the fragments compile and do what the text says', async t => {
  const files = fragments.map((fragment, index) => {
    workshop.write(`fragment${index}.ts`, compose(fragment, block(fragment.block)))
    return `fragment${index}.ts`
  })
  workshop.write('testing.js', block('Testing your login'))
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
${block('Types of your own')}
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
  await paste([block('Key rotation')], {}, directory)
  const privateKey = createPrivateKey(readFileSync(join(directory, 'signing-key.pem')))
  t.ok(createPublicKey(privateKey).equals(createPublicKey(readFileSync(join(directory, 'signing-key.pub.pem')))))
  t.equal(privateKey.asymmetricKeyType, 'ed25519')
})

t.test('no block is left out', async t => {
  const skipped = [
    ...(curlMissing ? ['The two calls of an app', 'Nonces and replay'] : []),
    ...(opensslMissing ? ['Key rotation'] : [])
  ]
  const left = [...blocks.keys()].filter(
    name =>
      !covered.has(name) &&
      !sectionsOfSessions.includes(blocks.get(name)?.section ?? '') &&
      !skipped.some(prefix => name.startsWith(prefix))
  )
  t.strictSame(left, [])
})

t.test('the tables name every option and every error', async t => {
  const declared = /export interface TokenExchangeOptions [^]*?^}/m.exec(fileOf('src/options/options.ts'))?.[0] ?? ''
  const options = [...declared.matchAll(/^ {2}(\w+)\??:/gm)].map(([, name]) => name)
  t.ok(options.length > 10)
  for (const name of options) t.ok(readme.includes(`\n| \`${name}\` |`), `option ${name}`)

  for (const ErrorClass of Object.values(errors)) {
    const { code, statusCode } = new ErrorClass()
    t.ok(readme.includes(`\n| \`${code}\` | ${statusCode} |`), `${code} ${statusCode}`)
  }
})
