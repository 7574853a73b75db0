import { mock } from 'node:test'
import t from 'tap'
import { memoryStore } from '../../src/sessions/stores/index.js'
import { startUsersApp } from '../server.js'

t.test(
  "whenStale: 'refuse' is 503 with Retry-After once no revocations were heard of for maxStaleness, 'accept' is not",
  async t => {
    for (const [whenStale, status, retryAfter] of [
      ['refuse', 503, '5'],
      ['accept', 200, undefined]
    ] as const) {
      const store = { ...memoryStore(), subscribe: () => () => {} }
      const app = await startUsersApp(t, { sessions: { store, whenStale, maxStaleness: 60 } })
      const headers = { authorization: `Bearer ${app.tokenExchange.issue({ userId: 'ada' }).access_token}` }
      t.equal((await app.inject({ url: '/', headers })).statusCode, 200, `${whenStale}: while it hears of them`)

      store.revocations = async () => {
        throw new Error('down')
      }
      mock.timers.enable({ apis: ['Date'], now: Date.now() + 61_000 })
      const answer = await app.inject({ url: '/', headers })
      mock.timers.reset()
      t.match([answer.statusCode, answer.headers['retry-after']], [status, retryAfter], whenStale)
      if (status === 503) t.match(answer.json(), { code: 'AUTH_ERR_STORE_UNAVAILABLE' })
    }
  }
)
