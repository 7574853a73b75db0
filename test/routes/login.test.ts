import t, { type Test } from 'tap'
import type { InjectOptions, LightMyRequestResponse } from 'fastify'
import rateLimit from '@fastify/rate-limit'
import { errors } from '../../src/errors.js'
import { decodeClaims, loginServer } from './login-server.js'
import { fastifyBefore, issuer, ownProvider } from '../server.js'

const json = { 'content-type': 'application/json' }
const form = { 'content-type': 'application/x-www-form-urlencoded' }
const malformed = { statusCode: 400, code: 'AUTH_ERR_REQUEST_INVALID', error: 'Bad Request' }
// Of ours, and nothing of the request.
const sentences = [
  'the body cannot be parsed',
  'exactly one of access_token, id_token, authorization_code is needed',
  'the provider does not take authorization_code',
  ...['access_token', 'nonce', 'redirect_uri', 'code_verifier'].map(name => `${name} must be a non-empty string`)
].map(sentence => `The request is malformed: ${sentence}`)

function isRefusal (t: Test, answer: LightMyRequestResponse, status: number, code: string, name: string): void {
  t.match(answer.json(), { statusCode: status, code, error: String, message: String }, name)
  t.same(Object.keys(answer.json()).sort(), ['code', 'error', 'message', 'statusCode'], `${name}: nothing else`)
  t.equal(answer.statusCode, status, name)
  t.equal(answer.headers['cache-control'], 'no-store', `${name}: no-store`)
  t.equal(answer.headers['www-authenticate'], status === 401 ? 'Bearer' : undefined, `${name}: challenge`)
  if (status === 503) t.match(answer.headers['retry-after'], /^[1-9]\d*$/, `${name}: Retry-After`)
  else t.notOk('retry-after' in answer.headers, `${name}: no Retry-After`)
}

t.test('200: an access token and the user, as JSON that nobody stores', async t => {
  const { app, login } = await loginServer({
    providers: {
      own: ownProvider(() => ({ subject: '10158', clientId: 'app-1', email: 'ada@example.com', name: 'Ada' }))
    },
    permissions: () => ({ permissions: ['todo:read'] })
  })
  const answer = await login({ access_token: 'good' })
  t.equal(answer.statusCode, 200)
  t.equal(answer.headers['cache-control'], 'no-store')
  t.match(answer.headers['content-type'], /^application\/json/)
  const { access_token: token, ...rest } = answer.json()
  t.same(rest, {
    token_type: 'Bearer',
    expires_in: 3600,
    user: { userId: 'own:10158', provider: 'own', level: 'authenticated', permissions: ['todo:read'] },
    authenticationToken: token
  })
  const { iat, exp, jti, auth_time: loggedInAt, ...claims } = decodeClaims(token)
  t.same(
    claims,
    {
      iss: issuer,
      aud: issuer,
      sub: 'own:10158',
      client_id: 'app-1',
      idp: 'own',
      level: 'authenticated',
      permissions: ['todo:read']
    },
    'no e-mail, no name'
  )
  t.equal(Number(exp) - Number(iat), 3600)
  t.match(jti, /^[\w-]{16,}$/)
  t.type(loggedInAt, 'number')
  await app.close()
})

t.test('the token opens the routes of its level, and the lifetime is as configured', async t => {
  const { app, login } = await loginServer({ accessTokenLifetime: 60 })
  app.get('/me', { onRequest: app.requireUser() }, request => ({
    id: request.auth.user?.id,
    provider: request.auth.user?.provider,
    subject: request.auth.user?.subject
  }))
  const { access_token: token, expires_in: lifetime } = (await login({ access_token: 'good' })).json()
  t.equal(lifetime, 60)
  t.same((await app.inject({ url: '/me', headers: { authorization: `Bearer ${token}` } })).json(), {
    id: 'own:10158',
    provider: 'own',
    subject: '10158'
  })
  await app.close()
})

t.test('without a client id the client is the audience, and two logins make two tokens', async t => {
  for (const clientId of [undefined, null, '']) {
    const { app, login } = await loginServer({
      audience: 'https://other.example.com',
      providers: { own: ownProvider(() => ({ subject: '1', clientId })) }
    })
    const first = (await login({ access_token: 'good' })).json().access_token
    const second = (await login({ access_token: 'good' })).json().access_token
    t.equal(decodeClaims(first).client_id, 'https://other.example.com')
    t.equal(app.tokenExchange.verify(first).id, 'own:1', 'a token of ours is one that we accept')
    t.not(decodeClaims(first).jti, decodeClaims(second).jti)
    await app.close()
  }
})

