import t, { type Test } from 'tap'
import { call, check, logIn, operations, refresh } from '../../example/recipes/histories.js'
import { memoryStore } from '../../src/sessions/stores/index.js'
import { ownProvider, startApp } from '../server.js'

async function start (t: Test, store = memoryStore()): Promise<string> {
  const app = await startApp(t, { providers: { own: ownProvider() }, sessions: { store } })
  app.get('/me', { onRequest: app.requireUser() }, request => request.auth.user)
  return await app.listen({ host: '127.0.0.1', port: 0 })
}

t.beforeEach(() => { operations.length = 0 })

t.test('what was recorded of two servers is explained, until something is made up', async t => {
  const store = memoryStore()
  const [one, other] = [await start(t, store), await start(t, store)]
  const login = await logIn(one, 'ada', { access_token: 'good' })
  const tokens = login.kind === 'login' ? login.tokens : undefined
  const [token = '', accessToken = ''] = [tokens?.refreshToken, tokens?.accessToken]
  await Promise.all([refresh(one, token), refresh(other, token), call(other, accessToken)])
  check()
  t.strictSame(operations.map(({ outcome }) => outcome), ['done', 'done', 'done', 'done'])

  operations.push({
    kind: 'refresh',
    refreshToken: token,
    tokens: { accessToken: 'access', refreshToken: 'another' },
    server: one,
    sentAt: performance.now(),
    answeredAt: performance.now(),
    outcome: 'done'
  })
  t.throws(check, { code: 'ERR_ASSERTION' })
})

t.test('no answer, and a refusal', async t => {
  const one = await start(t)
  t.equal((await call('http://127.0.0.1:1', 'token')).outcome, 'lost')
  t.equal((await logIn(one, 'ada', { access_token: 'bad' })).outcome, 'refused')
})
