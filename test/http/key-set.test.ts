import { getEventListeners, once } from 'node:events'
import { mock } from 'node:test'
import { exportJWK } from 'jose'
import t, { type Test } from 'tap'
import { server as onBehalf } from '../../src/deadline.js'
import { errors } from '../../src/errors.js'
import { createKeySet, type KeySet } from '../../src/http/key-set.js'
import { discover } from '../../src/http/discovery.js'
import { fakeServer, json, raw } from './fake-server.js'
import { issuerKey } from './issuer-keys.js'

const rejected = { code: 'AUTH_ERR_GRANT_REJECTED' }
const unavailable = { code: 'AUTH_ERR_PROVIDER_UNAVAILABLE' }
const signal = new AbortController().signal
const nobody = new AbortController()
const second = 1000
const hour = 3600 * second

const [one, two, weak, curve] = await Promise.all([
  issuerKey('one'), issuerKey('two'), issuerKey('weak'), issuerKey('curve', 'ES256')
])

/** A key set, as somebody sees it who waits for what has to be waited for. */
function waiting (keys: KeySet) {
  return {
    key: async (kid: string, algorithm: string, signal: AbortSignal, closing?: AbortSignal) =>
      await keys.key(kid, algorithm, {
        signal,
        ...(closing !== undefined && { [onBehalf]: { enter () {}, closing } })
      })
  }
}

function keysAt (url: string) {
  return waiting(createKeySet(url))
}

/** Waits for a fetch that runs behind: who misses a key joins it. */
async function landed (t: Test, keys: ReturnType<typeof keysAt>): Promise<void> {
  await t.rejects(keys.key('nobody', 'RS256', signal), rejected)
}

t.beforeEach(() => mock.timers.enable({ apis: ['Date'], now: 1_750_000_000_000 }))
t.afterEach(() => mock.timers.reset())

t.test('keys are fetched once, by however many callers', async t => {
  const fake = await fakeServer(t, json({ keys: [one.jwk, two.jwk] }))
  const keys = keysAt(fake.url)
  const found = await Promise.all(
    Array.from({ length: 100 }, (_, i) => keys.key(i % 2 === 0 ? 'one' : 'two', 'RS256', signal))
  )
  t.equal(fake.calls.length, 1)
  t.equal(found[0]?.publicKey, found[2]?.publicKey, 'and imported once')
  mock.timers.tick(600 * second - 1)
  await keys.key('one', 'RS256', signal)
  t.equal(fake.calls.length, 1, 'in ten minutes')
  mock.timers.tick(1)
  await keys.key('one', 'RS256', signal)
  await landed(t, keys)
  t.equal(fake.calls.length, 2)
})

t.test('a known key is there at once, whatever its age, and one fetch runs behind it', async t => {
  const fake = await fakeServer(t, json({ keys: [one.jwk] }))
  const keys = createKeySet(fake.url)
  const key = await keys.key('one', 'RS256', nobody)
  t.strictSame(keys.key('one', 'RS256', nobody), key, 'in the same turn')
  const asked = new Promise<void>(resolve => { fake.answer = () => resolve() })
  mock.timers.tick(24 * hour - 1)
  for (let login = 0; login < 100; login++) t.strictSame(keys.key('one', 'RS256', nobody), key)
  await asked
  t.strictSame(keys.key('one', 'RS256', nobody), key, 'while the provider hangs')
  t.equal(fake.calls.length, 2)
})

t.test('who misses a key while a fetch is on its way waits for it', async t => {
  const { fake, keys, arrived, release } = await heldBack(t, [two.jwk])
  const held = fake.answer
  fake.answer = json({ keys: [one.jwk] })
  await keys.key('one', 'RS256', signal)
  fake.answer = held
  const found = [keys.key('two', 'RS256', signal)]
  await arrived
  found.push(keys.key('two', 'RS256', signal))
  release()
  for (const { jwk } of await Promise.all(found)) t.equal(jwk.kid, 'two')
  t.equal(fake.calls.length, 2)
})

t.test('who has to wait takes a place first, and nobody else does', async t => {
  const full = { signal, [onBehalf]: { enter () { throw new errors.OverloadedError() }, closing: signal } }
  const { fake, arrived, release } = await heldBack(t)
  const keys = createKeySet(fake.url)
  const ask = async (kid: string) => await keys.key(kid, 'RS256', full)
  const overloaded = { code: 'AUTH_ERR_OVERLOADED' }
  await t.rejects(ask('one'), overloaded, 'for the first fetch')
  t.strictSame(fake.calls, [])
  const first = waiting(keys).key('one', 'RS256', signal)
  await arrived
  await t.rejects(ask('one'), overloaded, 'for that of another')
  release()
  await first
  t.equal((await ask('one')).jwk.kid, 'one', 'not for a key that is known')
  mock.timers.tick(hour)
  t.equal((await ask('one')).jwk.kid, 'one', 'however old')
})

