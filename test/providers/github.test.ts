import t from 'tap'
import { github } from '../../src/providers/index.js'
import { fakeServer, json, raw, type FakeServer, type Handler } from '../http/fake-server.js'
import { verify } from './good-tokens.js'

const user = {
  login: 'octocat',
  id: 583231,
  name: 'Mona',
  email: null,
  avatar_url: 'https://avatars.example/u',
  type: 'User'
}
const good = {
  id: 1,
  token: 'gho_s3cret',
  hashed_token: 'h4sh',
  app: { name: 'App', client_id: 'Iv1.client' },
  user,
  scopes: ['read:user'],
  expires_at: null
}

function provider ({ url }: FakeServer) {
  return github({
    clientId: 'Iv1.client',
    clientSecret: 's3cret',
    endpoints: { api: `${url}/api/v3/`, token: `${url}/token` }
  })
}

t.test('an access token is checked as this app\'s own', async t => {
  const fake = await fakeServer(t, json(good))
  const identity = await verify(provider(fake), { type: 'access_token', token: 'gho_s3cret' })
  t.match(identity, {
    subject: '583231',
    clientId: 'Iv1.client',
    email: null,
    emailVerified: 'unknown',
    name: 'Mona',
    picture: user.avatar_url,
    claims: { login: 'octocat', scopes: ['read:user'] }
  })
  t.notMatch(JSON.stringify(identity), /s3cret|h4sh/)
  t.match(fake.requests, [
    {
      method: 'POST',
      body: '{"access_token":"gho_s3cret"}',
      headers: { authorization: `Basic ${btoa('Iv1.client:s3cret')}`, 'user-agent': /./ }
    }
  ])
  t.strictSame(fake.calls, ['POST /api/v3/applications/Iv1.client/token'])
})

t.test('an id beyond 2^53', async t => {
  const fake = await fakeServer(t, raw(JSON.stringify(good).replace('583231', '90071992547409931')))
  t.match(await verify(provider(fake), { type: 'access_token', token: 'gho_x' }), { subject: '90071992547409931' })
})

const rejected = 'AUTH_ERR_GRANT_REJECTED'
const unavailable = 'AUTH_ERR_PROVIDER_UNAVAILABLE'
const answers: Array<[string, Handler, string]> = [
  ['404', json({ message: 'Not Found' }, 404), rejected],
  ['422', json({}, 422), rejected],
  ['another app', json({ ...good, app: { client_id: 'other' } }), rejected],
  ['no app', json({ ...good, app: undefined }), rejected],
  ['no user', json({ ...good, user: null }), rejected],
  ['a user id that is text', json({ ...good, user: { ...user, id: 'octocat' } }), rejected],
  ['a user id that is no integer', json({ ...good, user: { ...user, id: 1.5 } }), rejected],
  ['an expired token', json({ ...good, expires_at: '2020-01-01T00:00:00Z' }), rejected],
  ['expiry junk', json({ ...good, expires_at: 'soon' }), rejected],
  ['401', json({ message: 'Bad credentials' }, 401), unavailable],
  ['403', json({}, 403), unavailable],
  ['429', json({}, 429), unavailable],
  ['500', json({}, 500), unavailable],
  ['a list', json([]), unavailable],
  ['a page', raw('<html>'), unavailable]
]
for (const [name, answer, code] of answers) {
  t.test(`answered with ${name}`, async t => {
    await t.rejects(verify(provider(await fakeServer(t, answer)), { type: 'access_token', token: 'gho_x' }), { code })
  })
}

const codes: Array<[string, Handler, string | null]> = [
  ['a token', json({ access_token: 'gho_new', scope: '', token_type: 'bearer' }), null],
  ['bad_verification_code', json({ error: 'bad_verification_code' }), rejected],
  ['redirect_uri_mismatch', json({ error: 'redirect_uri_mismatch' }), rejected],
  ['incorrect_client_credentials', json({ error: 'incorrect_client_credentials' }), unavailable],
  ['no token', json({}), unavailable],
  ['a form', raw('access_token=gho_new'), unavailable]
]
for (const [name, answer, code] of codes) {
  t.test(`a code, answered with ${name}`, async t => {
    const fake = await fakeServer(t, (request, response, body) =>
      (request.url === '/token' ? answer : json(good))(request, response, body)
    )
    const attempt = verify(provider(fake), {
      type: 'authorization_code',
      token: 'c0de',
      redirectUri: 'app://cb',
      codeVerifier: 'v'
    })
    if (code !== null) return await t.rejects(attempt, { code, reason: /./ })
    t.match(await attempt, { subject: '583231' })
    t.strictSame(Object.fromEntries(new URLSearchParams(fake.requests[0]?.body)), {
      client_id: 'Iv1.client',
      client_secret: 's3cret',
      grant_type: 'authorization_code',
      code: 'c0de',
      redirect_uri: 'app://cb',
      code_verifier: 'v'
    })
    t.equal(fake.requests[1]?.body, '{"access_token":"gho_new"}')
  })
}
