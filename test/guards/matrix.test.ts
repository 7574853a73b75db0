import t from 'tap'
import type { Level } from '../../src/index.js'
import { applicationKey, ask, masterKey, startApp, type Outcome } from '../server.js'
import { encode, forge, goodClaims, secretKey, testKey } from '../tokens/forge.js'

const key = secretKey('d41f8cd98f00b204e9800998ecf8427e-matrix')
const app = await startApp(t, { keys: [key.option] })
const levels: readonly Level[] = ['everyone', 'application', 'authenticated', 'admin']
for (const level of levels) app.get(`/${level}`, { onRequest: app.requireLevel(level) }, request => request.auth)
app.get('/permission', { onRequest: app.requirePermission('todo:read', 'todo:write') }, request => request.auth)
app.get('/any', { onRequest: app.requireAnyPermission('todo:read', 'todo:write') }, request => request.auth)
app.get('/user', { onRequest: app.requireUser() }, request => request.auth)
await app.ready()

type Credentials = Record<string, string>
const now = Math.floor(Date.now() / 1000)
const issue = (level: 'authenticated' | 'admin', permissions: string[] = []): string =>
  app.tokenExchange.issue({ userId: 'ada', level, permissions }).access_token
const user = issue('authenticated')
const admin = issue('admin')
const keyHeader: Credentials = { 'x-zumo-application': applicationKey }
const masterHeader: Credentials = { 'x-zumo-master': masterKey }
const wrong: Credentials = { 'x-zumo-application': 'application-key-of-eve', 'x-zumo-master': 'short' }

const pass: Outcome = { status: 200, code: undefined, challenge: undefined }
const missing: Outcome = { status: 401, code: 'AUTH_ERR_CREDENTIAL_MISSING', challenge: 'Bearer' }
const level: Outcome = {
  status: 403,
  code: 'AUTH_ERR_LEVEL_INSUFFICIENT',
  challenge: 'Bearer error="insufficient_scope"'
}
const permission: Outcome = {
  status: 403,
  code: 'AUTH_ERR_PERMISSION_MISSING',
  challenge: 'Bearer error="insufficient_scope"'
}
const invalid: Outcome = { status: 401, code: 'AUTH_ERR_TOKEN_INVALID', challenge: 'Bearer error="invalid_token"' }
const expired: Outcome = { ...invalid, code: 'AUTH_ERR_TOKEN_EXPIRED' }

const carriers: Array<[string, (token: string) => Credentials]> = [
  ['Authorization', token => ({ authorization: `Bearer ${token}` })],
  ['X-ZUMO-AUTH', token => ({ 'x-zumo-auth': token })],
  ['both, with the same token', token => ({ authorization: `Bearer ${token}`, 'x-zumo-auth': token })]
]

// The table of section 3, and what follows from its lines.
const withoutToken: Array<[string, Credentials, Outcome[]]> = [
  ['none', {}, [pass, missing, missing, missing]],
  ['application key', keyHeader, [pass, pass, missing, missing]],
  ['master key', masterHeader, [pass, pass, pass, pass]],
  ['application key and master key', { ...keyHeader, ...masterHeader }, [pass, pass, pass, pass]],
  ['wrong keys', wrong, [pass, missing, missing, missing]],
  ['wrong application key, good master key', { ...wrong, ...masterHeader }, [pass, pass, pass, pass]],
  ['good application key, wrong master key', { ...wrong, ...keyHeader }, [pass, pass, missing, missing]],
  [
    "the keys in each other's header",
    { 'x-zumo-application': masterKey, 'x-zumo-master': applicationKey },
    [pass, missing, missing, missing]
  ],
  [
    'application key in other letters',
    { 'x-zumo-application': applicationKey.toUpperCase() },
    [pass, missing, missing, missing]
  ],
  [
    'application key with more after it',
    { 'x-zumo-application': `${applicationKey}x` },
    [pass, missing, missing, missing]
  ],
  ['label rather than key', { 'x-zumo-application': 'ios', 'x-zumo-master': 'ops' }, [pass, missing, missing, missing]],
  [
    'empty headers',
    { 'x-zumo-application': '', 'x-zumo-master': '', 'x-zumo-auth': '' },
    [pass, missing, missing, missing]
  ],
  [
    'keys of 15 kB',
    { 'x-zumo-application': 'k'.repeat(15_000), 'x-zumo-master': 'k'.repeat(15_000) },
    [pass, missing, missing, missing]
  ],
  ['Basic', { authorization: 'Basic YWRhOmFkYQ==' }, [pass, missing, missing, missing]],
  ['Basic and a master key', { authorization: 'Basic YWRhOmFkYQ==', ...masterHeader }, [pass, pass, pass, pass]]
]
const withToken: Array<[string, string, Credentials, Outcome[]]> = [
  ['authenticated', user, {}, [pass, missing, pass, level]],
  ['admin', admin, {}, [pass, missing, pass, pass]],
  ['application key and authenticated', user, keyHeader, [pass, pass, pass, level]],
  ['application key and admin', admin, keyHeader, [pass, pass, pass, pass]],
  ['master key and authenticated', user, masterHeader, [pass, pass, pass, pass]],
  ['wrong keys and authenticated', user, wrong, [pass, missing, pass, level]]
]
const bad: Array<[string, string, Outcome]> = [
  ['malformed', 'null', invalid],
  ['expired', forge(key, { ...goodClaims(), iat: now - 7200, exp: now - 3600 }), expired],
  ['foreign', forge(await testKey('ES256')), invalid],
  ['unsigned', `${encode({ alg: 'none' })}.${encode(goodClaims())}.`, invalid]
]

