import { once } from 'node:events'
import { connect } from 'node:net'
import t from 'tap'
import { dialectServer } from '../server.js'

/** One HTTP exchange as that client writes it. */
async function exchange (
  port: number,
  method: string,
  path: string,
  headers: Record<string, string>,
  body = ''
): Promise<{ status: number, body: string }> {
  const socket = connect(port, '127.0.0.1')
  const lines = [
    `${method} ${path} HTTP/1.1`,
    'Host: api.example.com',
    'Connection: close',
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`)
  ]
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`)
  let received = ''
  socket.setEncoding('utf8').on('data', chunk => {
    received += chunk
  })
  await once(socket, 'close')
  return { status: Number(received.slice(9, 12)), body: received.slice(received.indexOf('\r\n\r\n') + 4) }
}

t.test('a Titanium-style client: a form to log in, a JSON content type on every call', async t => {
  const { app } = await dialectServer()
  app.delete('/tables/todoitem/:id', { onRequest: app.requireLevel('authenticated') }, (_request, reply) =>
    reply.code(204).send()
  )
  await app.listen({ port: 0, host: '127.0.0.1' })
  t.teardown(() => app.close())
  const address = app.server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const common = {
    'User-Agent': 'Appcelerator Titanium/3.2.0',
    'X-Titanium-Id': '0b1c',
    'X-Requested-With': 'XMLHttpRequest',
    'X-ZUMO-INSTALLATION-ID': '6d4f',
    'X-ZUMO-APPLICATION': 'not-a-key-of-this-server'
  }
  const form = 'access_token=good&expires_in=5183944'
  const login = await exchange(
    port,
    'POST',
    '/login/facebook',
    { ...common, 'Content-Type': 'application/x-www-form-urlencoded', 'Content-Length': String(form.length) },
    form
  )
  t.equal(login.status, 200)
  const { authenticationToken, user } = JSON.parse(login.body)
  t.equal(user.userId, 'facebook:10158')

  const calls = {
    ...common,
    'Content-Type': 'application/json',
    Accept: 'application/json',
    'X-ZUMO-AUTH': authenticationToken
  }
  const rows: Array<[string, string, Record<string, string>, number]> = [
    ['GET', '/api/authenticated', {}, 200],
    ['GET', '/api/admin', {}, 401],
    ['DELETE', '/tables/todoitem/1', {}, 204],
    ['DELETE', '/tables/todoitem/1', { 'Content-Length': '0' }, 204],
    ['HEAD', '/api/authenticated', {}, 200],
    ['GET', '/.auth/me', {}, 200]
  ]
  for (const [method, path, more, status] of rows) {
    const answer = await exchange(port, method, path, { ...calls, ...more })
    t.equal(answer.status, status, `${method} ${path} ${JSON.stringify(more)}`)
  }
  const twice = await exchange(port, 'GET', '/api/everyone', { ...calls, 'x-zumo-auth': authenticationToken })
  t.equal(twice.status, 400, 'two tokens')
})