t.test('each kind of grant reaches the provider as it was sent', async t => {
  const seen: unknown[] = []
  const own = ownProvider(grant => { seen.push(grant); return { subject: '1' } })
  const { app, login } = await loginServer({ providers: { own } })
  const rows: Array<[object, object]> = [
    [{ access_token: 'a b+c%26' }, { type: 'access_token', token: 'a b+c%26' }],
    [
      { id_token: 'e.y.j', nonce: 'n' },
      { type: 'id_token', token: 'e.y.j', nonce: 'n' }
    ],
    [
      { authorization_code: 'c', redirect_uri: 'app://cb', code_verifier: 'v'.repeat(43) },
      { type: 'authorization_code', token: 'c', redirectUri: 'app://cb', codeVerifier: 'v'.repeat(43) }
    ],
    [
      {
        access_token: 'x',
        grant_type: 'y',
        client_id: 'z',
        constructor: 'c',
        nested: { access_token: 'no' },
        list: [1, null]
      },
      { type: 'access_token', token: 'x' }
    ]
  ]
  for (const [body, grant] of rows) {
    t.equal((await login(body)).statusCode, 200)
    t.same(seen.pop(), grant, 'as JSON')
    const text = new URLSearchParams(
      Object.fromEntries(Object.entries(body).map(([name, value]) => [name, String(value)]))
    ).toString()
    t.equal((await login(text, { headers: form })).statusCode, 200)
    t.same(seen.pop(), grant, 'as a form')
  }
  await app.close()
})

t.test('400: a body that is malformed, or is no single grant of a kind that the provider takes', async t => {
  let asked = 0
  const own = ownProvider(() => { asked++; return { subject: '1' } }, { accepts: ['access_token', 'id_token'] })
  const { app, login } = await loginServer({ providers: { own } })
  const values = [null, 1, 0, true, false, '', [], ['good'], {}, { access_token: 'good' }]
  const rows: Array<[string, InjectOptions['payload'], Record<string, string>]> = [
    ['no body', undefined, {}],
    ['an empty body', '', json],
    ['an empty form', '', form],
    ...[
      '{',
      'null',
      '1',
      '"good"',
      '[]',
      '[{"access_token":"good"}]',
      'access_token=good',
      '{"access_token":"good"}x',
      "{'access_token':'good'}",
      '{"access_token":"good",}',
      '{"access_token":"go\nod"}',
      '{"access_token":"\\x"}'
    ].map(text => [`JSON ${text}`, text, json] as [string, string, typeof json]),
    ['no members', '{}', json],
    ['an unknown member', '{"token":"good"}', json],
    ['another spelling', '{"Access_Token":"good"}', json],
    ['two grants', '{"access_token":"good","id_token":"good"}', json],
    ['two grants, one of null', '{"access_token":"good","id_token":null}', json],
    ['two grants, one of a kind not taken', '{"access_token":"good","authorization_code":"c"}', json],
    ['a kind not taken', '{"authorization_code":"good"}', json],
    ...values.map(
      value =>
        [`access_token ${JSON.stringify(value)}`, JSON.stringify({ access_token: value }), json] as [
          string,
          string,
          typeof json
        ]
    ),
    ...['nonce', 'redirect_uri', 'code_verifier'].flatMap(name =>
      values.map(
        value =>
          [`${name} ${JSON.stringify(value)}`, JSON.stringify({ access_token: 'good', [name]: value }), json] as [
            string,
            string,
            typeof json
          ]
      )
    ),
    ['a member twice', '{"access_token":"good","access_token":"good"}', json],
    ['a member twice, a colon in a string', '{"access_token" :"good","nonce":"\\":","access_token":"evil"}', json],
    ['a member twice, an address in a string', '{"access_token":"x:/","access_token":"good"}', json],
    ['a member twice, once escaped', '{"access_token":"good","\\u0061ccess_token":"evil"}', json],
    ['an unknown member twice', '{"x":"{\\"[","x":2,"access_token":"good"}', json],
    ['in a prototype', '{"__proto__":{"access_token":"good"}}', json],
    ['in a constructor', '{"constructor":{"prototype":{"access_token":"good"}}}', json],
    ['bytes that are not UTF-8', Buffer.from([...Buffer.from('{"access_token":"'), 0xff, ...Buffer.from('"}')]), json],
    [
      'an overlong encoding',
      Buffer.from([...Buffer.from('{"access_token":"'), 0xc0, 0xaf, ...Buffer.from('"}')]),
      json
    ],
    [
      'Latin-1 by charset',
      Buffer.from('{"access_token":"\u00e9"}', 'latin1'),
      { 'content-type': 'application/json; charset=iso-8859-1' }
    ],
    [
      'UTF-16',
      Buffer.from('{"access_token":"good"}', 'utf16le'),
      { 'content-type': 'application/json; charset=utf-16' }
    ],
    ['a form twice', 'access_token=good&access_token=good', form],
    ['a form twice, once escaped', 'access_token=good&access%5Ftoken=evil', form],
    ['a form of two grants', 'access_token=good&id_token=good', form],
    ['a form without a value', 'access_token=', form],
    ['a form of brackets', 'access_token[]=good', form],
    ['a form with a query mark', '?access_token=good', form],
    ['a form with a broken escape', 'access_token=%zz', form],
    ['a form with half an escape', 'access_token=good%', form],
    ['a form whose escapes are not UTF-8', 'access_token=%ff', form],
    ['JSON as a form', '{"access_token":"good"}', form]
  ]
  const said = new Set<string>()
  for (const [name, payload, headers] of rows) {
    const answer = await login(payload, { headers })
    const { message, ...rest } = answer.json()
    t.same(rest, malformed, name)
    said.add(message)
    isRefusal(t, answer, 400, 'AUTH_ERR_REQUEST_INVALID', name)
  }
  t.same([...said].sort(), [...sentences].sort(), 'each is told what is wrong, in a sentence of ours')
  t.equal(asked, 0, 'the provider was never asked')
  await app.close()
})

