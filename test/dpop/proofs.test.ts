import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { mock } from 'node:test'
import t, { type Test } from 'tap'
import { readDpop } from '../../src/dpop/dpop-options.js'
import { createProofs, type Proofs } from '../../src/dpop/proofs.js'
import { createReplayMemory } from '../../src/dpop/replay-memory.js'
import { createKeyMaterial } from '../../src/key-material.js'
import { issuer, secret } from '../server.js'
import { encode } from '../tokens/forge.js'
import { athOf, confused, proofBy, proofFor, prover, signer, type ProofChanges } from './prover.js'

interface Figure { iat: number, proof: string }
interface Vectors { figure2: Figure, figure7: Figure, figure13: Figure, jkt: string, ath: string, accessToken: string }

const vectors: Vectors = JSON.parse(readFileSync(join(import.meta.dirname, '../vectors/rfc9449.json'), 'utf8'))
const began = Date.UTC(2026, 10, 24, 12)
const now = began / 1000
mock.timers.enable({ apis: ['Date'], now: began })
t.afterEach(() => mock.timers.setTime(began))

const material = createKeyMaterial([secret], issuer)
const post = { method: 'POST', originalUrl: '/token' }
const get = { method: 'GET', originalUrl: '/things/1' }
const refusal = (word = 'invalid_dpop_proof'): object => ({ code: 'AUTH_ERR_DPOP_INVALID', word })

function throws (t: Test, work: () => unknown, wanted: object, message = ''): void {
  let thrown: unknown = null
  try {
    work()
  } catch (error) {
    thrown = error
  }
  t.match(thrown, wanted, message)
}

function proofs (options: unknown = 'all', at = issuer): Proofs {
  return createProofs({ options: readDpop(options, 'dpop'), issuer: at, material })
}

const key = await prover()
const other = await prover()

t.test('the figures of RFC 9449', async t => {
  const { figure2, figure7, figure13, jkt, ath } = vectors
  const server = proofs('all', 'https://server.example.com')
  mock.timers.setTime(figure2.iat * 1000)
  t.equal(server.keyOf(figure2.proof, { ...post }), jkt)
  throws(t, () => server.keyOf(figure2.proof, { ...post }), refusal(), 'once')
  mock.timers.setTime(figure7.iat * 1000)
  t.equal(server.keyOf(figure7.proof, post), jkt, 'the same jti, 45 minutes later')
  const resource = proofs('all', 'https://resource.example.org')
  mock.timers.setTime(figure13.iat * 1000)
  t.equal(athOf(vectors.accessToken), ath)
  resource.check(figure13.proof, { method: 'GET', originalUrl: '/protectedresource' }, { jkt, ath })
})

t.test('the jti of figures 2 and 7 is one: at one time only the first of them is taken', async t => {
  const server = proofs({ mode: 'all', maxAge: 3600 }, 'https://server.example.com')
  mock.timers.setTime(vectors.figure7.iat * 1000)
  server.keyOf(vectors.figure2.proof, post)
  throws(t, () => server.keyOf(vectors.figure7.proof, post), { ...refusal(), reason: /^jti/ })
})

t.test('each algorithm, under each of its names', async t => {
  const all = proofs({ mode: 'all', algorithms: ['ES256', 'EdDSA', 'Ed25519', 'RS256'] })
  for (const algorithm of ['ES256', 'EdDSA', 'Ed25519', 'RS256'] as const) {
    const client = await prover(algorithm)
    t.equal(all.keyOf(proofBy(client), post), client.jkt, algorithm)
    t.equal(all.keyOf(proofBy(client), post), client.jkt, `${algorithm}, its header known`)
  }
  const large = await prover('RS256', 4096)
  t.equal(all.keyOf(proofBy(large), post), large.jkt)
  const byDefault = await prover('RS256')
  throws(t, () => proofs().keyOf(proofBy(byDefault), post), { ...refusal(), reason: 'alg' })
  throws(t, () => proofs({ mode: 'all', algorithms: ['EdDSA'] }).keyOf(proofBy(key), post), { reason: 'alg' })
})

