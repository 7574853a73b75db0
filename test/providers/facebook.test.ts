import { createHmac } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import t from 'tap'
import { facebook } from '../../src/providers/index.js'
import { fakeServer, json, raw, type Handler } from '../http/fake-server.js'
import { issuerKey, sign } from '../http/issuer-keys.js'
import { times, verify } from './good-tokens.js'

const appId = '1234567890'
const userId = '10158000000000000001'
const classicToken = 'EAAGclassic'
const key = await issuerKey('k')

const goodDebug = {
  app_id: appId,
  type: 'USER',
  application: 'App',
  expires_at: 0,
  is_valid: true,
  scopes: ['email'],
  user_id: userId
}
const goodMe = {
  id: userId,
  name: 'U',
  email: 'u@example.com',
  picture: { data: { url: 'https://fb.example/p', is_silhouette: false } }
}

function graph (debug: unknown = { data: goodDebug }, me: unknown = goodMe, status = 200): Handler {
  return (request, response, body) =>
    json(request.url?.includes('/debug_token') === true ? debug : me, status)(request, response, body)
}

function provider (url: string, more: { redirect?: object } = {}) {
  const endpoints = { graph: `${url}/v23.0/`, jwks: `${url}/jwks` }
  return facebook({ appId, appSecret: 's3cret', endpoints, ...more })
}

function login (url: string, token = classicToken) {
  return verify(provider(url), { type: 'access_token', token })
}

t.test('a classic token', async t => {
  const fake = await fakeServer(t, graph())
  const token = 'EAAG&appsecret_proof=x#'
  t.strictSame(await login(fake.url, token), {
    subject: userId,
    clientId: appId,
    email: 'u@example.com',
    emailVerified: 'unknown',
    name: 'U',
    picture: 'https://fb.example/p',
    locale: null,
    claims: { ...goodDebug, ...goodMe }
  })
  t.strictSame(fake.calls, ['GET /v23.0/debug_token', 'GET /v23.0/me'])
  t.strictSame(
    fake.requests.map(({ url, headers }) => ({
      ...Object.fromEntries(url.searchParams),
      authorization: headers.authorization
    })),
    [
      { input_token: token, authorization: `Bearer ${appId}|s3cret` },
      {
        fields: 'id,name,email,picture',
        appsecret_proof: createHmac('sha256', 's3cret').update(token).digest('hex'),
        authorization: `Bearer ${token}`
      }
    ]
  )
})

t.test('a member of an answer is a claim, whatever its name', async t => {
  const me = `{"__proto__":{"isAdmin":true},"id":"${userId}"}`
  const fake = await fakeServer(t, (request, response, body) => {
    const answer = request.url?.includes('/debug_token') === true ? json({ data: goodDebug }) : raw(me)
    return answer(request, response, body)
  })
  const { claims = {} } = await login(fake.url)
  t.equal(Object.getPrototypeOf(claims), Object.prototype)
  t.equal(claims.isAdmin, undefined)
  t.strictSame(Object.keys(claims), [...Object.keys(goodDebug), '__proto__', 'id'])
})

// What tracing sees of outgoing calls: @opentelemetry/instrumentation-undici makes spans of these channels.
t.test('no secret stands in a URL', async t => {
  const fake = await fakeServer(t, graph())
  const urls: string[] = []
  const listen = (message: unknown) => {
    const { request } = Object(message)
    urls.push(`${request.origin}${request.path}`)
  }
  const channels = ['create', 'bodySent', 'headers', 'trailers'].map(name => `undici:request:${name}`)
  channels.forEach(channel => subscribe(channel, listen))
  t.teardown(() => channels.forEach(channel => unsubscribe(channel, listen)))
  await login(fake.url)
  const tokens = json({ access_token: classicToken, token_type: 'bearer' })
  fake.answer = (request, response, body) =>
    (request.url === '/v23.0/oauth/access_token' ? tokens : graph())(request, response, body)
  const { redeem } = provider(fake.url, { redirect: {} })
  const answer = { code: 'c0de', redirectUri: 'https://api.example/cb', codeVerifier: 'v3rifier', nonce: 'n' }
  t.match(await redeem?.(answer, { signal: new AbortController().signal }), { subject: userId })
  const paths = urls.map(url => new URL(url))
  t.strictSame(
    new Set(paths.map(({ pathname }) => pathname)),
    new Set(['/v23.0/debug_token', '/v23.0/me', '/v23.0/oauth/access_token'])
  )
  t.notMatch(urls.join('\n'), /s3cret|c0de|v3rifier/)
  // Graph has no other place for the token that it is asked about; the README says how to keep it out of traces.
  const holdToken = paths.filter(({ href }) => href.includes(classicToken))
  t.strictSame(new Set(holdToken.map(({ pathname }) => pathname)), new Set(['/v23.0/debug_token']))
})

