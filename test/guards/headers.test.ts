import { connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import Fastify from 'fastify'
import t from 'tap'
import { tokenExchange } from '../../src/index.js'
import { applicationKey, codeIn, guardsOnly, masterKey, startApp, startUsersApp } from '../server.js'
import { getOverHttp2 } from './raw-http2.js'

type Lines = ReadonlyArray<readonly [string, string]>
type Send = (headers: Lines) => Promise<{ status: number, code: string | undefined, challenge: string | undefined }>

const app = await startUsersApp(t)
const http2App = Fastify({ http2: true })
t.teardown(() => http2App.close())
await http2App.register(tokenExchange, guardsOnly)
http2App.get('/', { onRequest: http2App.requireLevel('authenticated') }, request => request.auth)
let answer: (outcome: Awaited<ReturnType<Send>>) => void = () => {}
http2App.addHook('onSend', async (_request, reply, payload) => {
  answer({
    status: reply.statusCode,
    code: codeIn(String(payload)),
    challenge: reply.getHeader('www-authenticate')?.toString()
  })
})
await app.listen({ port: 0, host: '127.0.0.1' })
await http2App.listen({ port: 0, host: '127.0.0.1' })
const portOf = (server: typeof app.server | typeof http2App.server): number => {
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

const token = app.tokenExchange.issue({ userId: 'ada' }).access_token
const other = app.tokenExchange.issue({ userId: 'eve', level: 'admin' }).access_token

/** HTTP/1.1 as bytes: nothing between the test and Node's parser. */
const overSocket: Send = async headers => {
  const socket: Socket = connect(portOf(app.server), '127.0.0.1')
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  socket.end(Buffer.from(`GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${lines}\r\n`, 'latin1'))
  const answer = await text(socket)
  const [head = '', body = ''] = answer.split('\r\n\r\n')
  return {
    status: Number(head.slice(9, 12)),
    code: codeIn(body),
    challenge: /^www-authenticate: (.*)$/im.exec(head)?.[1]
  }
}

const injected: Send = async headers => {
  const grouped: Record<string, string[]> = {}
  for (const [name, value] of headers) (grouped[name.toLowerCase()] ??= []).push(value)
  const answer = await app.inject({ url: '/', headers: grouped })
  return {
    status: answer.statusCode,
    code: codeIn(answer.body),
    challenge: answer.headers['www-authenticate']?.toString()
  }
}

// What it answered is asked of the server itself, which saves the test from reading HPACK.
const overHttp2: Send = async headers => {
  const answered = new Promise<Awaited<ReturnType<Send>>>(resolve => { answer = resolve })
  await getOverHttp2(portOf(http2App.server), '/', headers)
  return answered
}

const good = `Bearer ${token}`
const ok = { status: 200, code: undefined }
const missing = { status: 401, code: 'AUTH_ERR_CREDENTIAL_MISSING', challenge: 'Bearer' }
const invalid = { status: 401, code: 'AUTH_ERR_TOKEN_INVALID', challenge: 'Bearer error="invalid_token"' }
const twice = { status: 400, code: 'AUTH_ERR_REQUEST_INVALID' }

const rows: Array<[string, Lines, object]> = [
  ['Bearer', [['Authorization', good]], ok],
  ['bearer', [['authorization', `bearer ${token}`]], ok],
  ['BEARER', [['AUTHORIZATION', `BEARER ${token}`]], ok],
  ['BeArEr', [['Authorization', `BeArEr ${token}`]], ok],
  ['the bare header', [['X-ZUMO-AUTH', token]], ok],
  ['the bare header in lower case', [['x-zumo-auth', token]], ok],
  [
    'two carriers, one token',
    [
      ['Authorization', good],
      ['X-ZUMO-AUTH', token]
    ],
    ok
  ],
  [
    'two carriers, one empty',
    [
      ['Authorization', good],
      ['X-ZUMO-AUTH', '']
    ],
    ok
  ],
  [
    'another scheme beside the bare header',
    [
      ['Authorization', 'Basic eDp5'],
      ['X-ZUMO-AUTH', token]
    ],
    ok
  ],
  ['nothing', [], missing],
  ['an empty Authorization', [['Authorization', '']], missing],
  ['an empty bare header', [['X-ZUMO-AUTH', '']], missing],
  ['Basic', [['Authorization', 'Basic eDp5']], missing],
  ['BearerX', [['Authorization', `BearerX ${token}`]], missing],
  ['Bearer-', [['Authorization', `Bearer-Token ${token}`]], missing],
  ['Digest', [['Authorization', 'Digest username="x"']], missing],
  ['the token alone', [['Authorization', token]], missing],
  [
    'a label that ends like ours',
    [
      ['X-X-ZUMO-AUTH', token],
      ['X-ZUMO-AUTH2', token]
    ],
    missing
  ],
  ['a cookie', [['Cookie', `authorization=${token}; x-zumo-auth=${token}`]], missing],
  ['Proxy-Authorization', [['Proxy-Authorization', good]], missing],
  ['Bearer alone', [['Authorization', 'Bearer']], invalid],
  ['Bearer null', [['Authorization', 'Bearer null']], invalid],
  ['Bearer undefined', [['Authorization', 'Bearer undefined']], invalid],
  ['two spaces', [['Authorization', `Bearer  ${token}`]], invalid],
  ['a tab', [['Authorization', `Bearer\t${token}`]], invalid],
  ['a space and a tab', [['Authorization', `Bearer \t${token}`]], invalid],
  ['a no-break space', [['Authorization', `Bearer\u00a0${token}`]], invalid],
  ['a space and a no-break space', [['Authorization', `Bearer \u00a0${token}`]], invalid],
  ['a no-break space after', [['Authorization', `${good}\u00a0`]], invalid],
  ['non-ASCII', [['Authorization', 'Bearer t\u00f6ken']], invalid],
  ['non-ASCII in the bare header', [['X-ZUMO-AUTH', 't\u00f6ken']], invalid],
  ['non-ASCII after the token', [['X-ZUMO-AUTH', `${token}\u00e9`]], invalid],
  ['a colon', [['Authorization', `Bearer: ${token}`]], invalid],
  ['an equals sign', [['Authorization', `Bearer=${token}`]], invalid],
  ['a comma', [['Authorization', `Bearer,${token}`]], invalid],
  ['two tokens', [['Authorization', `Bearer ${token} ${token}`]], invalid],
  ['two schemes', [['Authorization', `Bearer Bearer ${token}`]], invalid],
  ['two credentials in one', [['Authorization', `${good}, Basic eDp5`]], invalid],
  ['quotes', [['Authorization', `Bearer "${token}"`]], invalid],
  ['Bearer in the bare header', [['X-ZUMO-AUTH', good]], invalid],
  ['two in the bare header', [['X-ZUMO-AUTH', `${token}, ${token}`]], invalid],
  ['10 kB', [['Authorization', `Bearer ${'a'.repeat(10_000)}`]], invalid],
  [
    'a malformed Bearer beside a good bare header',
    [
      ['Authorization', 'Bearer'],
      ['X-ZUMO-AUTH', token]
    ],
    invalid
  ],
  [
    'Authorization twice',
    [
      ['Authorization', good],
      ['Authorization', good]
    ],
    twice
  ],
  [
    'Authorization twice, good first',
    [
      ['Authorization', good],
      ['Authorization', `Bearer ${other}`]
    ],
    twice
  ],
  [
    'Authorization twice, good last',
    [
      ['Authorization', 'Bearer x'],
      ['authorization', good]
    ],
    twice
  ],
  [
    'Authorization twice, Basic first',
    [
      ['Authorization', 'Basic eDp5'],
      ['Authorization', good]
    ],
    twice
  ],
  [
    'Authorization twice, Basic last',
    [
      ['Authorization', good],
      ['Authorization', 'Basic eDp5']
    ],
    twice
  ],
  [
    'Authorization twice, once empty',
    [
      ['Authorization', ''],
      ['Authorization', good]
    ],
    twice
  ],
  [
    'Authorization twice, apart',
    [
      ['Authorization', good],
      ['Accept', '*/*'],
      ['Authorization', good]
    ],
    twice
  ],
  [
    'the bare header twice',
    [
      ['X-ZUMO-AUTH', token],
      ['x-zumo-auth', token]
    ],
    twice
  ],
  [
    'the bare header twice, once empty',
    [
      ['X-ZUMO-AUTH', ''],
      ['X-ZUMO-AUTH', token]
    ],
    twice
  ],
  [
    'two carriers that differ',
    [
      ['Authorization', good],
      ['X-ZUMO-AUTH', other]
    ],
    twice
  ],
  [
    'two carriers that differ, the other way',
    [
      ['X-ZUMO-AUTH', token],
      ['Authorization', `Bearer ${other}`]
    ],
    twice
  ],
  [
    'the application key twice',
    [
      ['Authorization', good],
      ['X-ZUMO-APPLICATION', applicationKey],
      ['X-ZUMO-APPLICATION', applicationKey]
    ],
    twice
  ],
  [
    'the application key twice, once wrong',
    [
      ['Authorization', good],
      ['X-ZUMO-APPLICATION', 'x'],
      ['X-ZUMO-APPLICATION', applicationKey]
    ],
    twice
  ],
  [
    'the master key twice',
    [
      ['X-ZUMO-MASTER', masterKey],
      ['X-ZUMO-MASTER', masterKey]
    ],
    twice
  ]
]

for (const [name, send] of [['HTTP/1.1', overSocket], ['inject', injected], ['HTTP/2', overHttp2]] as const) {
  t.test(`credentials over ${name}`, async t => {
    for (const [what, headers, outcome] of rows) t.match(await send(headers), outcome, what)
  })
}

t.test('15 kB', async t => {
  t.match(await injected([['Authorization', `Bearer ${'a'.repeat(15_000)}`]]), invalid)
  t.match(await overSocket([['X-ZUMO-AUTH', 'a'.repeat(15_000)]]), invalid)
  t.match(await overSocket([['X-ZUMO-AUTH', token], ['X-ZUMO-MASTER', 'k'.repeat(14_000)]]), ok)
  t.equal((await overSocket([['X-ZUMO-AUTH', 'a'.repeat(40_000)]])).status, 431, 'Node\'s own limit')
})

t.test('blanks around a value are not the value (RFC 9110, 5.5)', async t => {
  for (const value of [` ${token}`, `\t${token}\t`, `${token}   `]) {
    t.match(await overSocket([['X-ZUMO-AUTH', value]]), ok)
  }
  t.match(await overSocket([['Authorization', `${good}  `]]), ok)
  t.match(await overSocket([['Authorization', 'Bearer ']]), invalid)
  t.match(await overSocket([['X-ZUMO-AUTH', '   ']]), missing)
})

t.test('query strings and bodies are never read for tokens', async t => {
  const query = new URLSearchParams({ access_token: token, authorization: good, 'x-zumo-auth': token, token })
  const answer = await app.inject({ url: `/?${query}` })
  t.equal(answer.statusCode, 401)
  t.match(answer.json(), { code: 'AUTH_ERR_CREDENTIAL_MISSING' })
})

t.test('other header names', async t => {
  const renamed = await startApp(t, {
    headers: { token: 'X-Token', applicationKey: 'x-app', masterKey: 'x-root' }
  })
  renamed.get('/', { onRequest: renamed.requireLevel('everyone') }, request => request.auth)
  const answer = await renamed.inject({
    url: '/',
    headers: { 'x-token': token, 'x-app': applicationKey, 'x-root': masterKey }
  })
  t.match(answer.json(), { user: { id: 'ada' }, application: 'ios', master: 'ops' })
  const former = await renamed.inject({
    url: '/',
    headers: { 'x-zumo-auth': 'x', 'x-zumo-application': applicationKey, 'x-zumo-master': masterKey }
  })
  t.strictSame(former.json(), { level: 'everyone', user: null, application: null, master: null })
})