t.test('RSA keys are of 2048 to 4096 bits', async t => {
  const taking = proofs({ mode: 'all', algorithms: ['RS256'] })
  for (const bits of [1024, 2040, 4104]) {
    throws(t, () => taking.keyOf(proofBy(key), post), { reason: 'alg' })
    const client = await prover('RS256', bits)
    throws(t, () => taking.keyOf(proofBy(client), post), { ...refusal(), reason: 'jwk' }, String(bits))
  }
  const { n } = (await prover('RS256')).jwk
  const client = await prover('RS256')
  const long = Buffer.alloc(256, 0xff).toString('base64url')
  const proof = proofBy(client, { header: { jwk: { kty: 'RSA', n, e: long } } })
  throws(t, () => taking.keyOf(proof, post), { reason: 'jwk' }, 'a long exponent')
})

const { x = '' } = key.jwk
const longX = Buffer.concat([Buffer.alloc(1), Buffer.from(x, 'base64url')]).toString('base64url')
const { d } = key.privateKey.export({ format: 'jwk' })
const refusedRows: Array<[why: string, changes: ProofChanges | string]> = [
  ['no proof', ''],
  ['no JWS', 'garbage'],
  ['two segments', 'a.b'],
  ['alg none', { header: { alg: 'none' }, sign: () => Buffer.alloc(0) }],
  ['HS256 with the key as the secret', { header: { alg: 'HS256' }, sign: confused(key) }],
  ['a symmetric key', { header: { alg: 'HS256', jwk: { kty: 'oct', k: 'AAAA' } }, sign: confused(key) }],
  ['a symmetric key under a good algorithm', { header: { jwk: { kty: 'oct', k: 'AAAA' } } }],
  ['an array as alg', { header: { alg: ['ES256'] } }],
  ['another algorithm than the key', { header: { alg: 'EdDSA' } }],
  ['ES384', { header: { alg: 'ES384' } }],
  ['typ JWT', { header: { typ: 'JWT' } }],
  ['typ of an access token', { header: { typ: 'at+jwt' } }],
  ['typ in capitals', { header: { typ: 'DPOP+JWT' } }],
  ['no typ', { header: { typ: undefined } }],
  ['no alg', { header: { alg: undefined } }],
  ['no jwk', { header: { jwk: undefined } }],
  ['a jwk that is text', { header: { jwk: JSON.stringify(key.jwk) } }],
  ['a jwk that is a list', { header: { jwk: [key.jwk] } }],
  ['a private key', { header: { jwk: { ...key.jwk, d } } }],
  ['a key for encryption', { header: { jwk: { ...key.jwk, use: 'enc' } } }],
  ['a key that may only sign', { header: { jwk: { ...key.jwk, key_ops: ['sign'] } } }],
  ['a key of another algorithm', { header: { jwk: { ...key.jwk, alg: 'ES384' } } }],
  ['another curve', { header: { jwk: { ...key.jwk, crv: 'P-384' } } }],
  ['a point that is not on the curve', { header: { jwk: { ...key.jwk, y: x } } }],
  ['a coordinate with padding', { header: { jwk: { ...key.jwk, x: `${x}=` } } }],
  ['a coordinate of 33 bytes', { header: { jwk: { ...key.jwk, x: longX } } }],
  ['a coordinate that is a number', { header: { jwk: { ...key.jwk, x: 1 } } }],
  ['crit', { header: { crit: ['exp'] } }],
  ['empty crit', { header: { crit: [] } }],
  ['b64', { header: { b64: false } }],
  ['zip', { header: { zip: 'DEF' } }],
  ['the signature of another key', { sign: signer(other) }],
  ['a signature of nothing', { sign: () => Buffer.alloc(64) }],
  ['no signature', { sign: () => Buffer.alloc(0) }],
  ['a signature in DER', { sign: input => Buffer.concat([signer(key)(input), Buffer.alloc(8)]) }],
  ['another method', { claims: { htm: 'GET' } }],
  ['the method in small letters', { claims: { htm: 'post' } }],
  ['no method', { claims: { htm: undefined } }],
  ['a list of methods', { claims: { htm: ['POST'] } }],
  ['another path', { claims: { htu: `${issuer}/tokens` } }],
  ['a longer path', { claims: { htu: `${issuer}/token/x` } }],
  ['a slash more', { claims: { htu: `${issuer}/token/` } }],
  ['another host', { claims: { htu: 'https://api.example.org/token' } }],
  ['a host that begins like ours', { claims: { htu: `${issuer}.evil.example/token` } }],
  ['a host with a dot at its end', { claims: { htu: 'https://api.example.com./token' } }],
  ['a port that is none', { claims: { htu: 'https://api.example.com:443443/token' } }],
  ['half an address', { claims: { htu: 'https://[::1/token' } }],
  ['a protocol before ours', { claims: { htu: `https://${issuer}/token` } }],
  ['another port', { claims: { htu: 'https://api.example.com:8443/token' } }],
  ['another scheme', { claims: { htu: 'http://api.example.com/token' } }],
  ['a path alone', { claims: { htu: '/token' } }],
  ['a name in the address', { claims: { htu: 'https://me@api.example.com/token' } }],
  ['backslashes', { claims: { htu: 'https:\\\\api.example.com\\token' } }],
  ['a blank before', { claims: { htu: ` ${issuer}/token` } }],
  ['a line feed inside', { claims: { htu: `${issuer}/tok\nen` } }],
  ['an escape that is none', { claims: { htu: `${issuer}/token%2` } }],
  ['an escaped slash', { claims: { htu: `${issuer}%2Ftoken` } }],
  ['another case of the path', { claims: { htu: `${issuer}/TOKEN` } }],
  ['a list of addresses', { claims: { htu: [`${issuer}/token`] } }],
  ['no address', { claims: { htu: undefined } }],
  ['61 s old', { claims: { iat: now - 61 } }],
  ['6 s ahead', { claims: { iat: now + 6 } }],
  ['milliseconds', { claims: { iat: now * 1000 } }],
  ['a time that is text', { claims: { iat: String(now) } }],
  ['a time that is null', { claims: { iat: null } }],
  ['no time', { claims: { iat: undefined } }],
  ['no jti', { claims: { jti: undefined } }],
  ['an empty jti', { claims: { jti: '' } }],
  ['a jti of 129 characters', { claims: { jti: 'j'.repeat(129) } }],
  ['a jti that is a number', { claims: { jti: 1 } }]
]