t.test('a rotated key is found at once, a withdrawn one is gone with the next refresh', async t => {
  const fake = await fakeServer(t, json({ keys: [one.jwk] }))
  const keys = keysAt(fake.url)
  await keys.key('one', 'RS256', signal)
  fake.answer = json({ keys: [two.jwk] })
  await keys.key('one', 'RS256', signal)
  await keys.key('two', 'RS256', signal)
  await t.rejects(keys.key('one', 'RS256', signal), rejected)
  t.equal(fake.calls.length, 2, 'nobody looks for it again within 30 s')
})

t.test('500 unknown kids cause one fetch, and one more 30 s later', async t => {
  const fake = await fakeServer(t, json({ keys: [one.jwk] }))
  const keys = keysAt(fake.url)
  await keys.key('one', 'RS256', signal)
  for (let i = 0; i < 500; i++) await t.rejects(keys.key(`unknown-${i}`, 'RS256', signal), rejected)
  t.equal(fake.calls.length, 2)
  mock.timers.tick(30 * second)
  await t.rejects(keys.key('unknown', 'RS256', signal), rejected)
  t.equal(fake.calls.length, 3)
})

t.test('500 unknown kids at a cold start cause one fetch', async t => {
  const fake = await fakeServer(t, json({ keys: [one.jwk] }))
  const keys = keysAt(fake.url)
  const results = await Promise.allSettled(
    Array.from({ length: 500 }, (_, i) => keys.key(`unknown-${i}`, 'RS256', signal))
  )
  t.ok(results.every(result => result.status === 'rejected' && result.reason.code === rejected.code))
  await t.rejects(keys.key('unknown', 'RS256', signal), rejected)
  t.equal(fake.calls.length, 1)
})

t.test('failures are backed off 1, 2, 4 … 30 s', async t => {
  const fake = await fakeServer(t, json({}, 500))
  const keys = keysAt(fake.url)
  for (const [failures, seconds] of [1, 2, 4, 8, 16, 30, 30].entries()) {
    await t.rejects(keys.key('one', 'RS256', signal), { ...unavailable, reason: 'status 500' })
    t.equal(fake.calls.length, failures + 1)
    mock.timers.tick(seconds * second - 1)
    await t.rejects(keys.key('one', 'RS256', signal), unavailable)
    t.equal(fake.calls.length, failures + 1, `none within ${seconds} s`)
    mock.timers.tick(1)
  }
  fake.answer = json({ keys: [one.jwk] })
  await keys.key('one', 'RS256', signal)
})

t.test('while the provider is down', async t => {
  const fake = await fakeServer(t, json({ keys: [one.jwk] }))
  const keys = keysAt(fake.url)
  await keys.key('one', 'RS256', signal)
  fake.answer = request => { request.socket.destroy() }
  await t.rejects(keys.key('two', 'RS256', signal), unavailable, 'nobody can tell about an unknown kid')
  await t.rejects(keys.key('two', 'RS256', signal), unavailable)
  t.equal(fake.calls.length, 2)
  for (let hours = 0; hours < 23; hours++) {
    mock.timers.tick(hour)
    t.equal((await keys.key('one', 'RS256', signal)).jwk.kid, 'one', 'a known key is served for 24 hours')
  }
  mock.timers.tick(hour)
  await t.rejects(keys.key('one', 'RS256', signal), unavailable, 'and no longer')
  mock.timers.tick(30 * second)
  fake.answer = json({ keys: [one.jwk] })
  await keys.key('one', 'RS256', signal)
})

/** An endpoint whose next answer comes when it is released. */
async function heldBack (t: Test, jwks: readonly object[] = [one.jwk]) {
  let answer = () => {}
  const fake = await fakeServer(t, () => {})
  const arrived = new Promise<void>(resolve => {
    fake.answer = (request, response, body) => {
      answer = () => json({ keys: jwks })(request, response, body)
      resolve()
    }
  })
  return { fake, keys: keysAt(fake.url), arrived, release: () => answer() }
}

t.test('a caller waits as long as its own signal, and its end does not end the flight of the others', async t => {
  const { fake, keys, arrived, release } = await heldBack(t)
  const [hasty, closing] = [new AbortController(), new AbortController()]
  const [first, second, third] = [
    keys.key('one', 'RS256', hasty.signal),
    keys.key('one', 'RS256', signal),
    keys.key('one', 'RS256', closing.signal, closing.signal)
  ]
  await arrived
  hasty.abort()
  await t.rejects(first, unavailable)
  closing.abort()
  await t.rejects(third, unavailable, 'nor does the close of another server')
  release()
  await second
  t.equal(fake.calls.length, 1)
})

