import { join } from 'node:path'
import { root } from './blocks.js'

const application = JSON.stringify(join(root, 'test/readme/application.js'))
const given = `import assert from 'node:assert/strict'
import {
  applicationKey, idp, logIn, masterKey, newApplication, options, refresh, statusOf, users, userWith
} from ${application}
const present = { application: { 'x-zumo-application': applicationKey }, master: { 'x-zumo-master': masterKey } }
`

/** A fragment of a page as a whole program: what it takes for granted before it, and after it what must hold. */
export interface Fragment { readonly block: string, readonly before?: string, readonly after: string }

export function compose ({ before = '', after }: Fragment, text: string): string {
  // What a fragment does not need is used here, so that the strict compiler has nothing to say of it.
  return [
    given,
    before,
    text,
    after,
    'export const unused = [assert, idp, logIn, present, newApplication, options, refresh, statusOf, users, userWith]',
    ''
  ].join('\n')
}

const plugin = "import Fastify from 'fastify'\nimport tokenExchange from 'fastify-token-exchange'\n"
const titles = new Map([['github', 'GitHub'], ['oidc', 'OpenID Connect']])
const withApplication = 'const app = await newApplication()'

export const sessionFragments: readonly Fragment[] = [
  {
    block: 'sessions#Sessions',
    before: `${plugin}const app = Fastify({ logger: false })`,
    after: "assert.equal(typeof (await logIn(app)).json().refresh_token, 'string')"
  },
  {
    block: 'sessions#Logging out 3',
    before: 'const app = await newApplication({ sessions: {} })',
    after: `
      const login = async () => (await logIn(app)).json()
      const call = async (endpoint: string) => await statusOf(app, endpoint, present.master)
      const good = (token: string) => { try { return app.tokenExchange.verify(token) } catch { return null } }
      const [one, other] = [await login(), await login()]
      assert.equal(await call('DELETE /admin/sessions/' + good(one.access_token)?.sessionId), 204)
      assert.deepEqual([good(one.access_token), good(other.access_token)?.id], [null, 'facebook:10158000000000001'])
      assert.equal(await call('POST /admin/users/facebook:10158000000000001/logout'), 204)
      assert.equal(good(other.access_token), null)
      assert.notEqual(good((await login()).access_token), null)`
  },
  {
    block: 'sessions#Secrets',
    before: `
      import type { SessionOptions } from 'fastify-token-exchange'
      import { memoryStore } from 'fastify-token-exchange/stores'
      const store = memoryStore()`,
    after: `
      const { REFRESH_SECRET: retired, ...others } = { REFRESH_SECRET, OLD_REFRESH_SECRET }
      const older = await newApplication({ sessions: { store, secrets: Object.values(others) } })
      const app = await newApplication({ sessions })
      const newer = await newApplication({ sessions: { store, secrets: [retired] } })
      const { refresh_token: token } = (await logIn(older)).json()
      assert.equal(typeof (await refresh(app, token)).json().refresh_token, 'string')
      assert.equal((await refresh(newer, token)).json().code, 'AUTH_ERR_REFRESH_INVALID')`
  }
]

/** Needs REDIS_URL and DATABASE_URL. */
export const storesFragment: Fragment = {
  block: 'sessions#Stores',
  after: `
    for (const store of Object.values(stores)) {
      const app = await newApplication({ sessions: { store } })
      const login = await logIn(app)
      assert.equal((await refresh(app, login.json().refresh_token)).statusCode, 200)
    }
    assert.equal((await redis.keys('shop:session:*')).length, 1)
    assert.equal((await pool.query('SELECT * FROM shop_sessions')).rows.length, 1)`
}

/** The page of each provider shows one that starts. */
const providerFragments = ['facebook', 'google', 'apple', 'microsoft', 'github', 'oidc', 'introspection'].map(name => ({
  block: `providers/${name}#${titles.get(name) ?? name[0]?.toUpperCase() + name.slice(1)}`,
  after: `
    const app = await newApplication({ providers })
    for (const name of Object.keys(providers)) {
      const answer = await app.inject({ method: 'POST', url: '/login/' + name, payload: {} })
      assert.equal(answer.json().code, 'AUTH_ERR_REQUEST_INVALID')
    }`
}))

