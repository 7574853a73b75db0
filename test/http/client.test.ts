import { gzipSync } from 'node:zlib'
import { getEventListeners, once } from 'node:events'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { mock } from 'node:test'
import t from 'tap'
import { Dispatcher } from 'undici'
import { requestJson, requireDispatch, wholeAnswer } from '../../src/http/client.js'
import { fakeServer, json, raw, type Handler } from './fake-server.js'

const unavailable = { code: 'AUTH_ERR_PROVIDER_UNAVAILABLE' }

t.test('an answer is its status, headers and JSON, whatever its content type', async t => {
  const fake = await fakeServer(t, raw('{"id":1}', 200, { 'content-type': 'text/html', etag: '"1"' }))
  const { status, headers, body } = await requestJson(fake.url)
  t.strictSame({ status, etag: headers.etag, body }, { status: 200, etag: '"1"', body: { id: 1 } })
  t.equal(fake.requests[0]?.headers['accept-encoding'], 'identity')
})

t.test('a form and a JSON body are sent by POST', async t => {
  const fake = await fakeServer(t, json({}))
  await requestJson(fake.url, { form: { a: 'b&c=d' }, headers: { authorization: 'Basic eA==' } })
  await requestJson(fake.url, { json: { a: 'b' } })
  t.match(fake.requests, [
    {
      method: 'POST',
      body: 'a=b%26c%3Dd',
      headers: { 'content-type': 'application/x-www-form-urlencoded', authorization: 'Basic eA==' }
    },
    { method: 'POST', body: '{"a":"b"}', headers: { 'content-type': 'application/json' } }
  ])
})

t.test('4xx is the caller\'s to judge, with its body where that is JSON', async t => {
  const fake = await fakeServer(t, json({ error: 'invalid_grant' }, 400))
  t.match(await requestJson(fake.url), { status: 400, body: { error: 'invalid_grant' } })
  fake.answer = raw('<html>', 404)
  t.match(await requestJson(fake.url), { status: 404, body: undefined })
})

t.test('a lone integer keeps every digit, too', async t => {
  const fake = await fakeServer(t, raw('10158000000000000001'))
  t.equal((await requestJson(fake.url)).body, '10158000000000000001')
})

t.test('integers beyond 2^53 keep every digit; what stands in a string stays as it is', async t => {
  const fake = await fakeServer(
    t,
    raw(
      '{"a":10158000000000000001,"b":[-90071992547409931,9007199254740991,1.5e300],' +
        '"c":"10158000000000000001 \\" 10158000000000000003"}'
    )
  )
  t.strictSame((await requestJson(fake.url)).body, {
    a: '10158000000000000001',
    b: ['-90071992547409931', 9007199254740991, 1.5e300],
    c: '10158000000000000001 " 10158000000000000003'
  })
})

const deep = '['.repeat(200_000) + ']'.repeat(200_000)
const junk: Record<string, Handler> = {
  'status 500': json({}, 500),
  'status 503': raw('busy', 503),
  'status 429': json({}, 429),
  'a redirect': raw('', 302, { location: 'http://127.0.0.1:9/inward' }),
  'a permanent redirect': raw('', 308, { location: '/elsewhere' }),
  HTML: raw('<!doctype html>', 200, { 'content-type': 'application/json' }),
  'truncated JSON': raw('{"a":'),
  'a body shorter than announced': (_request, response) => {
    response.writeHead(200, { 'content-length': 100 }).write('{"a":1}', () => response.destroy())
  },
  'bytes that are not UTF-8': raw(Buffer.from([0x22, 0xff, 0xfe, 0x22])),
  'deep JSON': raw(deep),
  'a repeated member': raw('{"a":1,"\\u0061":2}'),
  'a repeated member, a colon in a string': raw('{"a" :1,"b":"\\":","a":2}'),
  'a repeated member, an address in a string': raw('{"a":"x:/","a":1}'),
  'a repeated member, deeply': raw('{"b":{"c":[{"a":1,"a":2}]}}'),
  gzip: raw(gzipSync('{"a":1}'), 200, { 'content-encoding': 'gzip' }),
  'a gzip bomb': raw(gzipSync(Buffer.alloc(50_000_000, ' ')), 200, { 'content-encoding': 'gzip' }),
  'an announced 400 MB': (_request, response) => {
    response.writeHead(200, { 'content-length': 400_000_000 }).write('[')
  },
  'one byte too much': raw(' '.repeat(512 * 1024 - 1) + '{}'),
  'a reset': request => {
    request.socket.resetAndDestroy()
  }
}