t.test('what no header could carry is no token, and nobody is asked', async t => {
  const fake = await fakeServer(t, graph())
  for (const token of ['é', 'a b', 'a\r\nx: y', '\0', '\u20ac', ' a', 'x'.repeat(4097)]) {
    await t.rejects(login(fake.url, token), { code: 'AUTH_ERR_GRANT_REJECTED', reason: 'form' })
  }
  t.strictSame(fake.calls, [])
})

t.test('answers that are good all the same', async t => {
  const rows: Array<[string, Handler, object]> = [
    ['ids as numbers beyond 2^53', (request, response, body) => raw(request.url?.includes('/debug_token') === true
      ? JSON.stringify({ data: goodDebug }).replace(`"${userId}"`, userId).replace(`"${appId}"`, appId)
      : JSON.stringify(goodMe).replace(`"${userId}"`, userId))(request, response, body), { subject: userId }],
    ['no e-mail, no picture', graph(undefined, { id: userId, name: 'U' }), { email: null, picture: null }],
    ['expires later', graph({ data: { ...goodDebug, expires_at: Date.now() / 1000 + 60 } }), { subject: userId }]
  ]
  for (const [name, answer, expected] of rows) {
    const fake = await fakeServer(t, answer)
    t.match(await login(fake.url), expected, name)
  }
})

const error = (code: number, more: object = {}) => ({
  error: { message: 'the secret text of Facebook', type: 'OAuthException', code, ...more }
})

const rejected: Array<[string, Handler, reason: string]> = [
  ['not valid', graph({ data: { is_valid: false, error: { code: 190 }, scopes: [] } }), 'is_valid'],
  ['valid as a string', graph({ data: { ...goodDebug, is_valid: 'true' } }), 'is_valid'],
  ['of another app', graph({ data: { ...goodDebug, app_id: '999' } }), 'app_id'],
  ['without an app', graph({ data: { ...goodDebug, app_id: undefined } }), 'app_id'],
  ['of a page', graph({ data: { ...goodDebug, type: 'PAGE' } }), 'type'],
  ['of an app', graph({ data: { ...goodDebug, type: 'APP', user_id: undefined } }), 'type'],
  ['expired', graph({ data: { ...goodDebug, expires_at: Date.now() / 1000 - 1 } }), 'expires_at'],
  ['expiry junk', graph({ data: { ...goodDebug, expires_at: 'never' } }), 'expires_at'],
  ['user id junk', graph({ data: { ...goodDebug, user_id: 'me' } }), 'user_id'],
  ['no user id', graph({ data: { ...goodDebug, user_id: undefined } }), 'user_id'],
  ['of another user', graph(undefined, { ...goodMe, id: '10158000000000000002' }), 'me.id'],
  ['nobody', graph(undefined, {}), 'me.id'],
  ['error 190', graph(error(190), undefined, 400), 'error 190'],
  ['error 190 at /me', graph(undefined, error(190)), 'error 190'],
  ['error 100: of another app', graph(error(100), undefined, 400), 'error 100'],
  [
    'a code that is none, of which the log repeats nothing',
    graph({ error: { code: 'ada@example.com', message: 'm' } }, undefined, 400),
    'error without a code'
  ]
]
for (const [name, answer, reason] of rejected) {
  t.test(`rejected: ${name}`, async t => {
    const fake = await fakeServer(t, answer)
    await t.rejects(login(fake.url), { code: 'AUTH_ERR_GRANT_REJECTED', reason })
  })
}