export const fragments: readonly Fragment[] = [
  ...providerFragments,
  {
    block: 'guards#Levels and guards',
    before: withApplication,
    after: `
      const reader = userWith(app, { permissions: ['todo:read'] })
      const writer = userWith(app, { permissions: ['todo:write'] })
      const admin = userWith(app, { level: 'admin' })
      assert.equal(await statusOf(app, 'GET /todos'), 401)
      assert.equal(await statusOf(app, 'GET /todos', reader), 200)
      assert.equal(await statusOf(app, 'GET /todos', admin), 403)
      assert.equal(await statusOf(app, 'GET /todos', present.master), 200)
      assert.equal(await statusOf(app, 'POST /todos', reader), 403)
      assert.equal(await statusOf(app, 'POST /todos', writer), 201)
      assert.equal(await statusOf(app, 'POST /todos', present.master), 401)
      assert.equal(await statusOf(app, 'GET /admin/users', reader), 403)
      assert.equal(await statusOf(app, 'GET /admin/users', admin), 200)`
  },
  {
    block: 'guards#request.auth',
    before: withApplication,
    after: `
      const me = async (headers: Record<string, string>) => (await app.inject({ url: '/me', headers })).json()
      assert.deepEqual(await me(present.master), { operator: 'operations' })
      assert.equal((await me(userWith(app, { claims: { tenant: 'acme' } }))).claims.tenant, 'acme')`
  },
  {
    block: 'login#Access tokens without a provider',
    before: withApplication,
    after: "assert.deepEqual([user.id, user.provider, user.permissions], ['user-42', null, ['todo:read']])"
  },
  {
    block: 'login#Permissions',
    after: `
      const app = await newApplication({ permissions })
      assert.deepEqual(
        (await logIn(app, { id: '42' })).json().user,
        { userId: 'facebook/42', provider: 'facebook', level: 'authenticated', permissions: ['todo:read'] }
      )
      assert.equal((await logIn(app, { id: '666' })).json().code, 'AUTH_ERR_ACCESS_DENIED')`
  },
  {
    block: 'providers/README#Providers',
    after: `
      const app = await newApplication({ providers })
      assert.equal((await app.inject({ method: 'POST', url: '/login/keycloak', payload: {} })).statusCode, 400)`
  },
  {
    block: 'own-provider#Declared',
    before: "import { errors } from 'fastify-token-exchange'",
    after: `
      const app = await newApplication({ providers: { acme, vault } })
      const login = async (name: string, payload: object) =>
        (await app.inject({ method: 'POST', url: '/login/' + name, payload })).json()
      assert.equal((await login('acme', { id_token: 'a.b.c', nonce: 'x' })).code, 'AUTH_ERR_GRANT_REJECTED')
      assert.equal((await login('acme', { access_token: 'x' })).code, 'AUTH_ERR_REQUEST_INVALID')
      const answers = [{ userId: '7', app: 'todo' }, { userId: '7', app: 'another' }]
      const reallyFetch = globalThis.fetch
      Object.assign(globalThis, { fetch: async () => Response.json(answers.shift()) })
      assert.equal((await login('vault', { access_token: 'x' })).user.userId, 'vault:7')
      assert.equal((await login('vault', { access_token: 'x' })).code, 'AUTH_ERR_GRANT_REJECTED')
      Object.assign(globalThis, { fetch: async () => new Response(null, { status: 502 }) })
      assert.equal((await login('vault', { access_token: 'x' })).code, 'AUTH_ERR_PROVIDER_UNAVAILABLE')
      Object.assign(globalThis, { fetch: reallyFetch })`
  },
  {
    block: 'own-provider#One more issuer: LINE',
    after: `
      const discovery = await fetch(idp.oidc.options.issuer + '/.well-known/openid-configuration')
      const { jwks_uri: jwks } = Object(await discovery.json())
      const channelIds = ['1234567890']
      const app = await newApplication({ providers: { line: line({ channelIds, endpoints: { jwks } }) } })
      const good = { iss: 'https://access.line.me', aud: '1234567890', sub: 'U1234567890abcdef1234567890abcdef' }
      const login = async (claims: object, alg: string) => {
        const payload = { id_token: await idp.oidc.idToken({ ...good, ...claims }, { alg }) }
        return await app.inject({ method: 'POST', url: '/login/line', payload })
      }
      assert.equal((await login({}, 'ES256')).json().user.userId, 'line:U1234567890abcdef1234567890abcdef')
      assert.equal((await login({ aud: '999' }, 'ES256')).statusCode, 401)
      assert.equal((await login({}, 'RS256')).statusCode, 401)`
  },
  {
    block: 'redirect-logins#Logins by redirect',
    before: `${plugin}import { google } from 'fastify-token-exchange/providers'\nconst app = Fastify()`,
    after: `
      assert.equal((await app.inject('/authorize')).statusCode, 400)
      const { body } = await app.inject('/.well-known/oauth-authorization-server')
      assert.equal(JSON.parse(body).authorization_endpoint, 'http://localhost:3000/authorize')`
  },
  {
    block: 'observability#Events',
    after: `
      assert.equal((await logIn(app)).statusCode, 200)`
  },
  {
    block: 'observability#Diagnostics channels',
    before: withApplication,
    after: `
      await logIn(app)
      assert.equal(Reflect.get(Object(seen[0]), 'type'), 'login.succeeded')`
  },
  {
    block: 'observability#OpenTelemetry',
    after: 'stop()'
  },
  {
    block: 'observability#Readiness',
    before: 'const app = await newApplication({ sessions: {} })',
    after: `
      const { statusCode, body } = await app.inject('/ready')
      assert.deepEqual([statusCode, JSON.parse(body).store.ok, Object.keys(JSON.parse(body).providers)],
        [200, true, ['facebook']])`
  },
  ...['Firebase', 'Supabase', 'Auth0'].map(service => ({
    block: `migrating#${service}`,
    after: `
      const payload = { id_token: 'a.b.c' }
      const answer = await app.inject({ method: 'POST', url: '/login/${service.toLowerCase()}', payload })
      assert.equal(answer.json().code, 'AUTH_ERR_GRANT_REJECTED')`
  })),
  {
    block: 'migrating#better-auth',
    after: `
      assert.equal((await logIn(app)).json().user.userId, 'V9fLkQ')
      assert.equal((await logIn(app, { id: '42' })).statusCode, 403)`
  },
  {
    block: 'migrating#@fastify/jwt',
    before: `${withApplication}\nconst oldSecret = 'a secret of before, for tests only'`,
    after: `
      await app.ready()
      const exchange = async (token: string) => {
        const answer = await app.inject({ method: 'POST', url: '/exchange', payload: { token } })
        return answer.statusCode === 200 ? answer.json().user.userId : answer.statusCode
      }
      assert.equal(await exchange(app.jwt.sign({ sub: '42' }, { iss: 'old', expiresIn: 60 })), 'old:42')
      assert.equal(await exchange(app.jwt.sign({ sub: '42' }, { iss: 'another', expiresIn: 60 })), 401)`
  },
  {
    block: 'azure-dialect#Apps written for Azure Mobile Services',
    before: `${plugin}import { facebook, google } from 'fastify-token-exchange/providers'\nconst app = Fastify()`,
    after: `
      const redirected = await app.inject('/login/facebook')
      assert.equal(redirected.statusCode, 302)
      assert.equal(new URL(String(redirected.headers.location)).host, 'www.facebook.com')
      const refused = await app.inject({ method: 'POST', url: '/login/unknown', payload: { access_token: 'x' } })
      assert.deepEqual([refused.statusCode, refused.json().code], [401, 401])
      assert.equal((await app.inject({ url: '/.auth/me' })).statusCode, 401)`
  },
  {
    block: 'security#Security notes',
    before: `${plugin}const app = Fastify()`,
    after: `
      for (let count = 0; count < 20; count++) assert.equal(await statusOf(app, 'POST /login/facebook'), 400)
      assert.equal(await statusOf(app, 'POST /login/facebook'), 429)`
  },
  {
    block: 'deployment#Key rotation 2',
    before: "import { readFileSync } from 'node:fs'\nimport type { SigningKey } from 'fastify-token-exchange'",
    after: `
      const older = await newApplication({ keys: keys.slice(1) })
      const app = await newApplication({ keys })
      const { access_token: old } = older.tokenExchange.issue({ userId: 'user-42' })
      assert.equal(app.tokenExchange.verify(old).id, 'user-42')
      const [header = ''] = app.tokenExchange.issue({ userId: 'user-42' }).access_token.split('.')
      assert.equal(JSON.parse(Buffer.from(header, 'base64url').toString()).alg, 'EdDSA')`
  }
]
