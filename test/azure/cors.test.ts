import t from 'tap'
import { ownProvider } from '../server.js'
import { dialectServer } from './server.js'

const origin = 'https://www.example.com'
const cors = { origins: [origin, 'http://localhost:8100'] }

t.test('every answer to a listed origin can be read by it', async t => {
  const { app, token } = await dialectServer({ cors, permissions: () => { throw new Error('down') } })
  app.get('/broken', () => { throw new Error('broken') })
  const rows: Array<[number, object]> = [
    [200, { url: '/api/everyone' }],
    [401, { url: '/api/admin' }],
    [401, { url: '/api/admin', headers: { origin, 'x-zumo-auth': token() } }],
    [401, { method: 'POST', url: '/login/nobody', payload: { access_token: 'good' } }],
    [404, { url: '/nowhere' }],
    [413, { method: 'POST', url: '/login/facebook', payload: { access_token: 'x'.repeat(40_000) } }],
    [500, { url: '/broken' }],
    [503, { method: 'POST', url: '/login/facebook', payload: { access_token: 'good' } }]
  ]
  for (const [status, request] of rows) {
    const answer = await app.inject({ headers: { origin }, ...request })
    const name = `${status} ${JSON.stringify(request).slice(0, 60)}`
    t.equal(answer.statusCode, status, name)
    t.equal(answer.headers['access-control-allow-origin'], origin, name)
    t.match(answer.headers.vary, /\borigin\b/i, name)
    t.match(answer.headers['access-control-expose-headers'], /Link.*ETag/, name)
    t.notOk(answer.headers['access-control-allow-credentials'], name)
  }
})

t.test('OPTIONS is answered to anybody, on any path', async t => {
  const { app } = await dialectServer({ cors, defaultLevel: 'admin', providers: { facebook: ownProvider() } })
  const asked = 'x-zumo-auth, x-zumo-installation-id, content-type, if-match'
  for (const url of ['/api/admin', '/login/facebook', '/nowhere']) {
    for (const headers of [
      {},
      { origin },
      { origin, 'access-control-request-method': 'PATCH', 'access-control-request-headers': asked },
      { origin: 'https://other.example' }
    ]) {
      const answer = await app.inject({ method: 'OPTIONS', url, headers })
      const name = `${url} ${JSON.stringify(headers)}`
      t.equal(answer.statusCode, 204, name)
      t.equal(answer.body, '', name)
      t.equal(
        answer.headers['access-control-allow-origin'],
        'origin' in headers && headers.origin === origin ? origin : undefined,
        name
      )
      t.equal(answer.headers['access-control-allow-methods'], 'GET, HEAD, PUT, PATCH, POST, DELETE, OPTIONS', name)
      t.equal(answer.headers['access-control-max-age'], '300', name)
      if ('access-control-request-headers' in headers) {
        t.equal(answer.headers['access-control-allow-headers'], asked, name)
      }
    }
  }
})

t.test('another origin is served, without CORS headers', async t => {
  const { app } = await dialectServer({ cors })
  for (const other of [
    'https://other.example',
    'https://www.example.com.evil.example',
    'null',
    'https://WWW.example.com'
  ]) {
    const answer = await app.inject({ url: '/api/everyone', headers: { origin: other } })
    t.equal(answer.statusCode, 200, other)
    t.same(
      Object.keys(answer.headers).filter(name => name.startsWith('access-control-')),
      [],
      other
    )
  }
})
