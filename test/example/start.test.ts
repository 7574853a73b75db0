import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { urlOf } from '../../example/address.js'
import { run } from './program.js'

const { scripts } = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8'))

t.test('npm start prints one address, which answers as the documentation says, and ends when asked to', async t => {
  const program = run(scripts.start, { PORT: '0' })
  t.teardown(() => program.kill())
  const [, url = ''] = await program.until(/^Open (http:\/\/127\.0\.0\.1:\d+)\n.*\n/)
  t.equal(program.output().match(/http:/g)?.length, 1, 'one address')
  const metadata = await answerOf(`${url}/.well-known/oauth-authorization-server`)
  t.match(metadata.body, { issuer: url, authorization_endpoint: `${url}/authorize` }, 'host and issuer agree')
  t.match(await answerOf(`${url}/api/auth`), { status: 401, body: { code: 'AUTH_ERR_CREDENTIAL_MISSING' } })
  const { body } = await answerOf(`${url}/documentation/json`)
  t.match(body, { paths: { '/api/admin': { get: { security: Array } }, '/token': { post: Object } } }, 'OpenAPI')
  t.equal((await fetch(`${url}/documentation/`)).status, 200)

  const taken = run(scripts.start, { PORT: new URL(url).port })
  t.teardown(() => taken.kill())
  t.equal(await taken.ended(), 1)
  t.match(taken.output(), /^Port \d+ is taken by another program: .* PORT=\d+\.\n$/, 'one sentence, with the remedy')
  t.equal(await program.interrupt(), 0, 'Ctrl-C ends it in order')
})

for (const [name, value, sentence] of [
  ['PORT', 'http', /^PORT is "http": .*\n$/],
  ['HOST', 'nowhere.invalid', /^HOST is "nowhere.invalid", .*\n$/],
  ['DATABASE_URL', 'postgres://127.0.0.1:1/x', /^DATABASE_URL names .* ECONNREFUSED: .* leave it out .*\n$/]
] as const) {
  t.test(`${name}=${value} is refused in one sentence`, async t => {
    const program = run(scripts.start, { PORT: '0', [name]: value })
    t.teardown(() => program.kill())
    t.equal(await program.ended(), 1)
    t.match(program.output(), sentence)
  })
}

t.test('an issuer at the port of http itself is in normal form', async t => {
  t.equal(urlOf('127.0.0.1', 80), 'http://127.0.0.1')
  t.equal(urlOf('::1', 8080), 'http://[::1]:8080')
  t.equal(urlOf('localhost', 3000), 'http://127.0.0.1:3000')
})

async function answerOf (url: string): Promise<{ status: number, body: unknown }> {
  const answer = await fetch(url)
  return { status: answer.status, body: await answer.json() }
}
