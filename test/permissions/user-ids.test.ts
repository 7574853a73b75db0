import t from 'tap'
import { startApp } from '../server.js'

// A user id that no store can keep is refused where it enters: else a login is 503 for ever, and a ban never holds.

const bad: ReadonlyArray<[string, string]> = [
  ['NUL', 'a\0b'],
  ['half a surrogate pair', 'x\ud800'],
  ['256 units', 'x'.repeat(256)],
  ['nothing', '']
]

t.test('issue() and revokeUser() refuse them by name', async t => {
  const app = await startApp(t, { sessions: {} })
  const refusal = { code: 'AUTH_ERR_OPTION_INVALID', message: /userId/ }
  for (const [name, userId] of bad) {
    t.throws(() => app.tokenExchange.issue({ userId }), refusal, name)
    await t.rejects(app.tokenExchange.revokeUser(userId), refusal, name)
  }
  t.equal(app.tokenExchange.issue({ userId: 'x'.repeat(255) }).user.userId.length, 255)
})

t.test('a lookup that answers one has failed, not the store', async t => {
  for (const [name, userId] of bad) {
    const app = await startApp(t, {
      sessions: {},
      providers: { own: { accepts: ['access_token'], verify: async () => ({ subject: '1' }) } },
      permissions: () => ({ userId })
    })
    const answer = await app.inject({ method: 'POST', url: '/login/own', payload: { access_token: 'x' } })
    t.match(answer.json(), { statusCode: 503, code: 'AUTH_ERR_LOOKUP_FAILED' }, name)
  }
})

t.test("the provider's name and a subject that are too long together need a userId of the lookup", async t => {
  let subject = ''
  let userId: string | undefined
  for (const sessions of [undefined, {}]) {
    const app = await startApp(t, {
      ...(sessions !== undefined && { sessions }),
      providers: { own: { accepts: ['access_token'], verify: async () => ({ subject }) } },
      permissions: () => ({ ...(userId !== undefined && { userId }) })
    })
    const login = async () => {
      return (await app.inject({ method: 'POST', url: '/login/own', payload: { access_token: 'x' } })).json()
    }
    userId = undefined
    subject = 'x'.repeat(251)
    t.equal((await login()).user?.userId, `own:${subject}`)
    subject = 'x'.repeat(252)
    t.match(await login(), { statusCode: 503, code: 'AUTH_ERR_PROVIDER_UNAVAILABLE' })
    userId = 'short'
    t.equal((await login()).user?.userId, 'short')
  }
})

t.test('a login that fails after its session was made ends no other session', async t => {
  let permissions: string[] = []
  const app = await startApp(t, {
    sessions: { perUser: 1 },
    providers: { own: { accepts: ['access_token'], verify: async () => ({ subject: '1' }) } },
    permissions: () => ({ permissions })
  })
  const login = () => app.inject({ method: 'POST', url: '/login/own', payload: { access_token: 'x' } })
  const { refresh_token: good } = (await login()).json()
  permissions = Array.from({ length: 5000 }, (_, index) => `permission ${index}`)
  t.equal((await login()).statusCode, 503)
  permissions = []
  const refresh = { grant_type: 'refresh_token', refresh_token: good }
  t.equal((await app.inject({ method: 'POST', url: '/token', payload: refresh })).statusCode, 200)
})
