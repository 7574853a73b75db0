import { Agent, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { facebook, oidc } from '../../src/providers/index.js'
import { startIdentityServer } from '../../src/testing/index.js'
import { buildServer, logStream, secret } from '../server.js'

// The whole story on real sockets: a phone, this server, an identity server that can fail in every way.
const idp = await startIdentityServer()
const { stream, text: log } = logStream()
const reached: string[] = []
const app = await buildServer({
  // Less than the patience of this test, more than a loopback server needs.
  providerTimeout: 2000,
  providers: { facebook: facebook(idp.facebook.options), oidc: oidc(idp.oidc.options) },
  permissions: ({ claims, subject }) =>
    claims.group === 'admins' || subject === '1'
      ? { level: 'admin', permissions: ['todo:write'] }
      : { permissions: ['todo:read'] }
}, { fastify: { logger: { level: 'trace', stream } } })
for (const level of ['everyone', 'application', 'authenticated', 'admin'] as const) {
  app.get(`/${level}`, { onRequest: app.requireLevel(level) }, request => {
    reached.push(level)
    return { level: request.auth.level }
  })
}
await app.listen({ port: 0, host: '127.0.0.1' })
const { port } = app.server.address() as AddressInfo
const agent = new Agent({ keepAlive: true })
t.teardown(async () => {
  agent.destroy()
  await app.close()
  await idp.close()
})

interface Body { access_token: string, user: Record<string, unknown>, [member: string]: unknown }
interface Answer { status: number | undefined, headers: Record<string, unknown>, text: string, body: Body }
const said: string[] = []

function call (
  method: string,
  path: string,
  { headers = {}, body }: { headers?: Record<string, string>, body?: object } = {}
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        agent,
        port,
        host: '127.0.0.1',
        method,
        path,
        headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers }
      },
      incoming => {
        let text = ''
        incoming.setEncoding('utf8').on('data', chunk => {
          text += chunk
        })
        incoming.on('end', () => {
          said.push(text, JSON.stringify(incoming.headers))
          resolve({ status: incoming.statusCode, headers: incoming.headers, text, body: JSON.parse(text) })
        })
      }
    )
    outgoing.on('error', reject)
    outgoing.end(body === undefined ? undefined : JSON.stringify(body))
  })
}

function login (provider: string, body: object): Promise<Answer> {
  return call('POST', `/login/${provider}`, { body })
}

const rejected = {
  status: 401,
  headers: { 'cache-control': 'no-store', 'www-authenticate': 'Bearer' },
  body: { code: 'AUTH_ERR_GRANT_REJECTED' }
}
const unavailable = {
  status: 503,
  headers: { 'cache-control': 'no-store', 'retry-after': '5' },
  body: { code: 'AUTH_ERR_PROVIDER_UNAVAILABLE' }
}
const ada = { id: '90071992547409931234', name: 'Ada Lovelace', email: 'ada@example.com' }
const secrets: string[] = [
  idp.facebook.options.appSecret,
  secret,
  'application-key-of-ios',
  'master-key-of-operations',
  ada.email,
  ada.name,
  'Sorry',
  'temporarily_unavailable',
  'OAuthException',
  'fbtrace'
]

t.test('a person logs in with Facebook, and the token opens what it should', async t => {
  const grant = idp.facebook.accessToken(ada)
  secrets.push(grant)
  const answer = await login('facebook', { access_token: grant })
  t.match(answer, {
    status: 200,
    headers: { 'cache-control': 'no-store' },
    body: {
      token_type: 'Bearer',
      user: { userId: `facebook:${ada.id}`, provider: 'facebook', level: 'authenticated', permissions: ['todo:read'] }
    }
  })
  const token = answer.body.access_token
  secrets.push(token)
  t.match(app.tokenExchange.verify(token), { subject: ada.id, provider: 'facebook', claims: {} })
  said.length = 0
  const expected = { everyone: 200, application: 401, authenticated: 200, admin: 403 }
  for (const [level, status] of Object.entries(expected)) {
    t.equal((await call('GET', `/${level}`, { headers: { authorization: `Bearer ${token}` } })).status, status, level)
  }
  t.same(reached.splice(0), ['everyone', 'authenticated'], 'no handler ran for a refused request')
})

t.test('an id that Facebook sends as a number is the same person', async t => {
  idp.facebook.numericIds(true)
  t.match(await login('facebook', { access_token: idp.facebook.accessToken(ada) }), {
    status: 200,
    body: { user: { userId: `facebook:${ada.id}` } }
  })
  idp.facebook.numericIds(false)
  said.length = 0
})