for (const [name, answer] of Object.entries(junk)) {
  t.test(`${name} is no answer`, async t => {
    const fake = await fakeServer(t, answer)
    await t.rejects(requestJson(fake.url), unavailable)
    t.equal(fake.calls.length, 1, 'and nothing else is called')
  })
}

t.test('512 KiB are read', async t => {
  const fake = await fakeServer(t, raw(' '.repeat(512 * 1024 - 2) + '{}'))
  t.strictSame((await requestJson(fake.url)).body, {})
})

t.test('a stream of 400 MB is cut off after 512 KiB', async t => {
  let sent = 0
  const fake = await fakeServer(t, (_request, response) => {
    const chunk = Buffer.alloc(64 * 1024, ' ')
    const more = () => {
      while (sent < 400_000_000 && !response.destroyed) {
        sent += chunk.length
        if (!response.write(chunk)) {
          response.once('drain', more)
          return
        }
      }
    }
    response.writeHead(200)
    more()
  })
  const before = process.memoryUsage().rss
  await t.rejects(requestJson(fake.url), unavailable)
  t.ok(sent < 20_000_000, `${sent} bytes were sent`)
  t.ok(process.memoryUsage().rss - before < 60_000_000, 'memory')
})

// RFC 9110, 15.2
t.test('what comes before the answer is not the answer', async t => {
  const fake = await fakeServer(t, (request, response) => {
    response.writeEarlyHints({ link: '</style.css>; rel=preload', 'content-encoding': 'gzip' })
    response.writeProcessing()
    json({ id: 1 })(request, response, '')
  })
  const { status, headers, body } = await requestJson(fake.url)
  t.strictSame(
    { status, body, link: headers.link, encoding: headers['content-encoding'] },
    { status: 200, body: { id: 1 }, link: undefined, encoding: undefined }
  )
})

t.test('an answer in pieces is one, wherever it is cut', async t => {
  const text = Buffer.from('{"name":"Zoë"}')
  const cut = text.indexOf(0xc3) + 1
  const fake = await fakeServer(t, (_request, response) => {
    response.write(text.subarray(0, cut), () => response.end(text.subarray(cut)))
  })
  t.strictSame((await requestJson(fake.url)).body, { name: 'Zoë' })
})

t.test('small refusals one after the other do not need a connection each', async t => {
  for (const status of [302, 429, 503]) {
    const fake = await fakeServer(t, json({ error: 'busy' }, status))
    for (let call = 0; call < 10; call++) {
      await t.rejects(requestJson(fake.url), { ...unavailable, reason: `status ${status}` })
    }
    // undici may take a second one where the first is just being freed.
    t.ok(fake.connections() <= 2, `${fake.connections()} connections`)
  }
})

t.test('a refusal that is not over ends its connection', async t => {
  const closed: Array<Promise<unknown>> = []
  const fake = await fakeServer(t, (_request, response) => {
    closed.push(once(response, 'close'))
    response.writeHead(503).write('on and')
  })
  await t.rejects(requestJson(fake.url), { ...unavailable, reason: 'status 503' })
  await Promise.all(closed)
})

t.test('a call leaves nothing behind on the caller\'s signal', async t => {
  for (const answer of [json({}), json({}, 503), raw('junk'), junk['a reset'] ?? json({})]) {
    const { signal } = new AbortController()
    const fake = await fakeServer(t, answer)
    await requestJson(fake.url, { context: { signal } }).catch(() => {})
    t.equal(fake.calls.length, 1)
    t.strictSame(getEventListeners(signal, 'abort'), [])
  }
})

