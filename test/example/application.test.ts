import { once } from 'node:events'
import { createServer } from 'node:net'
import t from 'tap'
import { createApplication } from '../../example/application.js'
import { openSessionStore } from '../../example/session-store.js'
import { readSettings } from '../../example/settings.js'

t.test('a client that sends half of a body is not waited for: Fastify would, for ever', async t => {
  const { app } = await createApplication(await readSettings({ PORT: '0' }), { azureMobileServices: true })
  t.equal(app.server.requestTimeout, 10_000)
  await app.close()
})

t.test('a connection to Redis that has gone silent is given up', async t => {
  const silent = createServer(socket => socket.resume()).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  const address = silent.address()
  const port = typeof address === 'object' ? address?.port : undefined
  const { store, close } = openSessionStore(`redis://127.0.0.1:${port}`, undefined)
  t.teardown(async () => {
    await close()
    silent.close()
  })
  const [socket] = await once(silent, 'connection')
  const given = store.read('no-session').catch(() => null)
  await once(socket, 'close')
  const [another] = await once(silent, 'connection')
  t.not(another, socket, 'and made anew')
  await close()
  t.equal(await given, null)
})