t.test('what is no proof for this request', async t => {
  const server = proofs()
  for (const [why, changes] of refusedRows) {
    const proof = typeof changes === 'string' ? changes : proofBy(key, changes)
    throws(t, () => server.keyOf(proof, post), refusal(), why)
  }
  t.equal(server.keyOf(proofBy(key), post), key.jkt, 'and what is good is taken after all that')
  for (const [why, changes] of refusedRows) {
    const proof = typeof changes === 'string' ? changes : proofBy(key, changes)
    throws(t, () => server.keyOf(proof, post), refusal(), `its header known: ${why}`)
  }
})

t.test('what is another spelling of a good proof', async t => {
  const server = proofs()
  const rows: Array<[why: string, spell: (header: string, payload: string, signature: string) => string]> = [
    ['padding', (...parts) => `${parts.join('.')}==`],
    ['a blank after', (...parts) => `${parts.join('.')} `],
    ['a fourth segment', (...parts) => `${parts.join('.')}.`],
    ['two, joined as a proxy does', (...parts) => `${parts.join('.')}, ${parts.join('.')}`],
    ['base64', (...parts) => `${parts.join('.').replaceAll('-', '+').replaceAll('_', '/')}+`],
    ['unused bits', (...parts) => withUnusedBits(parts.join('.'))],
    ['blanks in the header', (header, payload, signature) => `${header}\n.${payload}.${signature}`]
  ]
  for (const [why, spell] of rows) {
    const [header = '', payload = '', signature = ''] = proofBy(key).split('.')
    throws(t, () => server.keyOf(spell(header, payload, signature), post), refusal(), why)
    t.equal(server.keyOf([header, payload, signature].join('.'), post), key.jkt, `${why}: it was not taken for used`)
  }
})

/** 64 bytes are 86 characters, whose last holds four bits of nothing. */
function withUnusedBits (signature: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  return signature.slice(0, -1) + alphabet.charAt(alphabet.indexOf(signature.slice(-1)) + 1)
}

