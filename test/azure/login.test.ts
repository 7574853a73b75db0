import t from 'tap'
import type { GrantType } from '../../src/identity.js'
import { fastifyBefore, ownProvider } from '../server.js'
import { dialectServer, own } from './server.js'

const json = { 'content-type': 'application/json' }
const form = { 'content-type': 'application/x-www-form-urlencoded' }
const good = JSON.stringify({ access_token: 'good' })

function taking (...accepts: GrantType[]) {
  return ownProvider(undefined, { accepts })
}

const withRouterOptions = { skip: fastifyBefore('5.5.0', 'routerOptions') }

t.test('a login answers the user and the token, on the paths of both generations', async t => {
  const { app } = await dialectServer()
  const urls = [
    '/login/facebook',
    '/login/FaceBook',
    '/login/facebook/',
    '/.auth/login/facebook',
    '/.auth/login/facebook/',
    '/.auth/login/FACEBOOK',
    '/login/facebook?access_token=other&provider=x'
  ]
  for (const url of urls) {
    const answer = await app.inject({ method: 'POST', url, payload: { access_token: 'good' } })
    t.equal(answer.statusCode, 200, url)
    t.equal(answer.headers['cache-control'], 'no-store', url)
    const { user, authenticationToken, access_token: accessToken } = answer.json()
    t.equal(user.userId, 'facebook:10158', url)
    t.equal(authenticationToken, accessToken, url)
    const me = await app.inject({ url: '/api/authenticated', headers: { 'x-zumo-auth': authenticationToken } })
    t.equal(me.statusCode, 200, url)
  }
})

t.test('the login without a name is that of the Microsoft account', async t => {
  const rows: Array<[string[], string | null]> = [
    [['microsoft', 'microsoftaccount'], 'microsoftaccount'],
    [['facebook', 'microsoft'], 'microsoft'],
    [['facebook'], null]
  ]
  for (const [names, expected] of rows) {
    const { app } = await dialectServer({ providers: Object.fromEntries(names.map(name => [name, own])) })
    for (const url of ['/login', '/login/', '/.auth/login', '/.auth/login/']) {
      const answer = await app.inject({ method: 'POST', url, payload: { authenticationToken: 'good' } })
      t.equal(answer.statusCode, expected === null ? 401 : 200, `${url} of ${names.join()}`)
      if (expected !== null) t.equal(answer.json().user.provider, expected)
    }
  }
})

t.test('the member that counts is the first of a kind that the provider takes', async t => {
  const rows: Array<[GrantType[], object, number]> = [
    [['access_token'], { access_token: 'good' }, 200],
    [['id_token'], { id_token: 'good' }, 200],
    [['id_token'], { authenticationToken: 'good' }, 200],
    [['id_token'], { authentication_token: 'good' }, 200],
    [['authorization_code'], { authorization_code: 'good' }, 200],
    [['id_token', 'authorization_code'], { authorization_code: 'bad', id_token: 'good' }, 200],
    [['id_token', 'access_token'], { access_token: 'bad', authenticationToken: 'good' }, 200],
    [['access_token'], { access_token: 'good', authenticationToken: 'bad', id_token: 7 }, 200],
    [['authorization_code'], { access_token: 'bad', authorization_code: 'good' }, 200],
    [
      ['access_token'],
      {
        access_token: 'good',
        expires_in: 3600,
        refresh_token: null,
        access_token_secret: ['x'],
        user_id: 'mallory',
        provider: {}
      },
      200
    ],
    [['id_token'], { access_token: 'good' }, 401],
    [['access_token'], {}, 401],
    [['access_token'], { access_token: '' }, 401],
    [['access_token'], { access_token: 5 }, 401],
    [['access_token'], { access_token: ['good'] }, 401],
    [['access_token'], { access_token: 'bad' }, 401]
  ]
  for (const [accepts, payload, status] of rows) {
    const { app } = await dialectServer({ providers: { facebook: taking(...accepts) } })
    const answer = await app.inject({ method: 'POST', url: '/login/facebook', payload })
    t.equal(answer.statusCode, status, `${accepts.join()} ${JSON.stringify(payload)}`)
  }
})