t.test('an administrator, an application key, a master key, nobody', async t => {
  const { body } = await login('oidc', { id_token: await idp.oidc.idToken({ group: 'admins' }) })
  t.match(body.user, { level: 'admin', permissions: ['todo:write'] })
  secrets.push(body.access_token)
  said.length = 0
  const rows: Array<[Record<string, string>, number[]]> = [
    [{}, [200, 401, 401, 401]],
    [{ 'x-zumo-application': 'application-key-of-ios' }, [200, 200, 401, 401]],
    [{ 'x-zumo-auth': body.access_token }, [200, 401, 200, 200]],
    [{ 'x-zumo-master': 'master-key-of-operations' }, [200, 200, 200, 200]],
    [{ authorization: 'Bearer junk' }, [401, 401, 401, 401]]
  ]
  for (const [headers, statuses] of rows) {
    const seen = []
    for (const level of ['everyone', 'application', 'authenticated', 'admin']) {
      seen.push((await call('GET', `/${level}`, { headers })).status)
    }
    t.same(seen, statuses, Object.keys(headers).join() || 'nothing')
  }
})

t.test('what Facebook does not vouch for is 401', async t => {
  const past = idp.clock.now() - 1
  const rows: Array<[string, object]> = [
    ['junk', { access_token: 'EAAjunk' }],
    ['a token longer than a query can be', { access_token: 'x'.repeat(30_000) }],
    ['snow, nine times its length when escaped', { access_token: '\u2603'.repeat(4000) }],
    ['an expired token', { access_token: idp.facebook.accessToken(ada, { expiresAt: past }) }],
    ['one that Facebook ended', { access_token: idp.facebook.accessToken(ada, { valid: false }) }],
    ["another app's", { access_token: idp.facebook.accessToken(ada, { appId: '999' }) }],
    [
      "another app's that may be inspected",
      { access_token: idp.facebook.accessToken(ada, { appId: '999', inspectable: true }) }
    ],
    ["a page's", { access_token: idp.facebook.accessToken(ada, { type: 'PAGE' }) }],
    ['parameters in the token', { access_token: `x&input_token=${idp.facebook.accessToken(ada)}` }],
    ['a line break in the token', { access_token: 'x\r\nHost: evil.example.com' }],
    ['an ID token of another app', { id_token: await idp.facebook.idToken({ aud: '999' }) }],
    ['an ID token of another issuer', { id_token: await idp.oidc.idToken() }],
    ['an unsigned ID token', { id_token: await idp.facebook.idToken({}, { alg: 'none' }) }],
    ['a wrong nonce', { id_token: await idp.facebook.idToken({ nonce: 'one' }), nonce: 'two' }]
  ]
  for (const [name, body] of rows) t.match(await login('facebook', body), rejected, name)
})

t.test('an outage is 503: never a 401, never a 500', async t => {
  const grant = idp.facebook.accessToken(ada)
  const idToken = await idp.facebook.idToken()
  await login('facebook', { id_token: idToken })
  for (const outage of ['down', 'reset', 'html', 'hang'] as const) {
    idp.facebook.outage(outage)
    t.match(await login('facebook', { access_token: grant }), unavailable, outage)
  }
  idp.facebook.outage(false)
  for (const code of [1, 2, 4, 17, 341, 613, 'desktop-app'] as const) {
    idp.facebook.graphError(code)
    t.match(await login('facebook', { access_token: grant }), unavailable, `error ${code}`)
  }
  idp.facebook.graphError(190)
  t.match(await login('facebook', { access_token: grant }), rejected, 'error 190')
  idp.facebook.graphError(false)
  t.match(log(), /desktop app/, 'what the operator has to mend is named')
  t.equal((await login('facebook', { access_token: grant })).status, 200, 'and it is over at once')
  said.length = 0
})

t.test('an issuer that is down from the beginning is an outage for every ID token', async t => {
  for (const outage of ['down', 'reset', 'html', 'hang'] as const) {
    const own = await startIdentityServer()
    const server = await buildServer({ providerTimeout: 500, providers: { oidc: oidc(own.oidc.options) } })
    own.outage(outage)
    const answer = await server.inject({
      method: 'POST',
      url: '/login/oidc',
      payload: { id_token: await own.oidc.idToken() }
    })
    t.match({ status: answer.statusCode, headers: answer.headers, body: answer.json() }, unavailable, outage)
    await server.close()
    await own.close()
  }
})

t.test('nothing of it stands in an answer or in a line of the log, at any level', async t => {
  const answers = said.join('\n')
  const lines = log()
  t.ok(lines.length > 10_000, 'the log is the finest there is')
  for (const secret of secrets) {
    t.notOk(answers.includes(secret), `in an answer: ${secret.slice(0, 12)}…`)
    t.notOk(lines.includes(secret), `in the log: ${secret.slice(0, 12)}…`)
  }
  for (const address of [idp.url, `:${new URL(idp.url).port}`]) {
    t.notOk(answers.includes(address), 'no internal address in an answer')
  }
  t.notMatch(lines, /"statusCode":50[02]/)
})