t.test('JSON that two readers may read differently', async t => {
  const server = proofs()
  const claims = JSON.stringify({ htm: 'GET', htu: `${issuer}/token`, iat: now, jti: 'one' })
  const texts = [
    claims.replace('{', '{"htm":"POST",'), '[]', 'null', '', `${claims}x`, `\ufeff${claims}`,
    `${'['.repeat(1000)}${']'.repeat(1000)}`
  ]
  for (const text of texts) {
    const input = `${encode({ typ: 'dpop+jwt', alg: 'ES256', jwk: key.jwk })}.${encode(text)}`
    const proof = `${input}.${signer(key)(input).toString('base64url')}`
    throws(t, () => server.keyOf(proof, post), refusal(), text.slice(0, 40))
  }
})

t.test('at most 4 KiB', async t => {
  const server = proofs()
  const filled = (length: number): string => proofBy(key, { claims: { filler: 'x'.repeat(length) } })
  let length = 2000
  while (filled(length).length < 4095) length++
  t.ok(server.keyOf(filled(length - 2), post))
  throws(t, () => server.keyOf(filled(length + 2), post), { reason: 'form' })
})

t.test('an address in any form that is equal to its normal form (RFC 3986, 6.2.2 and 6.2.3)', async t => {
  const server = proofs()
  const equal = [
    'HTTPS://API.example.COM/token', 'https://api.example.com:443/token', `${issuer}/./token`, `${issuer}/x/../token`,
    `${issuer}/%74oken`, `${issuer}/x/%2e%2E/token`, `${issuer}/token?a=b`, `${issuer}/token#f`, `${issuer}/token?a=b#c`
  ]
  for (const htu of equal) t.equal(server.keyOf(proofBy(key, { claims: { htu } }), post), key.jkt, htu)
  const targets: Array<[htu: string, originalUrl: string]> = [
    [`${issuer}/a%2fb`, '/a%2Fb'], [`${issuer}/~me`, '/%7Eme'], [`${issuer}/things`, '/things?page=2'],
    [`${issuer}/things`, '/things#2'], [`${issuer}/`, '/'], [issuer, '/'], [`${issuer}//x`, '//x'],
    [`${issuer}/token`, 'http://localhost:3000/token?a'], [`${issuer}/caf%C3%A9`, '/caf%c3%a9']
  ]
  for (const [htu, originalUrl] of targets) {
    t.equal(server.keyOf(proofBy(key, { claims: { htu } }), { method: 'POST', originalUrl }), key.jkt, htu)
  }
  const different: Array<[htu: string, originalUrl: string]> = [
    [`${issuer}/a/b`, '/a%2Fb'], [`${issuer}/x`, '//x'], [`${issuer}/*`, '*'],
    ['https://evil.example/x', '//evil.example/x'], ['https://evil.example/x', '/https://evil.example/x']
  ]
  for (const [htu, originalUrl] of different) {
    throws(t, () => server.keyOf(proofBy(key, { claims: { htu } }), { method: 'POST', originalUrl }), refusal(), htu)
  }
})

t.test('hosts of every kind, in each of their spellings', async t => {
  const rows: Array<[at: string, htu: string]> = [
    ['http://127.0.0.1:3000', 'http://127.0.0.1:3000/token'], ['http://127.0.0.1', 'http://127.0.0.1:80/token'],
    ['http://[::1]:3000', 'http://[::1]:3000/token'], ['http://[::1]:3000', 'http://[0:0::0:1]:3000/token'],
    ['https://api_1.example.com', 'https://api_1.example.com/token'],
    ['https://xn--bcher-kva.example', 'https://XN--Bcher-kva.example/token']
  ]
  for (const [at, htu] of rows) t.equal(proofs('all', at).keyOf(proofBy(key, { claims: { htu } }), post), key.jkt, htu)
})

t.test('what else a proof says makes no difference', async t => {
  const server = proofs()
  const header = { kid: '1', jku: 'https://evil.example/keys', x: null }
  const claims = { iss: 'app', sub: 'ada', exp: now - 1, nbf: now + 600, aud: ['x'], more: { deep: [1, { a: 1 }] } }
  for (const changes of [{ header }, { claims }, { header, claims }]) {
    t.equal(server.keyOf(proofBy(key, changes), post), key.jkt)
  }
})