const unavailable: Array<[string, Handler, reason: string | RegExp]> = [
  ...[1, 2, 4, 17, 341, 613].map((code): [string, Handler, string] => [
    `error ${code}`,
    graph(error(code), undefined, 400),
    `error ${code}`
  ]),
  ['error 4 at /me', graph(undefined, error(4)), 'error 4'],
  ['an error that passes', graph(error(9999, { is_transient: true }), undefined, 400), 'error 9999'],
  [
    'a desktop app',
    graph(error(190, { message: 'App is configured as a desktop app' }), undefined, 400),
    /configuration: .*desktop app/
  ],
  ['an app id or secret that Facebook does not know', graph(error(101), undefined, 400), /configuration: error 101/],
  ['status 500', graph(error(190), undefined, 500), 'status 500'],
  ['status 404 with a page', raw('<html>', 404), 'status 404'],
  ['a page', raw('<html>'), 'status 200, the answer is not JSON'],
  ['no data', graph({}), 'debug_token: no data'],
  ['a list', graph([]), 'status 200'],
  ['a redirect', raw('', 302, { location: 'http://127.0.0.1:9' }), 'status 302']
]
for (const [name, answer, reason] of unavailable) {
  t.test(`unavailable: ${name}`, async t => {
    const fake = await fakeServer(t, answer)
    await t.rejects(login(fake.url), { code: 'AUTH_ERR_PROVIDER_UNAVAILABLE', reason })
  })
}

t.test('Limited Login has the same subject, as id_token and as access_token, and never asks Graph', async t => {
  const fake = await fakeServer(t, json({ keys: [key.jwk] }))
  for (const iss of ['https://www.facebook.com', 'https://facebook.com']) {
    const token = await sign(key, {
      iss,
      aud: appId,
      sub: userId,
      nonce: 'n',
      email: 'u@example.com',
      email_verified: true,
      ...times()
    })
    for (const type of ['id_token', 'access_token'] as const) {
      t.match(await verify(provider(fake.url), { type, token, nonce: 'n' }), {
        subject: userId,
        clientId: appId,
        emailVerified: 'unknown'
      })
      await t.rejects(verify(provider(fake.url), { type, token, nonce: 'm' }), {
        code: 'AUTH_ERR_GRANT_REJECTED',
        reason: 'nonce'
      })
    }
  }
  t.strictSame(new Set(fake.calls), new Set(['GET /jwks']))
})

t.test('a classic token carries no nonce', async t => {
  const fake = await fakeServer(t, graph())
  const strict = facebook({ appId, appSecret: 's3cret', nonce: 'required', endpoints: { graph: fake.url } })
  await t.rejects(verify(strict, { type: 'access_token', token: classicToken, nonce: 'n' }), {
    code: 'AUTH_ERR_GRANT_REJECTED'
  })
  t.strictSame(fake.calls, [])
})

t.test('a nonce that is required needs the scope that brings it', t => {
  const options = { appId, appSecret: 's3cret', nonce: 'required' } as const
  t.throws(() => facebook({ ...options, redirect: {} }), {
    code: 'AUTH_ERR_OPTION_INVALID', message: /redirect needs the scope openid .*'openid public_profile email'/
  })
  t.doesNotThrow(() => facebook({ ...options, redirect: { scope: 'openid public_profile email' } }))
  t.end()
})

t.test('the deadline covers both calls', async t => {
  const controller = new AbortController()
  const fake = await fakeServer(t, (request, response, body) => {
    if (request.url?.includes('/me') === true) controller.abort()
    else graph()(request, response, body)
  })
  const grant = { type: 'access_token', token: classicToken } as const
  await t.rejects(provider(fake.url).verify(grant, controller), { code: 'AUTH_ERR_PROVIDER_UNAVAILABLE' })
})