t.test('a fetch that nobody has the patience for is still there for the next one', async t => {
  const { fake, keys, arrived, release } = await heldBack(t)
  const [hasty, server] = [new AbortController(), new AbortController()]
  const first = keys.key('one', 'RS256', hasty.signal, server.signal)
  await arrived
  hasty.abort()
  await t.rejects(first, unavailable)
  const next = keys.key('one', 'RS256', signal, server.signal)
  release()
  await next
  t.equal(fake.calls.length, 1)
})

/** An endpoint that never answers, and when its call has ended. */
async function hanging (t: Test) {
  const fake = await fakeServer(t, () => {})
  const hang = new Promise<{ ended: Promise<unknown> }>(resolve => {
    fake.answer = (_request, response) => resolve({ ended: once(response, 'close') })
  })
  return { fake, hang }
}

t.test('the close of the last server that wants a fetch ends it', async t => {
  // A fetch that goes on would end by itself after 5 s, of a clock that stands still here.
  mock.timers.reset()
  mock.timers.enable({ apis: ['Date', 'setTimeout'] })
  const { fake, hang } = await hanging(t)
  const keys = keysAt(fake.url)
  const [one, two, hasty] = [new AbortController(), new AbortController(), new AbortController()]
  const [first, second, third] = [
    keys.key('one', 'RS256', one.signal, one.signal),
    keys.key('one', 'RS256', two.signal, two.signal),
    keys.key('one', 'RS256', hasty.signal, one.signal)
  ]
  const { ended } = await hang
  one.abort()
  await t.rejects(first, unavailable)
  hasty.abort()
  await t.rejects(third, unavailable)
  two.abort()
  await t.rejects(second, unavailable)
  await ended
})

t.test('the close of the server ends a fetch that runs behind a login, too', async t => {
  mock.timers.reset()
  mock.timers.enable({ apis: ['Date', 'setTimeout'] })
  const { fake, hang } = await hanging(t)
  const hold = fake.answer
  fake.answer = json({ keys: [one.jwk] })
  const keys = keysAt(fake.url)
  const server = new AbortController()
  await keys.key('one', 'RS256', signal, server.signal)
  fake.answer = hold
  mock.timers.tick(hour)
  await keys.key('one', 'RS256', signal, server.signal)
  const { ended } = await hang
  t.equal(getEventListeners(server.signal, 'abort').length, 1)
  server.abort()
  await ended
  await new Promise(setImmediate)
  mock.timers.tick(hour)
  await keys.key('one', 'RS256', signal, server.signal)
  await new Promise(setImmediate)
  t.equal(fake.calls.length, 2, 'and it begins no other')
  t.strictSame(getEventListeners(server.signal, 'abort'), [])
})

t.test('an ETag is used', async t => {
  const fake = await fakeServer(t, json({ keys: [one.jwk] }, 200, { etag: '"v1"' }))
  const keys = keysAt(fake.url)
  await keys.key('one', 'RS256', signal)
  mock.timers.tick(hour)
  fake.answer = raw('', 304)
  await keys.key('one', 'RS256', signal)
  await landed(t, keys)
  await keys.key('one', 'RS256', signal)
  t.equal(fake.requests[1]?.headers['if-none-match'], '"v1"')
  t.equal(fake.calls.length, 2)
})

const flood = Array.from({ length: 1001 }, (_, i) => ({ kty: 'EC', kid: String(i) }))
const failed = {
  'a duplicate kid': json({ keys: [one.jwk, { ...two.jwk, kid: 'one' }] }),
  'a flood of keys': json({ keys: [one.jwk, ...flood] }),
  'no list': json({ keys: {} }),
  'an array': json([one.jwk]),
  null: json(null),
  'nothing at all': raw(''),
  'status 404': json({ keys: [one.jwk] }, 404),
  'status 304 without a copy': raw('', 304),
  'a set over 512 KiB': json({ keys: [one.jwk], padding: 'x'.repeat(512 * 1024) })
}
for (const [name, answer] of Object.entries(failed)) {
  t.test(`${name} is a failed fetch`, async t => {
    const fake = await fakeServer(t, answer)
    await t.rejects(keysAt(fake.url).key('one', 'RS256', signal), unavailable)
  })
}

t.test('after a failed fetch the older keys stay', async t => {
  const fake = await fakeServer(t, json({ keys: [one.jwk] }))
  const keys = keysAt(fake.url)
  await keys.key('one', 'RS256', signal)
  mock.timers.tick(hour)
  fake.answer = failed['a duplicate kid']
  await keys.key('one', 'RS256', signal)
})

