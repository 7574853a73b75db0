import { once } from 'node:events'
import t from 'tap'
import { WebSocket } from 'undici'
import { liveServer } from '../../example/recipes/live.js'
import { facebook } from '../../src/providers/index.js'
import { memoryStore } from '../../src/sessions/stores/index.js'
import { startIdentityServer } from '../../src/testing/index.js'
import { secret } from '../server.js'

t.test('a socket opens with a token as its subprotocol, and closes when its session ends', async t => {
  const idp = await startIdentityServer()
  t.teardown(() => idp.close())
  const app = await liveServer({
    issuer: 'http://localhost:3000',
    keys: secret,
    providers: { facebook: facebook(idp.facebook.options) },
    sessions: { store: memoryStore() }
  })
  const address = await app.listen({ port: 0, host: '127.0.0.1' })
  t.teardown(() => app.close())
  const login = await app.inject({
    method: 'POST', url: '/login/facebook', payload: { access_token: idp.facebook.accessToken() }
  })
  const token = String(login.json().access_token)
  const open = (...protocols: string[]) => new WebSocket(`${address.replace('http', 'ws')}/live`, protocols)

  const socket = open('live', `bearer.${token}`)
  const [{ data }] = await once(socket, 'message')
  t.equal(data, 'hello, facebook:10158000000000001')
  t.equal(socket.protocol, 'live', 'the token does not come back')

  const other = app.tokenExchange.issue({ userId: 'ada' }).access_token
  const second = open('live', `bearer.${other}`)
  await once(second, 'message')
  const closed = once(socket, 'close')
  const headers = { authorization: `Bearer ${token}` }
  t.equal((await app.inject({ method: 'POST', url: '/logout', headers })).statusCode, 204)
  const [{ code }] = await closed
  t.equal(code, 4401)
  t.equal(second.readyState, WebSocket.OPEN, 'who is logged in listens on')

  for (const protocols of [['live'], ['live', `bearer.${token}`], ['live', 'bearer.x.y.z']]) {
    const [{ type }] = await once(open(...protocols), 'error')
    t.equal(type, 'error', protocols.length === 1 ? 'without a token' : 'with one that is refused')
  }
})
