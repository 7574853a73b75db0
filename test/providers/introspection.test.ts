import t from 'tap'
import { introspection } from '../../src/providers/index.js'
import { fakeServer, json, raw, type FakeServer, type Handler } from '../http/fake-server.js'
import { verify } from './good-tokens.js'

const now = Math.floor(Date.now() / 1000)
const good = {
  active: true,
  client_id: 'app',
  aud: ['me', 'you'],
  sub: 'user-1',
  exp: now + 60,
  email: 'u@example.com',
  email_verified: 'true'
}

function provider ({ url }: FakeServer, audience = 'me') {
  return introspection({ endpoint: `${url}/introspect`, clientId: 'c:1', clientSecret: 's 3', audience })
}

t.test('an active token', async t => {
  const fake = await fakeServer(t, json(good))
  t.match(await verify(provider(fake), { type: 'access_token', token: 't&k' }), {
    subject: 'user-1',
    clientId: 'me',
    email: 'u@example.com',
    emailVerified: true,
    claims: { client_id: 'app' }
  })
  t.match(
    await verify(provider(fake, 'app'), { type: 'access_token', token: 't' }),
    { clientId: 'app' },
    'by client_id'
  )
  t.match(fake.requests[0], {
    method: 'POST',
    body: 'token=t%26k&token_type_hint=access_token',
    headers: { authorization: `Basic ${btoa('c%3A1:s%203')}` }
  })
})

t.test('a number is an id of exactly these digits', async t => {
  for (const sub of ['7', '90071992547409931']) {
    const fake = await fakeServer(t, raw(JSON.stringify({ ...good, sub: 0 }).replace('"sub":0', `"sub":${sub}`)))
    t.match(await verify(provider(fake), { type: 'access_token', token: 't' }), { subject: sub })
  }
})

const rejected = 'AUTH_ERR_GRANT_REJECTED'
const unavailable = 'AUTH_ERR_PROVIDER_UNAVAILABLE'
const answers: Array<[Handler | Record<string, unknown>, string]> = [
  [{ active: false }, rejected],
  [{ aud: 'you', client_id: 'other' }, rejected],
  [{ aud: undefined, client_id: undefined }, rejected],
  [{ aud: ['ME'], client_id: 'metoo' }, rejected],
  [{ sub: undefined }, rejected],
  [{ sub: '' }, rejected],
  [{ sub: true }, rejected],
  [{ sub: ['user-1'] }, rejected],
  [{ sub: 1.5 }, rejected],
  [{ exp: now - 1 }, rejected],
  [{ exp: undefined }, rejected],
  [{ exp: String(now + 60) }, rejected],
  [{ nbf: now + 60 }, rejected],
  [{ active: 'true' }, unavailable],
  [{ active: undefined }, unavailable],
  [json({ error: 'invalid_client' }, 401), unavailable],
  [json({ error: 'invalid_request' }, 400), unavailable],
  [json({}, 500), unavailable],
  [raw('<html>'), unavailable]
]
for (const [row, code] of answers) {
  t.test(`${code}: ${typeof row === 'function' ? 'an answer of its own' : JSON.stringify(row)}`, async t => {
    const fake = await fakeServer(t, typeof row === 'function' ? row : json({ ...good, ...row }))
    await t.rejects(verify(provider(fake), { type: 'access_token', token: 't' }), { code, reason: /./ })
  })
}
