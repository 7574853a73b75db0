import t from 'tap'
import { run } from './program.js'
import { curlMissing, paste } from './shell.js'

const tsx = 'tsx --tsconfig example/tsconfig.json'

t.test("an application's own provider logs in whom it knows", { skip: curlMissing }, async t => {
  const program = run(`${tsx} example/own-provider.ts`, { PORT: '0' })
  t.teardown(() => program.kill())
  const [command] = await program.until(/^curl .*access_token=.*$/m)
  const [good = '', tampered = '', expired = ''] = await paste([
    command,
    `${command}A`,
    command.replace(/e1815\.\d+/, 'e1815.1')
  ])
  t.strictSame(JSON.parse(good).user, {
    userId: 'portal:e1815',
    provider: 'portal',
    level: 'authenticated',
    permissions: []
  })
  t.equal(JSON.parse(tampered).code, 'AUTH_ERR_GRANT_REJECTED')
  t.equal(JSON.parse(expired).code, 'AUTH_ERR_GRANT_REJECTED')
})

t.test('the smallest server starts with its variables set, and says what is missing without', async t => {
  const secrets = {
    FACEBOOK_APP_ID: '1',
    FACEBOOK_APP_SECRET: 'the secret of the app',
    SIGNING_SECRET: 'one secret of this test file only'
  }
  const program = run(`${tsx} example/smallest.ts`, { PORT: '0', ...secrets })
  t.teardown(() => program.kill())
  const [, url] = await program.until(/listening at (http:\/\/127\.0\.0\.1:\d+)/)
  t.equal((await fetch(`${url}/api/everyone`)).status, 200)
  t.equal((await fetch(`${url}/api/auth`)).status, 401)

  for (const [name, message] of [
    ['SIGNING_SECRET', 'keys must be'],
    ['FACEBOOK_APP_ID', 'facebook.appId must be']
  ] as const) {
    const refused = run(`${tsx} example/smallest.ts`, { PORT: '0', ...secrets, [name]: '' })
    t.teardown(() => refused.kill())
    t.equal(await refused.ended(), 1)
    t.match(refused.output(), message)
  }
})
