import { once } from 'node:events'
import { createServer } from 'node:net'
import t, { type Test } from 'tap'
import { createApplication } from '../../example/application.js'
import { openDatabase } from '../../example/database.js'
import { openSessionStore } from '../../example/session-store.js'
import { readSettings } from '../../example/settings.js'

t.test('a client that sends half of a body is not waited for: Fastify would, for ever', async t => {
  const { app } = await createApplication(await readSettings({ PORT: '0' }), { azureMobileServices: true })
  t.equal(app.server.requestTimeout, 10_000)
  await app.close()
})

/** Accepts connections, and never says a word. */
async function silentServer (t: Test) {
  const server = createServer(socket => socket.resume()).listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const address = server.address()
  return { server, host: `127.0.0.1:${typeof address === 'object' ? address?.port : ''}` }
}

t.test('a connection to Redis that has gone silent is given up, and made anew', async t => {
  const { server, host } = await silentServer(t)
  const { store, close } = openSessionStore(`redis://${host}`, undefined)
  t.teardown(close)
  const [socket] = await once(server, 'connection')
  const refused = t.rejects(store.read('no-session'))
  await once(socket, 'close')
  const [another] = await once(server, 'connection')
  t.not(another, socket)
  await close()
  await refused
})

t.test('a PostgreSQL that has gone silent is not waited for', async t => {
  const { host } = await silentServer(t)
  await t.rejects(openDatabase(`postgres://postgres@${host}/postgres`, undefined), /DATABASE_URL names a PostgreSQL/)
})
