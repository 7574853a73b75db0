import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { realServers } from './private-stores.js'
import { logIn, refresh, sessionsOn, welcome } from './two-servers.js'

// RACE_ROUNDS=200 for the long run.
const rounds = Number(process.env.RACE_ROUNDS ?? 20)
const racers = 50

for (const kind of realServers) {
  t.test(
    `${kind.name}: 2 x ${racers} callers with one token, in two processes, get one successor`,
    { skip: kind.missing },
    async t => {
      const started = await kind.start()
      t.teardown(() => started.remove())
      const client = started.connect()
      const sessions = sessionsOn(client.store)
      t.teardown(async () => {
        await sessions.close()
        await client.close()
      })
      const servers = await Promise.all([startRacer(t, started.address ?? ''), startRacer(t, started.address ?? '')])
      let { refreshToken, sessionId } = await logIn(sessions)
      for (let round = 1; round <= rounds; round++) {
        const answers = await Promise.all(servers.map(server => race(server, refreshToken)))
        const successors = new Set(answers.flat())
        t.equal(answers.flat().length, 2 * racers)
        if (!t.equal(successors.size, 1, `round ${round}: one successor`)) t.comment([...successors])
        refreshToken = answers[0]?.[0] ?? ''
        t.equal((await client.store.read(sessionId))?.counter, round, 'one step')
      }
      t.equal((await refresh(sessions, refreshToken, welcome)).sessionId, sessionId, 'nobody is logged out')
    }
  )
}

async function startRacer (t: Test, address: string): Promise<ChildProcess> {
  const file = fileURLToPath(new URL('racer.ts', import.meta.url))
  const child = fork(file, [address], { execArgv: ['--import', 'tsx'], env: { PATH: process.env.PATH } })
  await once(child, 'message')
  t.teardown(async () => {
    const gone = once(child, 'exit')
    child.disconnect()
    await gone
  })
  return child
}

async function race (server: ChildProcess, refreshToken: string): Promise<string[]> {
  const answered = once(server, 'message')
  server.send({ refreshToken, racers })
  const [answers] = await answered
  return Array.isArray(answers) ? answers.map(String) : []
}