t.test('every credential at every level', async t => {
  const rows: Array<[string, Credentials, Outcome[]]> = [...withoutToken]
  for (const [carrier, carry] of carriers) {
    for (const [name, token, others, outcomes] of withToken) {
      rows.push([`${name}, in ${carrier}`, { ...carry(token), ...others }, outcomes])
    }
    for (const [name, token, outcome] of bad) {
      for (const [among, others] of [
        ['alone', {}],
        ['with an application key', keyHeader],
        ['with a master key', masterHeader],
        ['with both', { ...keyHeader, ...masterHeader }]
      ] as const) {
        rows.push([
          `${name}, in ${carrier}, ${among}`,
          { ...carry(token), ...others },
          [outcome, outcome, outcome, outcome]
        ])
      }
    }
  }
  for (const [name, headers, outcomes] of rows) {
    for (const [index, route] of levels.entries()) {
      t.strictSame(await ask(app, headers, `/${route}`), outcomes[index], `${name} → ${route}`)
      const { code, ...outcome } = await ask(app, headers, `/${route}`, 'HEAD')
      t.equal(code, undefined)
      t.match(
        outcome,
        { status: outcomes[index]?.status, challenge: outcomes[index]?.challenge },
        `HEAD: ${name} → ${route}`
      )
    }
  }
})

t.test('permission guards and requireUser', async t => {
  const bearer = (token: string): Credentials => ({ authorization: `Bearer ${token}` })
  const rows: Array<[string, Credentials, Outcome[]]> = [
    ['none', {}, [missing, missing, missing]],
    ['application key', keyHeader, [missing, missing, missing]],
    ['master key', masterHeader, [pass, pass, missing]],
    ['wrong master key', wrong, [missing, missing, missing]],
    ['user without permissions', bearer(user), [permission, permission, pass]],
    ['user with one', bearer(issue('authenticated', ['todo:write'])), [permission, pass, pass]],
    ['user with both', bearer(issue('authenticated', ['todo:write', 'x', 'todo:read'])), [pass, pass, pass]],
    [
      'user with similar ones',
      bearer(issue('authenticated', ['todo', 'todo:*', '*', 'todo:readx', 'TODO:READ', 'todo:read todo:write'])),
      [permission, permission, pass]
    ],
    ['admin without permissions', bearer(admin), [permission, permission, pass]],
    ['admin with both', bearer(issue('admin', ['todo:read', 'todo:write'])), [pass, pass, pass]],
    ['user without permissions and a master key', { ...bearer(user), ...masterHeader }, [pass, pass, pass]],
    ['bad token and a master key', { ...bearer('null'), ...masterHeader }, [invalid, invalid, invalid]],
    ['expired token', bearer(forge(key, { ...goodClaims(), exp: 1 })), [expired, expired, expired]]
  ]
  for (const [name, headers, outcomes] of rows) {
    for (const [index, route] of ['permission', 'any', 'user'].entries()) {
      t.strictSame(await ask(app, headers, `/${route}`), outcomes[index], `${name} → ${route}`)
    }
  }
})

t.test('request.auth says who calls, by all credentials, not by what the route asks for', async t => {
  const one = { id: 'ada' }
  const rows: Array<[string, Credentials, object]> = [
    ['none', {}, { level: 'everyone', user: null, application: null, master: null }],
    ['application key', keyHeader, { level: 'application', user: null, application: 'ios', master: null }],
    [
      'another application key',
      { 'x-zumo-application': 'application-key-of-android' },
      { level: 'application', application: 'android' }
    ],
    ['master key', masterHeader, { level: 'admin', user: null, application: null, master: 'ops' }],
    [
      'user',
      { authorization: `Bearer ${user}` },
      { level: 'authenticated', user: one, application: null, master: null }
    ],
    ['admin', { authorization: `Bearer ${admin}` }, { level: 'admin', user: one, application: null, master: null }],
    [
      'user and application key',
      { authorization: `Bearer ${user}`, ...keyHeader },
      { level: 'authenticated', user: one, application: 'ios', master: null }
    ],
    [
      'user and both keys',
      { authorization: `Bearer ${user}`, ...keyHeader, ...masterHeader },
      { level: 'admin', user: { ...one, level: 'authenticated' }, application: 'ios', master: 'ops' }
    ],
    ['wrong keys', wrong, { level: 'everyone', user: null, application: null, master: null }]
  ]
  for (const [name, headers, auth] of rows) {
    const answer = await app.inject({ url: '/everyone', headers })
    t.match(answer.json(), auth, name)
    t.strictSame(Object.keys(answer.json()), ['level', 'user', 'application', 'master'])
  }
})
