import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { realServers } from './private-stores.js'

const racers = 100
const rounds = 5
const skewed = 30_000
const oneDay = 86_400_000

/** One server of the application, as a client sees it. */
interface Server {
  login (): Promise<Tokens>
  refresh (token: string): Promise<Answer>
  /** The status of a guarded route. */
  call (accessToken: string): Promise<number>
  logout (accessToken: string, scope?: string): Promise<number>
  revoke (token: string): Promise<number>
  /** How far its clock is ahead, in milliseconds. */
  setAhead (milliseconds: number): Promise<void>
}

interface Tokens { access: string, refresh: string }
interface Answer extends Tokens { status: number, error: unknown, code: unknown }

type Story = (t: Test, one: Server, other: Server) => Promise<void>

const theft = { status: 400, error: 'invalid_grant', code: 'AUTH_ERR_REFRESH_REUSED' }
const ended = { status: 400, error: 'invalid_grant', code: 'AUTH_ERR_SESSION_REVOKED' }

const stories: Record<string, Story> = {
  async 'a hundred callers with one token get one successor, round after round' (t, one, other) {
    let { refresh, access } = await one.login()
    for (let round = 0; round < rounds; round++) {
      const answers = await Promise.all(
        Array.from({ length: racers }, (_, racer) => (racer % 2 === 0 ? one : other).refresh(refresh))
      )
      t.strictSame([...new Set(answers.map(({ status }) => status))], [200])
      const [successor = '', ...more] = new Set(answers.map(answer => answer.refresh))
      t.strictSame(more, [], 'one successor')
      refresh = successor
      access = answers[0]?.access ?? ''
    }
    for (const server of [one, other]) t.equal(await server.call(access), 200)
  },

  async 'a lost answer, at once and a day later, on the other server' (t, one, other) {
    const login = await one.login()
    const lost = await one.refresh(login.refresh)
    t.equal((await other.refresh(login.refresh)).refresh, lost.refresh)
    await setBoth(one, other, oneDay)
    t.equal((await other.refresh(login.refresh)).refresh, lost.refresh)
    t.equal((await one.refresh(lost.refresh)).status, 200)
  },

  async 'an arrival that the other server has seen; then theft ends the session for both' (t, one, other) {
    const login = await one.login()
    const next = await one.refresh(login.refresh)
    t.equal(await other.call(next.access), 200)
    await setBoth(one, other, 20_000)
    t.equal((await other.refresh(login.refresh)).refresh, next.refresh, 'within the retry window')
    await setBoth(one, other, 40_000)
    t.match(await other.refresh(login.refresh), theft)
    t.match(await one.refresh(next.refresh), ended)
    await refused(one, next.access)
    t.equal(await one.call(next.access), 401, 'on the server that did not see the theft')
  },

  async 'an older token is theft, wherever it is presented' (t, one, other) {
    const login = await one.login()
    const next = await other.refresh((await one.refresh(login.refresh)).refresh)
    t.match(await one.refresh(login.refresh), theft)
    t.match(await other.refresh(next.refresh), ended)
  },

  async 'logged out here, refused there' (t, one, other) {
    for (const [here, there] of [[one, other], [other, one]] as const) {
      for (const scope of [undefined, 'all']) {
        const tokens = await here.login()
        t.equal(await there.call(tokens.access), 200)
        t.equal(await here.logout(tokens.access, scope), 204)
        t.equal(await here.call(tokens.access), 401, 'at once')
        await refused(there, tokens.access)
        t.match(await there.refresh(tokens.refresh), ended)
      }
    }
  },

  async 'RFC 7009, and a login right after it' (t, one, other) {
    const tokens = await one.login()
    t.equal(await other.revoke(tokens.refresh), 200)
    t.equal(await other.call(tokens.access), 401)
    await refused(one, tokens.access)
    const again = await one.login()
    for (const server of [one, other]) t.equal(await server.call(again.access), 200)
  }
}

for (const kind of realServers) {
  t.test(kind.name, { skip: kind.missing }, async t => {
    const started = await kind.start()
    t.teardown(() => started.remove())
    const address = started.address ?? ''
    for (const skew of [0, skewed]) {
      await t.test(`two processes whose clocks are ${skew / 1000} s apart`, async t => {
        const [one, other] = await Promise.all([startServer(t, address, 0), startServer(t, address, skew)])
        await told(t, one, other)
      })
    }
  })
}

t.test('memory: one process', async t => {
  const server = await startServer(t, 'memory', 0)
  await told(t, server, server)
})

async function told (t: Test, one: Server, other: Server): Promise<void> {
  for (const [name, story] of Object.entries(stories)) {
    await t.test(name, async t => {
      await story(t, one, other)
      await setBoth(one, other, 0)
    })
  }
}

async function setBoth (one: Server, other: Server, milliseconds: number): Promise<void> {
  await one.setAhead(milliseconds)
  await other.setAhead(milliseconds)
}

/** The other server hears by itself; the test's time limit ends the wait. */
async function refused (server: Server, accessToken: string): Promise<void> {
  while (await server.call(accessToken) !== 401) continue
}

async function startServer (t: Test, address: string, ahead: number): Promise<Server> {
  const child = fork(fileURLToPath(new URL('http-server.ts', import.meta.url)), [address, String(ahead)], {
    execArgv: ['--import', 'tsx'],
    env: { PATH: process.env.PATH }
  })
  t.teardown(async () => await stop(child))
  const [url] = await once(child, 'message')
  const post = async (path: string, parameters: Record<string, string>, accessToken?: string): Promise<Response> =>
    await fetch(`${url}${path}`, {
      method: 'POST',
      body: new URLSearchParams(parameters),
      headers: accessToken === undefined ? {} : { authorization: `Bearer ${accessToken}` }
    })
  return {
    login: async () => await answerOf(await post('/login/own', { access_token: 'good' })),
    refresh: async token => await answerOf(await post('/token', { grant_type: 'refresh_token', refresh_token: token })),
    call: async accessToken =>
      (await fetch(`${url}/guarded`, { headers: { authorization: `Bearer ${accessToken}` } })).status,
    logout: async (accessToken, scope) =>
      (await post('/logout', scope === undefined ? {} : { scope }, accessToken)).status,
    revoke: async token => (await post('/revoke', { token })).status,
    setAhead: async milliseconds => {
      const done = once(child, 'message')
      child.send(ahead + milliseconds)
      await done
    }
  }
}

async function stop (child: ChildProcess): Promise<void> {
  const gone = once(child, 'exit')
  child.disconnect()
  await gone
}

async function answerOf (response: Response): Promise<Answer> {
  const { error, code, ...tokens }: Record<string, unknown> = await response.json()
  return {
    status: response.status,
    error,
    code,
    access: String(tokens.access_token),
    refresh: String(tokens.refresh_token)
  }
}
