import t from 'tap'
import { userOf } from '../../src/index.js'
import { ask, masterKey, startApp } from '../server.js'

t.test('userOf answers the user of a guarded request, or throws', async t => {
  const app = await startApp(t)
  app.get('/', { onRequest: app.requireLevel('everyone') }, request => userOf(request))
  app.get('/open', request => userOf(request))
  const { access_token: token } = app.tokenExchange.issue({ userId: 'ada' })
  t.match((await app.inject({ url: '/', headers: { authorization: `Bearer ${token}` } })).json(), { id: 'ada' })
  const missing = { status: 401, code: 'AUTH_ERR_CREDENTIAL_MISSING', challenge: 'Bearer' }
  t.strictSame(await ask(app), missing)
  t.strictSame(await ask(app, { 'x-zumo-master': masterKey }), missing)
  t.match(await ask(app, {}, '/open'), { status: 500, code: 'AUTH_ERR_NOT_GUARDED' })
})
