import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import { mock } from 'node:test'
import t from 'tap'
import { emailCodes } from '../../example/recipes/email-codes.js'
import { memoryStore } from '../../src/sessions/stores/index.js'
import { startApp, type Closing } from '../server.js'

interface Mailbox {
  readonly app: FastifyInstance
  readonly mails: Array<{ email: string, code: string }>
  ask (email: string): Promise<{ handle: string, code: string }>
  answer (handle: string, code: string, headers?: Record<string, string>): Promise<LightMyRequestResponse>
}

async function start (t: Closing): Promise<Mailbox> {
  const mails: Mailbox['mails'] = []
  const app = await startApp(t, { sessions: { store: memoryStore() } })
  emailCodes(app, async (email, code) => { mails.push({ email, code }) })
  return {
    app,
    mails,
    async ask (email) {
      const { handle } = (await app.inject({ method: 'POST', url: '/email-codes', payload: { email } })).json()
      return { handle, code: mails.at(-1)?.code ?? '' }
    },
    answer: async (handle, code, headers = {}) =>
      await app.inject({ method: 'POST', url: '/email-codes/login', payload: { handle, code }, headers })
  }
}

const other = (code: string): string => (code === '00000000' ? '00000001' : '00000000')

t.test('whoever reads the mailbox is logged in, each time as the same user', async t => {
  const { app, ask, answer, mails } = await start(t)
  const ids: string[] = []
  for (const email of ['Ada@Example.com', ' ada@example.com ']) {
    const { handle, code } = await ask(email)
    t.match(code, /^\d{8}$/)
    const answered = await answer(handle, code)
    t.equal(answered.statusCode, 200)
    t.equal(answered.headers['cache-control'], 'no-store')
    const { id, provider, amr } = app.tokenExchange.verify(answered.json().access_token)
    t.match([provider, amr], ['email', ['otp']])
    t.notMatch(id, /ada/, 'the address is no id')
    ids.push(id)
  }
  t.equal(ids[0], ids[1])
  t.equal(mails[0]?.email, 'ada@example.com')
})

t.test('a code is good once, for its device, for ten minutes and five attempts', async t => {
  const { ask, answer } = await start(t)
  const statusOf = async (handle: string, code: string): Promise<number> => (await answer(handle, code)).statusCode
  const used = await ask('ada@example.com')
  t.equal(await statusOf(used.handle, used.code), 200)
  t.equal(await statusOf(used.handle, used.code), 401, 'used before')

  const one = await ask('ada@example.com')
  const another = await ask('ada@example.com')
  if (one.code !== another.code) t.equal(await statusOf(another.handle, one.code), 401, 'of another device')
  t.equal(await statusOf('nobody', one.code), 401)

  const guessed = await ask('ada@example.com')
  for (let attempt = 0; attempt < 5; attempt++) t.equal(await statusOf(guessed.handle, other(guessed.code)), 401)
  t.equal(await statusOf(guessed.handle, guessed.code), 401, 'after five')

  mock.timers.enable({ apis: ['Date'], now: Date.now() })
  t.teardown(() => mock.timers.reset())
  const old = await ask('ada@example.com')
  mock.timers.tick(600_000)
  t.equal(await statusOf(old.handle, old.code), 401, 'too old')
})

t.test('what is no single address of ASCII is sent nothing', async t => {
  const { app, mails } = await start(t)
  const wrong: unknown[] = [
    '', 'ada', 'ada@', '@example.com', 'ada@example', 'ada@exämple.com', 'ada@example.com,eve@example.com',
    'ada@example.com\neve@example.com', 'ada@example.com\r\nBcc: eve@example.com', '"a b"@example.com', {}, null
  ]
  for (const email of wrong) {
    const answered = await app.inject({ method: 'POST', url: '/email-codes', payload: { email } })
    t.equal(answered.statusCode, 400, JSON.stringify(email))
  }
  t.strictSame(mails, [])
})

t.test('a bad access token is refused before the code is looked at', async t => {
  const { ask, answer } = await start(t)
  const { handle, code } = await ask('ada@example.com')
  t.equal((await answer(handle, code, { authorization: 'Bearer garbage' })).statusCode, 401)
  t.equal((await answer(handle, code)).statusCode, 200)
})