t.test('below the path of the issuer, and at its origin', async t => {
  const server = proofs('all', `${issuer}/v1`)
  for (const htu of [`${issuer}/v1/token`, `${issuer}/token`]) {
    t.equal(server.keyOf(proofBy(key, { claims: { htu } }), post), key.jkt)
  }
  const elsewhere = proofBy(key, { claims: { htu: `${issuer}/v2/token` } })
  const asked = { method: 'POST', originalUrl: '/token?code=secret' }
  throws(t, () => server.keyOf(elsewhere, asked), { reason: `htu: not /token of ${issuer}/v1` }, 'for the log')
})

t.test('a proof is good for maxAge seconds, and for 5 s before its time', async t => {
  for (const [maxAge, server] of [[60, proofs()], [10, proofs({ mode: 'all', maxAge: 10 })]] as const) {
    for (const age of [0, maxAge, -5]) t.ok(server.keyOf(proofBy(key, { claims: { iat: now - age } }), post))
    for (const age of [maxAge + 1, -6]) {
      throws(t, () => server.keyOf(proofBy(key, { claims: { iat: now - age } }), post), { reason: `iat: ${age} s old` })
    }
  }
})

t.test('a jti is taken once for a key, as long as its proof could be good', async t => {
  const server = proofs()
  const used = (by = key, changes: ProofChanges = {}): string =>
    server.keyOf(proofBy(by, { ...changes, claims: { jti: 'one', ...changes.claims } }), post)
  const ahead = { claims: { iat: now + 5 } }
  used(key, ahead)
  for (const later of [0, 1, 30, 60, 65]) {
    mock.timers.setTime(began + later * 1000 + 999)
    throws(t, () => used(key, ahead), { ...refusal(), reason: /^jti/ }, `${later} s later`)
  }
  t.equal(used(other), other.jkt, 'another key has its own')
  mock.timers.setTime(began)
  throws(t, () => used(key, ahead), { reason: /^jti/ }, 'a clock that was set back')
})

t.test('a signature of another spelling is the same proof: ECDSA, s and n - s', async t => {
  const server = proofs()
  const n = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
  const proof = proofBy(key)
  const input = proof.slice(0, proof.lastIndexOf('.'))
  const signature = Buffer.from(proof.slice(input.length + 1), 'base64url')
  const s = BigInt(`0x${signature.subarray(32).toString('hex')}`)
  const twin = Buffer.concat([signature.subarray(0, 32), Buffer.from((n - s).toString(16).padStart(64, '0'), 'hex')])
  t.equal(server.keyOf(`${input}.${twin.toString('base64url')}`, post), key.jkt, 'it holds')
  throws(t, () => server.keyOf(proof, post), { reason: /^jti/ })
})

t.test('a proof that does not hold uses up nothing', async t => {
  const server = proofs()
  const claims = { jti: 'one' }
  throws(t, () => server.keyOf(proofBy(key, { claims, sign: signer(other) }), post), { reason: 'signature' })
  t.equal(server.keyOf(proofBy(key, { claims }), post), key.jkt)
})

t.test('a memory of proofs that is full lets nothing pass', async t => {
  const replays = createReplayMemory(66_000, 2)
  const server = createProofs({ options: readDpop('all', 'dpop'), issuer, material, replays })
  for (let count = 0; count < 2; count++) server.keyOf(proofBy(key), post)
  throws(t, () => server.keyOf(proofBy(key), post), { code: 'AUTH_ERR_OVERLOADED', statusCode: 503 })
  mock.timers.setTime(began + 140_000)
  t.equal(server.keyOf(proofBy(key), post), key.jkt, 'and forgets what could not come again')
})

t.test('with an access token: ath, and the key that it is bound to', async t => {
  const server = proofs()
  const binding = { jkt: key.jkt, ath: athOf('token') }
  const good = (changes: ProofChanges = {}, by = key): string => proofFor(by, 'token', '/things/1', changes)
  server.check(good(), get, binding)
  throws(t, () => server.check(good({}, other), get, binding), refusal('invalid_token'), 'another key')
  for (const ath of [undefined, athOf('another'), '', athOf('token').toLowerCase(), [athOf('token')]]) {
    throws(t, () => server.check(good({ claims: { ath } }), get, binding), { ...refusal(), reason: 'ath' })
  }
  throws(
    t,
    () => server.check(good({ header: { jwk: key.jwk }, sign: signer(other) }), get, binding),
    { reason: 'signature' },
    "the owner's header, another's signature"
  )
})

