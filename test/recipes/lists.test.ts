import t from 'tap'
import { listRoutes, permissions, shares } from '../../example/recipes/lists.js'
import { facebook } from '../../src/providers/index.js'
import { startIdentityServer } from '../../src/testing/index.js'
import { startApp } from '../server.js'

t.test('a list opens to whom it was shared with, for what it was shared for', async t => {
  const idp = await startIdentityServer()
  t.teardown(() => idp.close())
  shares.set('facebook:1', ['list:7:read', 'list:7:write', 'list:8:read'])
  const app = await startApp(t, { providers: { facebook: facebook(idp.facebook.options) }, permissions })
  await app.register(listRoutes)
  const payload = { access_token: idp.facebook.accessToken({ id: '1' }) }
  const login = await app.inject({ method: 'POST', url: '/login/facebook', payload })
  const headers = { authorization: `Bearer ${login.json().access_token}` }

  for (const [method, id, status, code] of [
    ['GET', '7', 200, undefined],
    ['DELETE', '7', 204, undefined],
    ['GET', '8', 200, undefined],
    ['DELETE', '8', 403, 'AUTH_ERR_PERMISSION_MISSING'],
    ['GET', '9', 403, 'AUTH_ERR_PERMISSION_MISSING'],
    ['GET', '7:read', 403, 'AUTH_ERR_PERMISSION_MISSING']
  ] as const) {
    const answer = await app.inject({ method, url: `/lists/${id}`, headers })
    t.equal(answer.statusCode, status, `${method} ${id}`)
    if (code !== undefined) t.equal(answer.json().code, code, `${method} ${id}`)
  }
  t.equal((await app.inject('/lists/7')).json().code, 'AUTH_ERR_CREDENTIAL_MISSING')
})