const endless: Record<string, Handler> = {
  'a hang before the status': () => {},
  'a hang before the body': (_request, response) => { response.writeHead(200).flushHeaders() },
  'a trickle': (_request, response) => {
    response.writeHead(200)
    const timer = setInterval(() => response.write(' '), 1)
    response.on('close', () => clearInterval(timer))
  }
}

for (const [name, answer] of Object.entries(endless)) {
  t.test(`${name} ends with the caller's signal, and so does its connection`, async t => {
    const controller = new AbortController()
    const closed: Array<Promise<unknown>> = []
    const fake = await fakeServer(t, (request, response, body) => {
      closed.push(once(response, 'close'))
      answer(request, response, body)
      setImmediate(() => controller.abort())
    })
    await t.rejects(requestJson(fake.url, { context: controller }), {
      ...unavailable,
      reason: 'aborted at the deadline'
    })
    t.equal(closed.length, 1)
    await Promise.all(closed)
  })
}

t.test('without any signal a call ends after 5 s in all', async t => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const fake = await fakeServer(t, (_request, response) => {
    response.writeHead(200).write(' ', () => mock.timers.tick(5000))
  })
  await t.rejects(requestJson(fake.url), { ...unavailable, reason: 'aborted at the deadline' })
})

t.test('within the caller\'s deadline an answer may take as long as it likes', async t => {
  // The clock of undici's own timeouts: one tick starts them, the next ends them.
  const clock: { tick (milliseconds: number): void } = createRequire(import.meta.url)('undici/lib/util/timers.js')
  const later = () => { clock.tick(20_000); clock.tick(20_000) }
  const fake = await fakeServer(t, (_request, response) => {
    later()
    response.writeHead(200).write('{', () => { later(); response.end('"id":1}') })
  })
  t.match(await requestJson(fake.url, { context: new AbortController() }), { body: { id: 1 } })
})

t.test('an aborted signal makes no call', async t => {
  const fake = await fakeServer(t, json({}))
  await t.rejects(requestJson(fake.url, { context: { signal: AbortSignal.abort() } }), unavailable)
  t.strictSame(fake.calls, [])
})

t.test('the reason is a code without an address', async t => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : 0
  await new Promise(resolve => server.close(resolve))
  await t.rejects(requestJson(`http://127.0.0.1:${port}/path?secret=s`), {
    ...unavailable,
    reason: 'ECONNREFUSED',
    cause: undefined
  })
})

/** Every connection is taken: calls wait until `giveConnection` gives them one. */
class Busy extends Dispatcher {
  readonly waiting: Dispatcher.DispatchHandler[] = []

  override dispatch (_request: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    this.waiting.push(handler)
    return false
  }

  /** The reasons for which the calls ended the connection that they got. */
  giveConnection (): Error[] {
    const reasons: Error[] = []
    const connection = {
      aborted: false,
      paused: false,
      reason: null,
      pause () {},
      resume () {},
      abort (reason: Error) {
        reasons.push(reason)
      }
    }
    for (const handler of this.waiting) handler.onRequestStart?.(connection, {})
    return reasons
  }
}

t.test('a call that waits for a connection ends with the signal, and is not sent when it gets one', async t => {
  const busy = new Busy()
  const controller = new AbortController()
  const reason = new Error('the deadline')
  const answer = wholeAnswer(busy, { path: '/', method: 'GET' }, controller.signal)
  controller.abort(reason)
  await t.rejects(answer, reason)
  t.strictSame(busy.giveConnection(), [reason])
})

t.test('a runtime whose undici cannot dispatch is told so', async t => {
  t.throws(() => requireDispatch({}), { code: 'AUTH_ERR_OPTION_INVALID', message: /Bun/ })
  t.doesNotThrow(() => requireDispatch())
})