t.test('bodies in the forms that the SDKs send', async t => {
  const { app } = await dialectServer()
  const rows: Array<[string, Record<string, string>, string | undefined, readonly number[]]> = [
    ['JSON', json, good, [200]],
    ['JSON with a charset', { 'content-type': 'application/json; charset=utf-8' }, good, [200]],
    ['a form', form, 'access_token=good&expires_in=12', [200]],
    ['no content type at all', {}, good, [200]],
    ['text/plain', { 'content-type': 'text/plain' }, good, [401, 415]],
    ['XML', { 'content-type': 'text/xml' }, '<a/>', [401, 415]],
    ['no body, no content type', {}, undefined, [401]],
    ['no content type, malformed', {}, '{', [400]],
    ['an array', json, '[{"access_token":"good"}]', [401]],
    ['an empty form', form, '', [401]],
    ['malformed', json, '{"access_token":', [400]],
    ['a string', json, '"good"', [400]],
    ['a number', json, '5', [400]],
    ['null', json, 'null', [400]],
    ['empty', json, '', [400]],
    ['too large', json, JSON.stringify({ access_token: 'x'.repeat(33_000) }), [413]]
  ]
  for (const [name, headers, payload, statuses] of rows) {
    const answer = await app.inject({
      method: 'POST',
      url: '/login/facebook',
      headers,
      ...(payload !== undefined && { payload })
    })
    t.ok(statuses.includes(answer.statusCode), `${name}: ${answer.statusCode}`)
    t.equal(answer.headers['cache-control'], 'no-store', name)
    if (answer.statusCode === 200) continue
    t.equal(answer.json().code, answer.statusCode, name)
    t.match(answer.json().error, /^Error: .+/, name)
  }
})

t.test('every refusal is 401; an outage is 503', async t => {
  const rows: Array<[string, string, object, number, string]> = [
    ['an unknown provider', '/login/nobody', {}, 401, 'AUTH_ERR_PROVIDER_UNKNOWN'],
    ['done is no provider', '/login/done', {}, 401, 'AUTH_ERR_PROVIDER_UNKNOWN'],
    ['the lookup says no', '/login/facebook', { permissions: () => null }, 401, 'AUTH_ERR_ACCESS_DENIED'],
    [
      'the lookup fails',
      '/login/facebook',
      {
        permissions: () => {
          throw new Error('secret')
        }
      },
      503,
      'AUTH_ERR_LOOKUP_FAILED'
    ],
    [
      'the provider is down',
      '/login/facebook',
      {
        providers: {
          facebook: ownProvider(() => {
            throw new Error('down')
          })
        }
      },
      503,
      'AUTH_ERR_PROVIDER_UNAVAILABLE'
    ],
    [
      'the provider refuses',
      '/login/facebook',
      {
        providers: {
          facebook: ownProvider(() => {
            throw Object.assign(new Error('no'), { code: 'AUTH_ERR_GRANT_REJECTED' })
          })
        }
      },
      401,
      'AUTH_ERR_GRANT_REJECTED'
    ]
  ]
  for (const [name, url, options, status, errorCode] of rows) {
    const { app } = await dialectServer(options)
    const answer = await app.inject({ method: 'POST', url, payload: { access_token: 'good' } })
    t.equal(answer.statusCode, status, name)
    t.match(answer.json(), { code: status, error: /^Error: /, errorCode }, name)
    t.notMatch(answer.body, /secret|down/, name)
    if (status === 401) t.match(answer.headers['www-authenticate'], /^Bearer/, name)
    if (status === 503) t.match(answer.headers['retry-after'], /^\d+$/, name)
  }
})

t.test('credentials on a login are not looked at, nor is a method override', async t => {
  const { app } = await dialectServer({ defaultLevel: 'application' })
  const headers = {
    'x-zumo-auth': 'garbage',
    'x-zumo-application': 'wrong',
    'x-zumo-master': 'wrong',
    authorization: 'Bearer  two',
    'x-http-method-override': 'GET'
  }
  const answer = await app.inject({
    method: 'POST',
    url: '/login/facebook',
    headers,
    payload: { access_token: 'good' }
  })
  t.equal(answer.statusCode, 200)
  const other = await app.inject({ method: 'PUT', url: '/login/facebook', headers, payload: { access_token: 'good' } })
  t.ok([404, 405].includes(other.statusCode))
})

t.test('a router that ignores case and slashes serves the same paths, in capitals, too', withRouterOptions, async t => {
  const { app } = await dialectServer(
    {},
    { fastify: { routerOptions: { caseSensitive: false, ignoreTrailingSlash: true } } }
  )
  for (const url of ['/LOGIN/Facebook', '/login/facebook/', '/.AUTH/login/facebook']) {
    t.equal((await app.inject({ method: 'POST', url, payload: { access_token: 'good' } })).statusCode, 200, url)
  }
})

t.test('the paths are below prefix', async t => {
  const { app } = await dialectServer({ prefix: '/v1' })
  t.equal(
    (await app.inject({ method: 'POST', url: '/v1/login/facebook', payload: { access_token: 'good' } })).statusCode,
    200
  )
  t.equal(
    (await app.inject({ method: 'POST', url: '/login/facebook', payload: { access_token: 'good' } })).statusCode,
    404
  )
})

t.test('without the option nothing of it exists', async t => {
  const { app } = await dialectServer({ azureMobileServices: false })
  for (const url of ['/.auth/login/facebook', '/login/facebook/', '/login']) {
    t.equal((await app.inject({ method: 'POST', url, payload: { access_token: 'good' } })).statusCode, 404, url)
  }
  const unknown = await app.inject({ method: 'POST', url: '/login/nobody', payload: { access_token: 'good' } })
  t.match(unknown.json(), { statusCode: 404, code: 'AUTH_ERR_PROVIDER_UNKNOWN' })
})
