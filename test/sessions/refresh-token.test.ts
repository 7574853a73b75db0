import t from 'tap'
import { errors } from '../../src/errors.js'
import {
  beganAt, counterOf, createRefreshTokens, sessionIdAt, tokenIdFor, versionOf
} from '../../src/sessions/refresh-token.js'
import { resolveSessionOptions } from '../../src/sessions/session-options.js'
import { memoryStore } from '../../src/sessions/stores/index.js'
import { issuer, refresh, secret, sessionsOn, welcome } from './two-servers.js'

const refreshInvalid = { code: errors.RefreshInvalidError.code, statusCode: 400 }
const sessionId = 'AAECAwQFBgcICQoLDA0ODw'
const tokens = createRefreshTokens([secret], issuer)
const token = tokens.make({ sessionId, counter: 7, secretId: tokens.secretId })

t.test('says what was put in, and is the same for all who make it', async t => {
  t.same(tokens.read(token), { sessionId, counter: 7, secretId: tokens.secretId })
  t.equal(createRefreshTokens([secret], issuer).make({ sessionId, counter: 7, secretId: tokens.secretId }), token)
  t.match(token, /^[A-Za-z0-9_-]{72}$/)
  t.notOk(token.includes(secret) || tokens.secretId.includes(secret.slice(0, 4)))
})

t.test('every change of a character is refused', async t => {
  for (let position = 0; position < token.length; position++) {
    for (const character of ['A', '_', '.', '=', ' ', 'é']) {
      const changed = token.slice(0, position) + character + token.slice(position + 1)
      if (changed !== token) t.throws(() => tokens.read(changed), refreshInvalid)
    }
  }
})

t.test('garbage is refused before the store is asked', async t => {
  const store = { ...memoryStore(), read: async () => { throw new Error('asked') } }
  const sessions = sessionsOn(store)
  const rows = [
    '',
    ' ',
    token + 'A',
    token.slice(1),
    `${token}\n`,
    token.replace(/.$/, '='),
    'a.b.c',
    'A'.repeat(72),
    'x'.repeat(100_000),
    '\0'.repeat(72)
  ]
  for (const row of rows) await t.rejects(refresh(sessions, row, welcome), refreshInvalid, row.slice(0, 20))
})

t.test('another secret, and another issuer with the same secret, is another application', async t => {
  t.throws(() => createRefreshTokens([`${secret}!`], issuer).read(token), refreshInvalid)
  t.throws(() => createRefreshTokens([secret], 'https://another.example').read(token), refreshInvalid)
  t.same(createRefreshTokens([`${secret}!`, secret], issuer).read(token).counter, 7, 'all verify')
  t.throws(() => createRefreshTokens([], issuer).read(token), refreshInvalid, 'a server without secrets')
})

t.test('the jti of an access token says which refresh token came with it', async t => {
  t.equal(counterOf(tokenIdFor(12, 34)), 12)
  t.equal(versionOf(tokenIdFor(12, 34)), 34)
  t.equal(counterOf(tokenIdFor(null, 34)), null, 'one that came with none')
  t.equal(versionOf(tokenIdFor(null, 34)), 34)
  t.not(tokenIdFor(12, 34), tokenIdFor(12, 34))
  for (const other of [
    '',
    '12',
    'a.12',
    crypto.randomUUID(),
    `${'a'.repeat(22)}.12`,
    `${'a'.repeat(22)}.12.`,
    `${'a'.repeat(22)}.01.1`,
    `${'a'.repeat(22)}.-1.1`
  ]) {
    t.equal(counterOf(other), null, other)
    t.equal(versionOf(other), null, other)
  }
})

t.test('the id of a session says when it began', async t => {
  const now = Date.now()
  const [one, other] = [sessionIdAt(now), sessionIdAt(now)]
  t.match(one, /^[A-Za-z0-9_-]{22}$/)
  t.not(one, other)
  t.equal(beganAt(one), now)
  for (const id of ['', 's', 'é'.repeat(22)]) t.equal(beganAt(id), 0)
})

t.test('options are complete and checked', async t => {
  const defaults = { keyMaterial: ['material'], makeStore: memoryStore }
  const { store, ...rest } = resolveSessionOptions({}, defaults)
  t.type(store.create, 'function')
  t.same(rest, {
    isDefaultStore: true,
    idleLifetime: 2_592_000,
    absoluteLifetime: 31_536_000,
    retryWindow: 30,
    secrets: ['material'],
    whenStale: 'accept',
    maxStaleness: 60,
    perUser: 100,
    revocationLimit: 250_000
  })
  const rows: [object | null | string, RegExp][] = [
    [{ idleLifetme: 1 }, /sessions\.idleLifetme/],
    [{ store: {} }, /sessions\.store/],
    [{ store: null }, /sessions\.store/],
    [{ idleLifetime: 0 }, /sessions\.idleLifetime/],
    [{ absoluteLifetime: 1.5 }, /sessions\.absoluteLifetime/],
    [{ retryWindow: -1 }, /sessions\.retryWindow/],
    [{ retryWindow: '30' }, /sessions\.retryWindow/],
    [{ maxStaleness: Infinity }, /sessions\.maxStaleness/],
    [{ perUser: 0 }, /sessions\.perUser/],
    [{ perUser: 10_001 }, /sessions\.perUser/],
    [{ perUser: 1.5 }, /sessions\.perUser/],
    [{ revocationLimit: 0 }, /sessions\.revocationLimit/],
    [{ whenStale: 'maybe' }, /sessions\.whenStale/],
    [{ secrets: [] }, /sessions\.secrets/],
    [{ secrets: [secret, 'too short to be one'] }, /sessions\.secrets\[1\]/],
    [{ secrets: [secret, secret] }, /sessions\.secrets/],
    [[], /sessions/], [null, /sessions/], ['on', /sessions/]
  ]
  for (const [options, message] of rows) {
    t.throws(() => resolveSessionOptions(options, defaults), { code: errors.OptionInvalidError.code, message })
  }
  try {
    resolveSessionOptions({ secrets: ['sesame'] }, defaults)
  } catch (error) {
    t.notOk(String(error).includes('sesame'), 'a secret is never echoed')
  }
})
