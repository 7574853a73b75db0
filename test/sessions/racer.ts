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

process.on('message', ({ refreshToken, racers }: { refreshToken: string, racers: number }) => {
  race(refreshToken, racers).then(tokens => process.send?.(tokens), () => process.exit(1))
})

async function close (): Promise<void> {
  await sessions.close()
  await client.close()
}

process.on('disconnect', () => { close().catch(() => process.exit(1)) })

await sessions.open()
process.send?.('ready')
