import { mock } from 'node:test'
import t from 'tap'
import type { Permissions } from '../../src/permissions/permissions.js'
import { memoryStore } from '../../src/sessions/stores/memory.js'
import { dialectServer } from './server.js'
import { issuer, masterKey } from '../server.js'

const nameIdentifier = 'http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier'

async function loggedIn (options: Parameters<typeof dialectServer>[0] = {}) {
  const server = await dialectServer({ sessions: {}, ...options })
  const answer = await server.app.inject({ method: 'POST', url: '/login/facebook', payload: { access_token: 'good' } })
  const { authenticationToken: token, refresh_token: refreshToken } = answer.json()
  return { ...server, token, refreshToken, headers: { 'x-zumo-auth': token } }
}

t.test('me: the user, from the access token alone', async t => {
  const permissions: Permissions = {
    permissions: ['todo:read', 'todo:write'],
    claims: { team: 'blue', plan: { seats: 3 } }
  }
  const { app, headers, token } = await loggedIn({ permissions: () => permissions })
  for (const url of ['/.auth/me', '/.auth/me/']) {
    const answer = await app.inject({ url, headers })
    t.equal(answer.statusCode, 200)
    t.equal(answer.headers['cache-control'], 'no-store')
    t.same(answer.json(), [{
      provider_name: 'facebook',
      user_id: 'facebook:10158',
      expires_on: new Date(app.tokenExchange.verify(token).expiresAt * 1000).toISOString(),
      user_claims: [
        { typ: nameIdentifier, val: '10158' },
        { typ: 'level', val: 'authenticated' },
        { typ: 'permission', val: 'todo:read' },
        { typ: 'permission', val: 'todo:write' },
        { typ: 'team', val: 'blue' },
        { typ: 'plan', val: '{"seats":3}' }
      ]
    }])
  }
  const bearer = await app.inject({ url: '/.auth/me', headers: { authorization: `Bearer ${token}` } })
  t.equal(bearer.statusCode, 200)
})

t.test('me: whom a guard would refuse is 401', async t => {
  const { app } = await loggedIn()
  for (const headers of [{}, { 'x-zumo-auth': 'garbage' }, { 'x-zumo-auth': '' }, { 'x-zumo-master': masterKey }]) {
    const answer = await app.inject({ url: '/.auth/me', headers })
    t.equal(answer.statusCode, 401)
    t.match(answer.json(), { code: 401, error: /^Error: / })
    t.match(answer.headers['www-authenticate'], /^Bearer/)
  }
})

t.test('me works for the logins of the application, without sessions and without providers', async t => {
  const { app, token } = await dialectServer({ providers: {} })
  const answer = await app.inject({ url: '/.auth/me', headers: { 'x-zumo-auth': token() } })
  t.match(answer.json(), [{ provider_name: 'custom', user_id: 'facebook:10158' }])
})

t.test('refresh: another token of the same session, the lookup having run again', async t => {
  const reasons: string[] = []
  let level: 'authenticated' | 'admin' = 'authenticated'
  const { app, headers, token, refreshToken } = await loggedIn({
    permissions: (_identity, { reason }) => {
      reasons.push(reason)
      return { level }
    }
  })
  level = 'admin'
  const answer = await app.inject({ url: '/.auth/refresh', headers })
  t.equal(answer.statusCode, 200)
  t.same(Object.keys(answer.json()).sort(), ['authenticationToken', 'user'])
  t.same(answer.json().user, { userId: 'facebook:10158' })
  t.same(reasons, ['login', 'refresh'])
  const before = app.tokenExchange.verify(token)
  const after = app.tokenExchange.verify(answer.json().authenticationToken)
  t.equal(after.sessionId, before.sessionId)
  t.equal(after.level, 'admin')
  t.not(after.tokenId, before.tokenId)
  const rotated = await app.inject({
    method: 'POST',
    url: '/token',
    payload: { grant_type: 'refresh_token', refresh_token: refreshToken }
  })
  t.equal(rotated.statusCode, 200, 'the refresh token is still the current one')
})

t.test('refresh: what is not live is 401', async t => {
  const ended = await loggedIn()
  await ended.app.tokenExchange.revokeSession(String(ended.app.tokenExchange.verify(ended.token).sessionId))
  const rows: Array<[string, Awaited<ReturnType<typeof loggedIn>>, Record<string, string>, number]> = [
    ['ended', ended, ended.headers, 401],
    ['no token', await loggedIn(), {}, 401],
    ['garbage', await loggedIn(), { 'x-zumo-auth': 'garbage' }, 401]
  ]
  for (const [name, { app }, headers, status] of rows) {
    const answer = await app.inject({ url: '/.auth/refresh', headers })
    t.equal(answer.statusCode, status, name)
    t.match(answer.json(), { code: status, error: /^Error: / }, name)
  }
  const own = await dialectServer({ sessions: {} })
  t.equal(
    (await own.app.inject({ url: '/.auth/refresh', headers: { 'x-zumo-auth': own.token() } })).statusCode,
    401,
    'a token without a session'
  )
  const without = await dialectServer()
  t.equal(
    (await without.app.inject({ url: '/.auth/refresh', headers: { 'x-zumo-auth': without.token() } })).statusCode,
    400,
    'a server without sessions'
  )
})

