// An application of its own process: its address first, then its clock is set by as many milliseconds as it is told.
import { memoryStore } from '../../src/sessions/stores/memory.js'
import { buildServer, ownProvider } from '../server.js'
import { connectTo, type StoreClient } from './private-stores.js'

const [, , address = 'memory', ahead = '0'] = process.argv
const realNow = Date.now
const setAhead = (milliseconds: number): void => { Date.now = () => realNow() + milliseconds }
setAhead(Number(ahead))

const client: StoreClient = address === 'memory' ? { store: memoryStore(), close: async () => {} } : connectTo(address)
// The clocks of these servers differ by 30 s: without a tolerance each would refuse what the other has just issued.
const app = await buildServer({
  clockTolerance: 60,
  providers: { own: ownProvider() },
  sessions: { store: client.store }
})
app.get('/guarded', { onRequest: app.requireUser() }, request => request.auth.user)
const url = await app.listen({ host: '127.0.0.1', port: 0 })

process.on('message', (milliseconds: number) => {
  setAhead(milliseconds)
  process.send?.('set')
})

async function close (): Promise<void> {
  await app.close()
  await client.close()
}

process.on('disconnect', () => { close().catch(() => process.exit(1)) })

process.send?.(url)
