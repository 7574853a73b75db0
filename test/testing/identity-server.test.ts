import { request, type IncomingMessage } from 'node:http'
import { mock } from 'node:test'
import { decodeJwt } from 'jose'
import t from 'tap'
import { startIdentityServer, type IdentityServer } from '../../src/testing/index.js'

async function start (test: Pick<typeof t, 'teardown'>): Promise<IdentityServer> {
  const idp = await startIdentityServer()
  test.teardown(() => idp.close())
  return idp
}

function get (
  url: string
): Promise<{ status: number, type: string | undefined, retryAfter: string | undefined, body: string }> {
  return new Promise((resolve, reject) => {
    request(url, { agent: false }, (answer: IncomingMessage) => {
      answer.setEncoding('utf8')
      let body = ''
      answer.on('data', part => {
        body += part
      })
      answer.on('end', () =>
        resolve({
          status: answer.statusCode ?? 0,
          type: answer.headers['content-type'],
          retryAfter: answer.headers['retry-after'],
          body
        })
      )
      answer.on('error', reject)
    })
      .on('error', reject)
      .end()
  })
}

t.test('listens on the loopback interface, on a free port or the one asked for', async t => {
  const idp = await start(t)
  t.match(idp.url, /^http:\/\/127\.0\.0\.1:\d+$/)
  const port = Number(new URL(idp.url).port)
  await t.rejects(startIdentityServer({ port }), { code: 'EADDRINUSE' })
  await idp.close()
  const again = await startIdentityServer({ port })
  t.equal(again.url, idp.url)
  await again.close()
})

t.test('an unknown path is 404, whatever the vendor', async t => {
  const idp = await start(t)
  for (const path of [
    '/',
    '/nobody/jwks',
    '/google',
    '/google/',
    '/google/jwks/more',
    '//',
    '/facebook/v23/me',
    '/github/api/applications/%/token'
  ]) {
    t.equal((await get(`${idp.url}${path}`)).status, 404, path)
  }
})

t.test('outages, of everything and of one provider', async t => {
  const idp = await start(t)
  const jwks = idp.google.options.endpoints.jwks
  const other = `${idp.oidc.options.issuer}/.well-known/openid-configuration`

  for (const switches of [idp, idp.google]) {
    switches.outage()
    const down = await get(jwks)
    t.match(down, { status: 503, type: /json/, retryAfter: '1' }, 'down is the default')
    t.equal((await get(other)).status, switches === idp ? 503 : 200, 'the others go on where only one is down')
    switches.outage('html')
    t.match(await get(jwks), { status: 200, type: 'text/html', body: /^<!doctype html>/ })
    switches.outage('reset')
    await t.rejects(get(jwks), { code: 'ECONNRESET' })
    switches.outage(false)
    t.equal((await get(jwks)).status, 200)
  }
  t.throws(() => Reflect.apply(idp.outage, idp, ['dwon']), TypeError)
  t.throws(() => idp.slow(-1), TypeError)
})

t.test('a hanging answer, and a slow one, end with close()', async t => {
  for (const begin of [
    (idp: IdentityServer) => idp.outage('hang'),
    (idp: IdentityServer) => idp.apple.slow(3_600_000)
  ]) {
    const idp = await start(t)
    begin(idp)
    const pending = t.rejects(get(idp.apple.options.endpoints.jwks), { code: 'ECONNRESET' })
    while (idp.calls.length === 0) await new Promise(resolve => setImmediate(resolve))
    await idp.close()
    await pending
    await idp.close()
    await t.rejects(get(idp.url), { code: 'ECONNREFUSED' }, 'the port is free')
  }
})

t.test('slow answers are whole', async t => {
  const idp = await start(t)
  idp.slow(1)
  idp.github.slow(1)
  t.equal((await get(`${idp.url}/github/user`)).status, 404)
  idp.slow(0)
  t.equal((await get(idp.google.options.endpoints.jwks)).status, 200)
})

t.test('await using closes it', async t => {
  const idp = await startIdentityServer()
  await idp[Symbol.asyncDispose]()
  await t.rejects(get(idp.url), { code: 'ECONNREFUSED' })
})

t.test('calls are recorded without their secrets, outages included', async t => {
  const idp = await start(t)
  const { graph } = idp.facebook.options.endpoints
  t.equal(idp.calls.count(), 0)
  await get(`${graph}/debug_token?input_token=secret&access_token=secret`)
  idp.outage()
  await get(`${graph}/v23.0/debug_token?input_token=secret`)
  await get(`${graph}/me?access_token=secret`)
  t.equal(idp.calls.length, 3)
  t.equal(idp.calls.count('/facebook/debug_token'), 1)
  t.equal(idp.calls.count(/debug_token$/g), 2)
  t.same(
    [...idp.calls].map(({ method, path }) => `${method} ${path}`),
    ['GET /facebook/debug_token', 'GET /facebook/v23.0/debug_token', 'GET /facebook/me']
  )
  t.ok([...idp.calls].every(call => typeof call.at === 'number' && Object.isFrozen(call)))
  t.notMatch(JSON.stringify([...idp.calls]), /secret/)
  idp.calls.clear()
  t.equal(idp.calls.length, 0)
})

t.test('the clock governs what is issued', async t => {
  mock.timers.enable({ apis: ['Date'], now: 1_800_000_000_000 })
  t.teardown(() => mock.timers.reset())
  const idp = await start(t)
  t.equal(idp.clock.now(), 1_800_000_000)
  idp.clock.offset(-86_400)
  for (const issuer of [idp.oidc, idp.google, idp.apple, idp.microsoft, idp.facebook]) {
    const { iat, exp } = decodeJwt(await issuer.idToken())
    t.equal(iat, 1_800_000_000 - 86_400)
    t.ok(typeof exp === 'number' && exp > 1_800_000_000 - 86_400)
  }
  idp.clock.offset(0)
  t.equal(decodeJwt(await idp.oidc.idToken()).iat, 1_800_000_000)
  t.throws(() => idp.clock.offset(Number.NaN), TypeError)
})