t.test('strict is not hostile: what may be sent', async t => {
  const { app, login } = await loginServer()
  const rows: Array<[string, string | Buffer, Record<string, string>]> = [
    ['a charset', '{"access_token":"good"}', { 'content-type': 'application/json; charset=utf-8' }],
    [
      'a form with a charset',
      'access_token=good',
      { 'content-type': 'application/x-www-form-urlencoded; charset=UTF-8' }
    ],
    ['blanks', ' \r\n\t{ "access_token" : "good" } ', json],
    ['a byte order mark, which RFC 8259, 8.1 lets a reader ignore', '\ufeff{"access_token":"good"}', json],
    ['escapes', '{"\\u0061ccess_token":"g\\u006fod"}', json],
    [
      'a member of the same name further down',
      '{"access_token":"good","x":{"access_token":1,"y":[{"access_token":2,"access_token":3}]}}',
      json
    ],
    ['quotes and brackets in texts', '{"x":"\\"}]{[\\\\","access_token":"good"}', json],
    ['a prototype beside it', '{"__proto__":{"access_token":"evil"},"constructor":1,"access_token":"good"}', json],
    ['depth', `{"x":${'['.repeat(15_000)}${']'.repeat(15_000)},"access_token":"good"}`, json],
    ['32 KiB', `{"access_token":"good","x":"${'\\\\'.repeat(16_368 - 16)}"}`.padEnd(32 * 1024), json]
  ]
  for (const [name, payload, headers] of rows) {
    const answer = await login(payload, { headers })
    t.equal(answer.statusCode, 200, name)
    t.equal(answer.json().user?.userId, 'own:10158', name)
  }
  t.equal(({} as Record<string, unknown>).access_token, undefined, 'no prototype was touched')
  await app.close()
})

t.test('a content type in capitals', { skip: fastifyBefore('5.1.0', 'content types in any case') }, async t => {
  const { app, login } = await loginServer()
  const answer = await login('{"access_token":"good"}', { headers: { 'content-type': 'Application/JSON' } })
  t.equal(answer.statusCode, 200)
  t.equal(answer.json().user?.userId, 'own:10158')
  await app.close()
})

t.test('413 and 415 are Fastify\'s', async t => {
  const { app, login } = await loginServer()
  const rows: Array<[string, InjectOptions['payload'], Record<string, string>, number, string]> = [
    ['a byte too many', '{"access_token":"good"}'.padEnd(32 * 1024 + 1), json, 413, 'FST_ERR_CTP_BODY_TOO_LARGE'],
    ['a form too large', `access_token=${'x'.repeat(40_000)}`, form, 413, 'FST_ERR_CTP_BODY_TOO_LARGE'],
    ['text', '{"access_token":"good"}', { 'content-type': 'text/plain' }, 415, 'FST_ERR_CTP_INVALID_MEDIA_TYPE'],
    ['text without a body', undefined, { 'content-type': 'text/plain' }, 415, 'FST_ERR_CTP_INVALID_MEDIA_TYPE'],
    ['no type', Buffer.from('{"access_token":"good"}'), {}, 415, 'FST_ERR_CTP_INVALID_MEDIA_TYPE'],
    [
      'a JSON family',
      '{"access_token":"good"}',
      { 'content-type': 'application/merge-patch+json' },
      415,
      'FST_ERR_CTP_INVALID_MEDIA_TYPE'
    ],
    [
      'two types',
      '{"access_token":"good"}',
      { 'content-type': 'application/json, text/plain' },
      415,
      'FST_ERR_CTP_INVALID_MEDIA_TYPE'
    ],
    ['a file', '--x--', { 'content-type': 'multipart/form-data; boundary=x' }, 415, 'FST_ERR_CTP_INVALID_MEDIA_TYPE'],
    ['junk', '{}', { 'content-type': '/' }, 415, 'FST_ERR_CTP_INVALID_MEDIA_TYPE']
  ]
  for (const [name, payload, headers, status, code] of rows) {
    isRefusal(t, await login(payload, { headers }), status, code, name)
  }
  await app.close()
})

