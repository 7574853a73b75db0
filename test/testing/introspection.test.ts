import t from 'tap'
import { startIdentityServer } from '../../src/testing/index.js'

const idp = await startIdentityServer()
t.teardown(() => idp.close())
const { endpoint, clientId, clientSecret, audience } = idp.introspection.options

async function introspect (
  token: string | undefined,
  secret = clientSecret
): Promise<{ status: number, challenge: string | null, body: unknown }> {
  const answer = await fetch(endpoint, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(`${clientId}:${secret}`).toString('base64')}` },
    body: new URLSearchParams(token === undefined ? {} : { token })
  })
  return { status: answer.status, challenge: answer.headers.get('www-authenticate'), body: await answer.json() }
}

t.test('an active token is described (RFC 7662, 2.2)', async t => {
  const token = idp.introspection.accessToken({ sub: 'u1', username: 'ada', client_id: undefined })
  const { status, body } = await introspect(token)
  t.equal(status, 200)
  t.match(body, {
    active: true,
    sub: 'u1',
    username: 'ada',
    aud: audience,
    exp: Number,
    iat: Number,
    token_type: 'Bearer'
  })
  t.notOk(JSON.stringify(body).includes('client_id'))
})

t.test('of any other token nothing is said but that it is not active', async t => {
  const past = idp.clock.now() - 1
  for (const token of [
    'junk',
    idp.introspection.accessToken({ active: false }),
    idp.introspection.accessToken({ exp: past })
  ]) {
    t.same(await introspect(token), { status: 200, challenge: null, body: { active: false } })
  }
  t.match(
    await introspect(idp.introspection.accessToken({ active: true, exp: past })),
    { body: { active: true, exp: past } },
    'unless the test insists'
  )
})

t.test('the caller authenticates with Basic (RFC 7662, 2.1)', async t => {
  t.match(await introspect(idp.introspection.accessToken(), 'wrong'), {
    status: 401,
    challenge: /^Basic/,
    body: { error: 'invalid_client' }
  })
  t.equal((await fetch(endpoint, { method: 'POST' })).status, 401)
  t.equal((await introspect(undefined)).status, 400)
})
