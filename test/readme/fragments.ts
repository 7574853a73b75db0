import { join } from 'node:path'
import { root } from './blocks.js'

const application = JSON.stringify(join(root, 'test/readme/application.js'))
const given = `import assert from 'node:assert/strict'
import { applicationKey, idp, masterKey, newApplication, options, statusOf, users, userWith } from ${application}
const present = { application: { 'x-zumo-application': applicationKey }, master: { 'x-zumo-master': masterKey } }
`

/** A fragment of the README as a whole program: what it takes for granted before it, and after it what must hold. */
export interface Fragment { readonly block: string, readonly before?: string, readonly after: string }

export function compose ({ before = '', after }: Fragment, text: string): string {
  // What a fragment does not need is used here, so that the strict compiler has nothing to say of it.
  return [given, before, text, after, 'export const unused = [assert, idp, present, newApplication, options, statusOf, users, userWith]', ''].join('\n')
}

const withApplication = 'const app = await newApplication()'

export const fragments: readonly Fragment[] = [
  {
    block: 'Levels and guards',
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
    block: 'request.auth',
    before: withApplication,
    after: `
      const me = async (headers: Record<string, string>) => (await app.inject({ url: '/me', headers })).json()
      assert.deepEqual(await me(present.master), { operator: 'operations' })
      assert.equal((await me(userWith(app, { claims: { tenant: 'acme' } }))).claims.tenant, 'acme')`
  },
  {
    block: 'Access tokens without a provider',
    before: withApplication,
    after: "assert.deepEqual([user.id, user.provider, user.permissions], ['user-42', null, ['todo:read']])"
  },
  {
    block: 'Permissions',
    after: `
      const app = await newApplication({ permissions })
      const login = async (id: string) => await app.inject({ method: 'POST', url: '/login/facebook', payload: { access_token: idp.facebook.accessToken({ id }) } })
      assert.deepEqual((await login('42')).json().user, { userId: 'facebook/42', provider: 'facebook', level: 'authenticated', permissions: ['todo:read'] })
      assert.equal((await login('666')).json().code, 'AUTH_ERR_ACCESS_DENIED')`
  },
  {
    block: 'Providers',
    after: `
      const app = await newApplication({ providers })
      assert.equal((await app.inject({ method: 'POST', url: '/login/keycloak', payload: {} })).statusCode, 400)`
  },
  {
    block: 'Security notes',
    before: "import Fastify from 'fastify'\nimport tokenExchange from 'fastify-token-exchange'\nconst app = Fastify()",
    after: `
      for (let count = 0; count < 20; count++) assert.equal(await statusOf(app, 'POST /login/facebook'), 400)
      assert.equal(await statusOf(app, 'POST /login/facebook'), 429)`
  },
  {
    block: 'Key rotation 2',
    before: "import { readFileSync } from 'node:fs'\nimport type { SigningKey } from 'fastify-token-exchange'",
    after: `
      const older = await newApplication({ keys: keys.slice(1) })
      const app = await newApplication({ keys })
      assert.equal(app.tokenExchange.verify(older.tokenExchange.issue({ userId: 'user-42' }).access_token).id, 'user-42')
      const [header = ''] = app.tokenExchange.issue({ userId: 'user-42' }).access_token.split('.')
      assert.equal(JSON.parse(Buffer.from(header, 'base64url').toString()).alg, 'EdDSA')`
  }
]