t.test('404: a provider that nobody registered', async t => {
  const { app, login } = await loginServer()
  for (const name of [
    'facebook',
    'OWN',
    '__proto__',
    'constructor',
    'toString',
    'hasOwnProperty',
    '__defineGetter__',
    'own%2f',
    'own%00',
    'own%20',
    '%F0%9F%98%80',
    '..%2fown',
    'own;x=1',
    ''
  ]) {
    isRefusal(
      t,
      await login({ access_token: 'good' }, { url: `/login/${name}` }),
      404,
      'AUTH_ERR_PROVIDER_UNKNOWN',
      name
    )
  }
  t.equal(
    (await login({ access_token: 'good' }, { url: '/login/%6fwn' })).statusCode,
    200,
    'an escaped letter is that letter'
  )
  await app.close()
})

t.test('names that an object inherits are names of providers like any other', async t => {
  const providers = Object.fromEntries(['constructor', '__proto__'].map(name => [name, ownProvider()]))
  const { app, login } = await loginServer({ providers })
  for (const name of ['constructor', '__proto__']) {
    t.equal((await login({ access_token: 'good' }, { url: `/login/${name}` })).json().user.userId, `${name}:10158`)
  }
  await app.close()
})

t.test('each way to be refused has its row', async t => {
  const hang = () => new Promise<never>(() => {})
  const rows: Array<[string, Parameters<typeof loginServer>[0], number, string]> = [
    [
      'the provider says no',
      {
        providers: {
          own: ownProvider(() => {
            throw new errors.GrantRejectedError('aud')
          })
        }
      },
      401,
      'AUTH_ERR_GRANT_REJECTED'
    ],
    [
      'the provider is down',
      {
        providers: {
          own: ownProvider(() => {
            throw new errors.ProviderUnavailableError('ECONNREFUSED')
          })
        }
      },
      503,
      'AUTH_ERR_PROVIDER_UNAVAILABLE'
    ],
    [
      'the provider is slow',
      { providerTimeout: 1, providers: { own: ownProvider(hang) } },
      503,
      'AUTH_ERR_PROVIDER_UNAVAILABLE'
    ],
    [
      'the provider answers junk',
      { providers: { own: ownProvider(() => 'ada') } },
      503,
      'AUTH_ERR_PROVIDER_UNAVAILABLE'
    ],
    ['the lookup denies', { permissions: () => null }, 403, 'AUTH_ERR_ACCESS_DENIED'],
    [
      'the lookup throws',
      {
        permissions: () => {
          throw new Error('db')
        }
      },
      503,
      'AUTH_ERR_LOOKUP_FAILED'
    ],
    ['the lookup hangs', { lookupTimeout: 1, permissions: hang }, 503, 'AUTH_ERR_LOOKUP_FAILED']
  ]
  for (const [name, options, status, code] of rows) {
    const { app, login } = await loginServer(options)
    isRefusal(t, await login({ access_token: 'good' }), status, code, name)
    await app.close()
  }
})

t.test('too many: the application\'s rate limit holds for the login, and its answer is not stored either', async t => {
  const { app, login } = await loginServer(
    { rateLimit: { max: 1, timeWindow: 60_000 } },
    { prepare: app => app.register(rateLimit, { global: false }) }
  )
  t.equal((await login({ access_token: 'good' })).statusCode, 200)
  const answer = await login({ access_token: 'good' })
  t.equal(answer.statusCode, 429)
  t.equal(answer.headers['cache-control'], 'no-store')
  await app.close()
})

t.test('other methods have no route', async t => {
  const { app } = await loginServer()
  for (const method of ['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const) {
    t.equal((await app.inject({ method, url: '/login/own' })).statusCode, 404, method)
  }
  await app.close()
})