const privateJwk = await exportJWK(one.privateKey)
const ignored: Record<string, object | null> = {
  'an encryption key': { ...one.jwk, use: 'enc' },
  'a key for other operations': { ...one.jwk, key_ops: ['encrypt'] },
  'a symmetric key': { kty: 'oct', k: 'c2VjcmV0', kid: 'one' },
  'a private key': { ...privateJwk, kid: 'one' },
  'RSA of 2040 bits': { ...one.jwk, n: Buffer.from(String(weak.jwk.n), 'base64url').subarray(1).toString('base64url') },
  'RSA of 1024 bits, padded with zeros': {
    ...one.jwk,
    n: Buffer.concat([Buffer.alloc(128), Buffer.alloc(128, 0xff)]).toString('base64url')
  },
  'a key of another algorithm': { ...one.jwk, alg: 'PS256' },
  'a key of another kind': { ...curve.jwk, kid: 'one' },
  'a key without kid': { ...one.jwk, kid: undefined },
  'a kid that is a number': { ...one.jwk, kid: 1 },
  'no object': null
}
for (const [name, jwk] of Object.entries(ignored)) {
  t.test(`${name} is not used`, async t => {
    const fake = await fakeServer(t, json({ keys: [jwk, two.jwk] }))
    const keys = keysAt(fake.url)
    await t.rejects(keys.key('one', 'RS256', signal), rejected)
    await keys.key('two', 'RS256', signal)
  })
}

t.test('what is ignored may have the kid of a good key', async t => {
  const fake = await fakeServer(t, json({ keys: [{ ...two.jwk, kid: 'one', use: 'enc' }, one.jwk] }))
  await keysAt(fake.url).key('one', 'RS256', signal)
})

t.test('a key that cannot be read is the provider\'s fault', async t => {
  const fake = await fakeServer(t, json({ keys: [{ ...curve.jwk, x: 'AA' }] }))
  await t.rejects(keysAt(fake.url).key('curve', 'ES256', signal), unavailable)
})

t.test('discovery', async t => {
  const keys = await fakeServer(t, json({ keys: [one.jwk] }))
  const issuer = await fakeServer(t, () => {})
  issuer.answer = (request, response, body) =>
    json({ issuer: issuer.url, jwks_uri: `${keys.url}/jwks` })(request, response, body)
  const found = waiting(discover(issuer.url).keys)
  await found.key('one', 'RS256', signal)
  await found.key('one', 'RS256', signal)
  t.strictSame(issuer.calls, ['GET /.well-known/openid-configuration'])
  t.strictSame(keys.calls, ['GET /jwks'], 'keys may be on another host')
  issuer.answer = raw('', 500)
  mock.timers.tick(23 * hour)
  await found.key('one', 'RS256', signal)
  mock.timers.tick(hour)
  await t.rejects(found.key('one', 'RS256', signal), unavailable)
})

t.test('an issuer with a path, and with a slash at its end', async t => {
  const fake = await fakeServer(t, () => {})
  for (const path of ['/tenant', '/other/']) {
    const issuer = fake.url + path
    fake.answer = (request, response, body) =>
      json(request.url?.endsWith('jwks') === true ? { keys: [one.jwk] } : { issuer, jwks_uri: `${fake.url}/jwks` })(
        request,
        response,
        body
      )
    await waiting(discover(issuer).keys).key('one', 'RS256', signal)
  }
  t.strictSame(
    fake.calls.filter(call => call.includes('well-known')),
    ['GET /tenant/.well-known/openid-configuration', 'GET /other/.well-known/openid-configuration']
  )
})

const documents: Record<string, (url: string) => unknown> = {
  'another issuer': url => ({ issuer: `${url}/`, jwks_uri: `${url}/jwks` }),
  'no issuer': url => ({ jwks_uri: `${url}/jwks` }),
  'keys at a plain address': url => ({ issuer: url, jwks_uri: 'http://keys.example/jwks' }),
  'keys on this disk': url => ({ issuer: url, jwks_uri: 'file:///etc/passwd' }),
  'no address of keys': url => ({ issuer: url }),
  junk: () => []
}
for (const [name, document] of Object.entries(documents)) {
  t.test(`a discovery document of ${name} is refused`, async t => {
    const fake = await fakeServer(t, () => {})
    fake.answer = (request, response, body) => json(document(fake.url))(request, response, body)
    await t.rejects(waiting(discover(fake.url).keys).key('one', 'RS256', signal), unavailable)
    t.strictSame(fake.calls, ['GET /.well-known/openid-configuration'])
  })
}

t.test('a discovery document is not looked for elsewhere', async t => {
  const inward = await fakeServer(t, json({}))
  const fake = await fakeServer(t, raw('', 302, { location: inward.url }))
  await t.rejects(waiting(discover(fake.url).keys).key('one', 'RS256', signal), unavailable)
  t.strictSame(inward.calls, [])
})