t.test('refresh: a lookup that says no ends the session', async t => {
  let allowed = true
  const { app, headers } = await loggedIn({ permissions: () => allowed ? {} : null })
  allowed = false
  const answer = await app.inject({ url: '/.auth/refresh', headers })
  t.equal(answer.statusCode, 401)
  t.match(answer.json(), { errorCode: 'AUTH_ERR_ACCESS_DENIED' })
  allowed = true
  t.equal((await app.inject({ url: '/.auth/refresh', headers })).statusCode, 401)
  t.equal((await app.inject({ url: '/api/authenticated', headers })).statusCode, 401)
})

t.test('refresh: within the lifetimes of the session, of which the idle one begins again', async t => {
  const { app, headers } = await loggedIn({
    accessTokenLifetime: 3600,
    sessions: { idleLifetime: 600, absoluteLifetime: 1000 }
  })
  const start = Date.now()
  for (const [seconds, status] of [[500, 200], [900, 200], [1001, 401]] as const) {
    mock.timers.enable({ apis: ['Date'], now: start + seconds * 1000 })
    const answer = await app.inject({ url: '/.auth/refresh', headers })
    mock.timers.reset()
    t.equal(answer.statusCode, status, `${seconds} s`)
  }
})

t.test('logout: the session ends, and the browser is sent on', async t => {
  const { app, headers } = await loggedIn({ azureMobileServices: { redirectUris: ['myapp://bye'], paths: ['/bye'] } })
  const rows: Array<[string, Record<string, string>, string | undefined, number]> = [
    ['/.auth/logout', {}, '/.auth/logout/done', 302],
    ['/.auth/logout', { 'x-zumo-auth': 'garbage' }, '/.auth/logout/done', 302],
    ['/.auth/logout?post_logout_redirect_uri=https://evil.example', headers, undefined, 401],
    ['/.auth/logout?post_logout_redirect_uri=//evil.example', headers, undefined, 401],
    ['/.auth/logout?post_logout_redirect_url=/%5Cevil.example', headers, undefined, 401],
    ['/.auth/logout?post_logout_redirect_uri=/out?url=https://evil.example', headers, undefined, 401],
    ['/.auth/logout?post_logout_redirect_uri=/bye/../out', headers, undefined, 401],
    ['/.auth/logout?post_logout_redirect_url=/bye/..%252fout', headers, undefined, 401]
  ]
  for (const [url, sent, location, status] of rows) {
    const answer = await app.inject({ url, headers: sent })
    t.equal(answer.statusCode, status, url)
    t.equal(answer.headers.location, location, url)
    t.equal(answer.headers['cache-control'], 'no-store', url)
  }
  t.equal((await app.inject({ url: '/api/authenticated', headers })).statusCode, 200, 'nothing has ended')
  const ended = await app.inject({ url: '/.auth/logout?post_logout_redirect_uri=myapp://bye', headers })
  t.equal(ended.statusCode, 302)
  t.equal(ended.headers.location, 'myapp://bye')
  t.equal((await app.inject({ url: '/api/authenticated', headers })).statusCode, 401)
  t.equal((await app.inject('/.auth/logout/done')).statusCode, 200)
})

t.test('logout: a path of this server, the public one; without sessions nothing ends', async t => {
  const { app, token } = await dialectServer({
    issuer: `${issuer}/base`,
    prefix: '/v1',
    azureMobileServices: { paths: ['/bye'] }
  })
  const headers = { 'x-zumo-auth': token() }
  t.equal(
    (await app.inject({ url: '/v1/.auth/logout?post_logout_redirect_uri=/bye?a=b', headers })).headers.location,
    '/bye?a=b'
  )
  t.equal((await app.inject({ url: '/v1/.auth/logout/', headers })).headers.location, '/base/v1/.auth/logout/done')
  t.equal((await app.inject({ url: '/api/authenticated', headers })).statusCode, 200)
})

t.test('a store that is down is 503', async t => {
  const store = memoryStore()
  const { app, headers } = await loggedIn({ sessions: { store: { ...store, read: fail, end: fail, revoke: fail } } })
  for (const url of ['/.auth/refresh', '/.auth/logout']) {
    const answer = await app.inject({ url, headers })
    t.equal(answer.statusCode, 503, url)
    t.match(answer.json(), { code: 503, errorCode: 'AUTH_ERR_STORE_UNAVAILABLE' }, url)
    t.ok(answer.headers['retry-after'], url)
  }
  t.equal((await app.inject({ url: '/.auth/me', headers })).statusCode, 200)
})

async function fail (): Promise<never> {
  throw new Error('ECONNREFUSED')
}
