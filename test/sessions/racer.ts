// A server of its own process: refreshes when it is told to, many times at once, and says what came of it.
import { connectTo } from './private-stores.js'
import { refresh, sessionsOn, welcome } from './two-servers.js'

const client = connectTo(process.argv[2] ?? '')
const sessions = sessionsOn(client.store)

async function race (refreshToken: string, racers: number): Promise<string[]> {
  const outcomes = Array.from({ length: racers }, () => refresh(sessions, refreshToken, welcome))
  const settled = await Promise.allSettled(outcomes)
  return settled.map(outcome => outcome.status === 'fulfilled' ? outcome.value.refreshToken : String(outcome.reason))
}

process.on('message', async (message: { refreshToken: string, racers: number }) => {
  process.send?.(await race(message.refreshToken, message.racers))
})

process.on('disconnect', async () => {
  await sessions.close()
  await client.close()
})

await sessions.open()
process.send?.('ready')
