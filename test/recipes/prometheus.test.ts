import t from 'tap'
import { metricsRoute, onEvent, registry } from '../../example/recipes/prometheus.js'
import { memoryStore } from '../../src/sessions/stores/index.js'
import { masterKey, ownProvider, startApp } from '../server.js'

t.test('logins, refreshes and refusals are counted, for whoever has the master key', async t => {
  const app = await startApp(t, { providers: { own: ownProvider() }, sessions: { store: memoryStore() }, onEvent })
  metricsRoute(app)
  const post = async (url: string, payload: object) => (await app.inject({ method: 'POST', url, payload })).json()
  const { refresh_token: token } = await post('/login/own', { access_token: 'good' })
  await post('/login/own', { access_token: 'bad' })
  await post('/token', { grant_type: 'refresh_token', refresh_token: token })
  await post('/token', { grant_type: 'refresh_token', refresh_token: 'junk' })
  t.equal((await app.inject('/metrics')).statusCode, 401)

  const answer = await app.inject({ url: '/metrics', headers: { 'x-zumo-master': masterKey } })
  t.equal(answer.headers['content-type'], registry.contentType)
  const lines = answer.body.split('\n')
  for (const line of [
    'token_exchange_login_duration_seconds_count{provider="own",result="succeeded",code=""} 1',
    'token_exchange_login_duration_seconds_count{provider="own",result="refused",code="AUTH_ERR_GRANT_REJECTED"} 1',
    'token_exchange_refreshes_total{result="succeeded",retry="none",code=""} 1',
    'token_exchange_access_refused_total{code="AUTH_ERR_CREDENTIAL_MISSING"} 1',
    'token_exchange_store_up 1'
  ]) t.ok(lines.includes(line), line)
  t.notMatch(answer.body, /10158/, 'no metric says who a user is')
})