t.test('nonces: asked for, the same on servers of the same keys, for two and a half to five minutes', async t => {
  const [first, second] = [proofs({ mode: 'all', nonce: 'token' }), proofs({ mode: 'all', nonce: 'token' })]
  const nonce = first.nonces?.current() ?? ''
  t.match(nonce, /^[A-Za-z0-9_-]{24}$/)
  for (const claims of [{}, { nonce: '' }, { nonce: 'x' }, { nonce: 1 }, { nonce: `${nonce}x` }]) {
    throws(t, () => first.keyOf(proofBy(key, { claims }), post), refusal('use_dpop_nonce'), JSON.stringify(claims))
  }
  t.equal(second.keyOf(proofBy(key, { claims: { nonce } }), post), key.jkt, 'of the other server')
  const foreign = createProofs({
    options: readDpop({ mode: 'all', nonce: 'token' }, 'dpop'),
    issuer,
    material: createKeyMaterial(['another secret of thirty-two bytes!!'], issuer)
  })
  throws(t, () => foreign.keyOf(proofBy(key, { claims: { nonce } }), post), refusal('use_dpop_nonce'))
  mock.timers.setTime(began + 150_000)
  t.equal(first.nonces?.ageOf(nonce), 'old')
  t.not(first.nonces?.current(), nonce)
  t.ok(first.keyOf(proofBy(key, { claims: { nonce } }), post))
  mock.timers.setTime(began + 300_000)
  throws(t, () => first.keyOf(proofBy(key, { claims: { nonce } }), post), refusal('use_dpop_nonce'))
  const nothing = createKeyMaterial([], issuer)
  throws(
    t,
    () => createProofs({ options: readDpop({ mode: 'all', nonce: 'always' }, 'dpop'), issuer, material: nothing }),
    { code: 'AUTH_ERR_OPTION_INVALID' },
    'without a key that can sign there is nothing to make them of'
  )
})

t.test('guards ask for nonces with always only', async t => {
  const binding = { jkt: key.jkt, ath: athOf('token') }
  proofs({ mode: 'all', nonce: 'token' }).check(proofFor(key, 'token', '/things/1'), get, binding)
  const always = proofs({ mode: 'all', nonce: 'always' })
  throws(t, () => always.check(proofFor(key, 'token', '/things/1'), get, binding), refusal('use_dpop_nonce'))
  const nonce = always.nonces?.current()
  always.check(proofFor(key, 'token', '/things/1', { claims: { nonce } }), get, binding)
  for (const iat of [now - 301, now + 301]) {
    const old = proofFor(key, 'token', '/things/1', { claims: { nonce, iat } })
    throws(t, () => always.check(old, get, binding), { ...refusal(), reason: 'iat' }, 'a nonce makes up for no time')
  }
})

t.test('the option', async t => {
  const defaults = { required: false, algorithms: ['ES256', 'EdDSA', 'Ed25519'], maxAge: 60, nonce: null }
  t.strictSame(readDpop('refresh', 'dpop'), { mode: 'refresh', ...defaults })
  t.strictSame(readDpop({ mode: 'all' }, 'dpop'), { mode: 'all', ...defaults })
  const rows: unknown[] = [
    'off', true, null, [], {}, { mode: 'some' }, { mode: 'all', required: 'yes' }, { mode: 'all', algorithms: [] },
    { mode: 'all', algorithms: ['HS256'] }, { mode: 'all', algorithms: ['none'] }, { mode: 'all', maxAge: 0 },
    { mode: 'all', maxAge: -1 }, { mode: 'all', maxAge: '60' }, { mode: 'all', maxAge: 1.5 },
    { mode: 'all', maxAge: 3601 }, { mode: 'all', nonce: 'off' }, { mode: 'all', nonce: true },
    { mode: 'all', htu: 'x' }
  ]
  for (const row of rows) {
    throws(t, () => readDpop(row, 'dpop'), { code: 'AUTH_ERR_OPTION_INVALID' }, JSON.stringify(row))
  }
})
