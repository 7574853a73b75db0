import { createSecretKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { inspect } from 'node:util'
import fastifyFormbody from '@fastify/formbody'
import fastifyJwt from '@fastify/jwt'
import fastifyRateLimit from '@fastify/rate-limit'
import Fastify, { type FastifyInstance } from 'fastify'
import { decodeProtectedHeader } from 'jose'
import t from 'tap'
import { tokenExchange, type IdentityProvider } from '../src/index.js'
import { ask, guardsOnly, secret } from './server.js'
import { generate, testKey } from './tokens/forge.js'

const provider: IdentityProvider = { accepts: ['access_token'], verify: async () => ({ subject: '1' }) }
const pem = (key: KeyObject): string =>
  key.export({ type: key.type === 'private' ? 'pkcs8' : 'spki', format: 'pem' }).toString()

async function boot (options: object, parent?: FastifyInstance): Promise<FastifyInstance> {
  const app = parent ?? Fastify()
  if ('rateLimit' in options) app.register(fastifyRateLimit, { global: false })
  Reflect.apply(app.register, app, [tokenExchange, options])
  await app.ready()
  await app.close()
  return app
}

const text16 = 'sixteen-letters!'
const good: Array<[string, unknown[]]> = [
  [
    'issuer',
    [
      'https://api.example.com',
      'https://api.example.com:8443',
      'https://api.example.com/tenant/one',
      'http://localhost',
      'http://localhost:3000',
      'http://127.0.0.1:3000',
      'http://127.9.9.9',
      'http://[::1]:3000'
    ]
  ],
  ['audience', [undefined, 'x', 'https://other.example.com/', 'urn:todo']],
  [
    'keys',
    [
      'k'.repeat(31) + '!',
      '\u00fc'.repeat(16),
      [{ algorithm: 'HS256', secret, kid: 'k'.repeat(200) }],
      Object.freeze([Object.freeze({ algorithm: 'HS256', secret })])
    ]
  ],
  ['providers', [undefined, {}, { own: provider }, { 'a-b_c9': { ...provider, nonce: 'off', replay: 'allow' } }]],
  ['permissions', [undefined, () => null, async () => ({})]],
  ['accessTokenLifetime', [undefined, 30, 3600, 86400]],
  ['clockTolerance', [undefined, 0, 5, 300]],
  ['applicationKeys', [undefined, {}, { ios: text16 }, { ios: text16, android: `${text16}2` }]],
  ['masterKeys', [undefined, {}, { ops: text16 }]],
  ['headers', [undefined, {}, { token: 'X-Token' }, { token: 'x-zumo-application', applicationKey: 'x-zumo-auth' }]],
  ['prefix', [undefined, '', '/v1', '/api/v1']],
  ['rateLimit', [undefined, {}, { max: 3 }]],
  ['defaultLevel', [undefined, 'everyone', 'application', 'authenticated', 'admin']],
  [
    'cors',
    [undefined, { origins: ['https://www.example.com'] }, { origins: ['http://localhost:3000', 'ionic://localhost'] }]
  ],
  ['azureMobileServices', [undefined, false]],
  ['providerTimeout', [undefined, 1, 60_000]],
  ['lookupTimeout', [undefined, 1, 60_000]],
  ['concurrency', [undefined, 1, 64, 1000]],
  ['tokenFrom', [undefined, () => null]],
  ['tokenCache', [undefined, {}, { bytes: undefined }, { bytes: 0 }, { bytes: 134_217_728 }]],
  ['logLevel', ['warn', 'silent']],
  ['logSerializers', [{ req: () => ({}) }]]
]

t.test('good values', async t => {
  for (const [name, values] of good) {
    for (const value of values) {
      const options = { ...guardsOnly, applicationKeys: {}, masterKeys: {}, [name]: value }
      await t.resolves(boot(options), `${name}: ${JSON.stringify(value)}`)
    }
  }
})

const junk = [null, true, 7, NaN, -1, '', ' ', [], () => {}, Symbol('x'), 1n, new Date()]
const fits = (name: string, value: unknown): boolean => {
  if (['concurrency', 'clockTolerance', 'providerTimeout', 'lookupTimeout'].includes(name)) return value === 7
  if (name === 'permissions' || name === 'tokenFrom') return typeof value === 'function'
  if (name === 'prefix') return value === ''
  return ['rateLimit', 'headers', 'tokenCache'].includes(name) && value instanceof Date
}
const bad: Array<[string, unknown[]]> = [
  [
    'issuer',
    [
      undefined,
      'api.example.com',
      '//api.example.com',
      '/x',
      'http://api.example.com',
      'ftp://localhost',
      'https://api.example.com/',
      'https://api.example.com/x/',
      'https://api.example.com?x',
      'https://api.example.com?',
      'https://api.example.com#',
      'https://api.example.com#x',
      'https://user:hunter2hunter2@api.example.com',
      'https://user@api.example.com',
      'http://localhost.example.com',
      'http://127.0.0.1.example.com',
      'http://0.0.0.0',
      'http://10.0.0.1',
      'http://169.254.169.254',
      'https:api.example.com',
      'https:\\\\api.example.com',
      'https://api.example.com/a/../b',
      'https://api.example.com:443',
      'HTTPS://api.example.com',
      'https://api.example.com ',
      ' https://api.example.com',
      'https://api.example.com\n',
      'javascript:1',
      'data:,x',
      ['https://api.example.com'],
      new URL('https://api.example.com')
    ]
  ],
  ['audience', [['a'], {}]],
  [
    'providers',
    [
      { Own: provider },
      { 'a b': provider },
      { ['a'.repeat(101)]: provider },
      { '': provider },
      { 'a/b': provider },
      { ü: provider },
      { own: null },
      { own: 'facebook' },
      { own: {} },
      { own: { accepts: [], verify () {} } },
      { own: { accepts: ['access_token'] } },
      { own: { accepts: ['password'], verify () {} } },
      { own: { accepts: 'access_token', verify () {} } },
      { own: { ...provider, nonce: 'always' } },
      { own: { ...provider, nonce: true } },
      { own: { ...provider, replay: 'deny' } },
      { own: () => provider },
      [provider],
      new Map([['own', provider]])
    ]
  ],
  ['permissions', [{}, 'admin', Promise.resolve()]],
  ['accessTokenLifetime', [0, 29, 86_401, 30.5, '3600', Infinity, {}]],
  ['clockTolerance', [-1, 0.5, '5', 301, Infinity]],
  [
    'applicationKeys',
    [
      { ios: 'fifteen-letters' },
      { ios: '' },
      { ios: null },
      { ios: 7 },
      { ios: [text16] },
      { ios: `${text16}\u00fc` },
      { ios: ` ${text16}` },
      { ios: `${text16}\n` },
      { ios: 'change-me-change-me-now' },
      { a: text16, b: text16 },
      text16,
      [text16],
      new Map([['ios', text16]])
    ]
  ],
  ['masterKeys', [{ ops: 'fifteen-letters' }, { a: text16, b: text16 }, { ops: undefined }]],
  [
    'headers',
    [
      { token: '' },
      { token: null },
      { token: 'a b' },
      { token: 'x:' },
      { token: 'x\u00fc' },
      { token: 'Authorization' },
      { token: 'X-A', masterKey: 'x-a' },
      { applicationKey: 'x-zumo-master' },
      { tokens: 'x' },
      'x-token'
    ]
  ],
  ['prefix', ['v1', '/', '/v1/', '//', '/v1//x', '/v1?x', '/v1#x', '/:x', '/*', '/a b', {}]],
  ['rateLimit', ['10', 10]],
  ['defaultLevel', ['user', 'Admin', 'none', {}, ['admin']]],
  [
    'cors',
    [
      {},
      { origins: [] },
      { origins: ['*'] },
      { origins: ['null'] },
      { origins: 'https://www.example.com' },
      { origins: [null] },
      { origins: new Array(1) },
      { origins: [/x/] },
      { origins: ['https://www.example.com/'] },
      { origins: ['https://www.example.com/x'] },
      { origins: ['www.example.com'] },
      { origins: ['https://*.example.com'] },
      { origins: ['https://WWW.example.com'] },
      { origins: ['https://www.example.com:443'] },
      { origins: ['https://user@www.example.com'] },
      { origins: ['https://'] },
      { origins: [true] },
      { origins: ['https://www.example.com', '*'] },
      { origins: ['https://www.example.com'], credentials: true },
      { origin: ['https://www.example.com'] },
      'https://www.example.com'
    ]
  ],
  ['providerTimeout', [0, 1.5, '5000', 60_001, Infinity]],
  ['lookupTimeout', [0, 1.5, '5000', 60_001, Infinity]],
  ['concurrency', [0, 1.5, '64', Infinity]],
  ['tokenFrom', [null, 'cookie', {}]],
  ['tokenCache', [null, 1024, [], { bytes: -1 }, { bytes: 1.5 }, { bytes: '1' }, { bytes: Infinity }, { entries: 9 }]],
  ['issuerr', ['https://api.example.com']],
  ['key', [secret]],
  ['accesTokenLifetime', [60]],
  ['defaultlevel', ['admin']],
  ['secret', [secret]],
  ['applicationKey', [text16]],
  ['Providers', [{}]],
  ['azure', [true]]
]

t.test('bad values are refused by name', async t => {
  for (const [name, values] of bad) {
    for (const value of [...values, ...junk.filter(value => !fits(name, value))]) {
      await t.rejects(
        boot({ ...guardsOnly, applicationKeys: {}, masterKeys: {}, [name]: value }),
        { code: 'AUTH_ERR_OPTION_INVALID', message: new RegExp(`\\b${name}\\b`) },
        `${name}: ${typeof value === 'object' ? JSON.stringify(value) : String(value)}`
      )
    }
  }
})

t.test('no key twice, not even as an application key and a master key', async t => {
  await t.rejects(boot({ ...guardsOnly, applicationKeys: { ios: text16 }, masterKeys: { ops: text16 } }), {
    code: 'AUTH_ERR_OPTION_INVALID',
    message: /applicationKeys and masterKeys/
  })
})

const rsa1024 = generateKeyPairSync('rsa', { modulusLength: 1024 })
const rsa = generate('RS256')
const p256 = generate('ES256')
const ed25519 = generate('EdDSA')
const otherEs = generate('ES256')
const curve = (namedCurve: string): string => pem(generateKeyPairSync('ec', { namedCurve }).privateKey)
const es = { algorithm: 'ES256', privateKey: pem(p256.privateKey) }
const badKeys: Array<[string, unknown]> = [
  ['not set', undefined],
  ['31 bytes', 'k'.repeat(30) + '!'],
  ['30 bytes in 15 letters', '\u00fc'.repeat(15)],
  ['no keys', []],
  ['an object', es],
  ['bytes', Buffer.alloc(32)],
  ['a KeyObject', createSecretKey(Buffer.alloc(32))],
  ['jwt.io', 'a-string-secret-at-least-256-bits-long'],
  ['RFC 7515', 'AyM1SysPpbyfDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow'],
  ['RFC 7520', 'hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg'],
  ['change me', 'change-me-change-me-change-me-change-me'],
  ['your secret', 'your-secret-goes-here-and-must-be-long'],
  ['blanks', ' '.repeat(40)],
  ['a PEM as secret', pem(rsa.publicKey)],
  ['a hole', new Array(1)],
  ['null in the list', [null]],
  ['a text in the list', [secret]],
  ['no algorithm', [{ secret }]],
  ['unknown algorithm', [{ algorithm: 'HS512', secret }]],
  ['algorithm none', [{ algorithm: 'none' }]],
  ['a list of algorithms', [{ algorithm: ['HS256', 'ES256'], secret }]],
  ['short secret in the list', [{ algorithm: 'HS256', secret: 'short-but-confidential' }]],
  ['no secret', [{ algorithm: 'HS256' }]],
  ['a secret and a key', [{ algorithm: 'HS256', secret, privateKey: es.privateKey }]],
  ['a secret for ES256', [{ ...es, secret }]],
  ['no key', [{ algorithm: 'ES256' }]],
  ['misspelt member', [{ ...es, privatekey: 'x' }]],
  ['empty kid', [{ ...es, kid: '' }]],
  ['kid a number', [{ ...es, kid: 1 }]],
  ['kid null', [{ ...es, kid: null }]],
  ['kid too long', [{ ...es, kid: 'k'.repeat(201) }]],
  ['RSA of 1024 bits', [{ algorithm: 'RS256', privateKey: pem(rsa1024.privateKey) }]],
  ['public RSA of 1024 bits', [{ algorithm: 'RS256', publicKey: pem(rsa1024.publicKey) }]],
  [
    'RSA-PSS',
    [{ algorithm: 'RS256', privateKey: pem(generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).privateKey) }]
  ],
  ['P-384', [{ algorithm: 'ES256', privateKey: curve('P-384') }]],
  ['P-521', [{ algorithm: 'ES256', privateKey: curve('P-521') }]],
  ['secp256k1', [{ algorithm: 'ES256', privateKey: curve('secp256k1') }]],
  ['Ed448', [{ algorithm: 'EdDSA', privateKey: pem(generateKeyPairSync('ed448').privateKey) }]],
  ['X25519', [{ algorithm: 'EdDSA', privateKey: pem(generateKeyPairSync('x25519').privateKey) }]],
  ['EC for EdDSA', [{ algorithm: 'EdDSA', privateKey: es.privateKey }]],
  ['Ed25519 for ES256', [{ algorithm: 'ES256', privateKey: pem(ed25519.privateKey) }]],
  ['RSA for ES256', [{ algorithm: 'ES256', privateKey: pem(rsa.privateKey) }]],
  ['EC for RS256', [{ algorithm: 'RS256', privateKey: es.privateKey }]],
  ['a public key as the private one', [{ algorithm: 'ES256', privateKey: pem(p256.publicKey) }]],
  ['a private key as the public one', [{ algorithm: 'ES256', publicKey: es.privateKey }]],
  ['keys that do not match', [{ ...es, publicKey: pem(otherEs.publicKey) }]],
  ['no PEM', [{ algorithm: 'ES256', privateKey: 'confidential text' }]],
  ['PEM of junk', [{ algorithm: 'ES256', privateKey: '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----' }]],
  [
    'encrypted',
    [
      {
        algorithm: 'ES256',
        privateKey: p256.privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' })
      }
    ]
  ],
  ['DER', [{ algorithm: 'ES256', privateKey: p256.privateKey.export({ type: 'pkcs8', format: 'der' }) }]],
  [
    'the same kid twice',
    [
      { ...es, kid: 'a' },
      { algorithm: 'EdDSA', privateKey: pem(ed25519.privateKey), kid: 'a' }
    ]
  ],
  ['the same key twice', [es, es]],
  [
    'the same key under two names',
    [
      { ...es, kid: 'a' },
      { ...es, kid: 'b' }
    ]
  ],
  ['the same key, private and public', [es, { algorithm: 'ES256', publicKey: pem(p256.publicKey), kid: 'b' }]],
  [
    'the same secret under two names',
    [
      { algorithm: 'HS256', secret, kid: 'a' },
      { algorithm: 'HS256', secret, kid: 'b' }
    ]
  ]
]

t.test('keys that must not start', async t => {
  for (const [name, keys] of badKeys) {
    await t.rejects(boot({ ...guardsOnly, keys }), { code: 'AUTH_ERR_OPTION_INVALID', message: /\bkeys\b/ }, name)
  }
})

t.test('messages about keys name the remedy', async t => {
  const privateKey = pem(p256.privateKey)
  const publicKey = pem(p256.publicKey)
  const inOneLine = (text: string): string => text.replaceAll('\n', '\\n')
  const base64 = Buffer.from(privateKey).toString('base64')
  const der = p256.privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64')
  const rows: Array<[string, unknown, RegExp]> = [
    ['unset', undefined, /keys is undefined: is the variable set/],
    ['an unset secret', [{ algorithm: 'HS256', secret: undefined }], /secret is undefined: is the variable set/],
    ['an unset private key', [{ algorithm: 'ES256', privateKey: undefined }], /privateKey .*is the variable set/],
    ['\\n written out', [{ algorithm: 'ES256', privateKey: inOneLine(privateKey) }], /privateKey has \\n written out/],
    ['\\n in a public key', [{ algorithm: 'ES256', publicKey: inOneLine(publicKey) }], /publicKey has \\n written out/],
    ['a PEM in base64', [{ algorithm: 'ES256', privateKey: base64 }], /privateKey is a PEM in base64/],
    ['base64 alone', [{ algorithm: 'ES256', privateKey: der }], /privateKey is no PEM: it begins with -----BEGIN/],
    ['cut off', [{ algorithm: 'ES256', privateKey: privateKey.slice(0, 100) }], /privateKey is no readable PEM key/],
    ['a PEM as the secret', privateKey, /keys is a PEM key, not a secret: list it with its algorithm/],
    ['a misspelt member', [{ algorithm: 'ES256', privatekey: privateKey }], /did you mean privateKey\?/],
    ['a misspelt algorithm', [{ algorithm: 'EdDsa', privateKey }], /did you mean EdDSA\?/]
  ]
  for (const [name, keys, message] of rows) {
    const error: unknown = await boot({ ...guardsOnly, keys }).then(() => null, (error: unknown) => error)
    t.match(error, { code: 'AUTH_ERR_OPTION_INVALID', message }, name)
    t.notOk(inspect(error, { depth: 9 }).includes(der.slice(40, 80)), `${name}: no part of the key`)
  }
})

t.test('public keys only do not go with providers', async t => {
  const keys = [{ algorithm: 'ES256', publicKey: pem(p256.publicKey) }]
  await t.rejects(boot({ ...guardsOnly, keys, providers: { own: provider } }), {
    code: 'AUTH_ERR_OPTION_INVALID',
    message: /keys/
  })
  await t.resolves(boot({ ...guardsOnly, keys }))
})

t.test('kid is the RFC 7638 thumbprint, or for a secret a hash that does not reveal it', async t => {
  for (const algorithm of ['ES256', 'EdDSA', 'RS256'] as const) {
    const key = await testKey(algorithm)
    const app = await boot({ ...guardsOnly, keys: [key.option] })
    t.equal(decodeProtectedHeader(app.tokenExchange.issue({ userId: 'a' }).access_token).kid, key.kid)
  }
  const [one, same, other] = await Promise.all([secret, secret, `${secret}2`].map(async keys => {
    const app = await boot({ ...guardsOnly, keys })
    return decodeProtectedHeader(app.tokenExchange.issue({ userId: 'a' }).access_token).kid ?? ''
  }))
  t.equal(one, same)
  t.not(one, other)
  t.match(one, /^[\w-]{16,}$/)
  t.notOk(secret.includes(one ?? ''))
})

t.test('no message holds a secret', async t => {
  const confidential = 'swordfish-swordfish-swordfish-0'
  const pemText = pem(rsa1024.privateKey)
  const rows: object[] = [
    { keys: confidential },
    { keys: [{ algorithm: 'HS256', secret: confidential }] },
    { keys: [{ algorithm: confidential, secret: confidential }] },
    { keys: [{ algorithm: 'RS256', privateKey: pemText }] },
    { keys: [{ algorithm: 'ES256', privateKey: confidential }] },
    { keys: [{ ...es, kid: confidential.repeat(9) }] },
    { applicationKeys: { ios: `${confidential}\u00fc` } },
    { applicationKeys: { [confidential]: 'ios' } },
    { masterKeys: { [confidential]: 'ops' } },
    { masterKeys: { ops: confidential, dev: confidential } },
    { masterKeys: confidential },
    { applicationKeys: [confidential] },
    { issuer: `https://user:${confidential}@api.example.com` },
    { issuer: confidential },
    { headers: { token: `${confidential} x` } },
    { cors: { origins: [`https://user:${confidential}@www.example.com`] } }
  ]
  for (const options of rows) {
    const error: unknown = await boot({ ...guardsOnly, ...options }).then(() => null, (error: unknown) => error)
    t.match(error, { code: 'AUTH_ERR_OPTION_INVALID' })
    const printed = inspect(error, { depth: 9 })
    t.notOk(printed.includes('swordfish') || printed.includes(pemText.slice(40, 80)), Object.keys(options).join())
  }
})

function deepFreeze<T> (value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    Object.values(value).forEach(deepFreeze)
  }
  return value
}

t.test('options are never mutated, nor looked at later', async t => {
  const options = {
    ...guardsOnly,
    keys: [{ algorithm: 'HS256' as const, secret }],
    applicationKeys: { ios: text16 },
    providers: { own: { ...provider } },
    headers: { token: 'x-token' },
    rateLimit: { max: 100, timeWindow: 1000 },
    cors: { origins: ['https://www.example.com'] }
  }
  const frozen = deepFreeze(structuredClone({ ...options, providers: {} }))
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(fastifyRateLimit, { global: false })
  await app.register(tokenExchange, { ...frozen, providers: deepFreeze({ own: { ...provider } }) })
  t.equal((await app.inject({ method: 'POST', url: '/login/own', payload: { access_token: 'x' } })).statusCode, 200)

  const late = Fastify()
  t.teardown(() => late.close())
  await late.register(fastifyRateLimit, { global: false })
  await late.register(tokenExchange, options)
  late.get('/', { onRequest: late.requireLevel('application') }, () => 'ok')
  options.applicationKeys.ios = 'changed-afterwards'
  options.headers.token = 'x-changed'
  t.equal((await ask(late, { 'x-zumo-application': text16 })).status, 200)
})

t.test('defaultLevel outside of the root is refused', async t => {
  const app = Fastify()
  app.register(async scope => { await scope.register(tokenExchange, { ...guardsOnly, defaultLevel: 'admin' }) })
  await t.rejects(async () => { await app.ready() }, { code: 'AUTH_ERR_OPTION_INVALID', message: /defaultLevel/ })
})

t.test('registered twice in one scope or its child it is refused', async t => {
  const twice = Fastify()
  twice.register(tokenExchange, guardsOnly)
  twice.register(tokenExchange, guardsOnly)
  await t.rejects(
    async () => {
      await twice.ready()
    },
    { code: 'AUTH_ERR_OPTION_INVALID', message: /registered already/ }
  )
  const nested = Fastify()
  nested.register(tokenExchange, guardsOnly)
  nested.register(async scope => { await scope.register(tokenExchange, guardsOnly) })
  await t.rejects(
    async () => {
      await nested.ready()
    },
    { code: 'AUTH_ERR_OPTION_INVALID', message: /registered already/ }
  )
})

t.test('two sibling scopes are isolated', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  const tokens = new Map<string, string>()
  for (const [name, keys] of [['a', secret], ['b', `${secret}-b`], ['c', secret]] as const) {
    app.register(async scope => {
      await scope.register(tokenExchange, {
        ...guardsOnly,
        issuer: `https://${name}.example.com`,
        keys,
        applicationKeys: { [name]: `application-key-${name}` },
        masterKeys: {},
        providers: { own: provider }
      })
      tokens.set(name, scope.tokenExchange.issue({ userId: name }).access_token)
      scope.get('/', { onRequest: scope.requireUser() }, request => request.auth.user?.id)
      scope.get('/application', { onRequest: scope.requireLevel('application') }, request => request.auth.application)
    }, { prefix: `/${name}` })
  }
  await app.ready()
  for (const here of ['a', 'b', 'c']) {
    for (const [from, token] of tokens) {
      t.equal(
        (await ask(app, { authorization: `Bearer ${token}` }, `/${here}/`)).status,
        from === here ? 200 : 401,
        `${from} → ${here}`
      )
    }
    for (const from of ['a', 'b', 'c']) {
      t.equal(
        (await ask(app, { 'x-zumo-application': `application-key-${from}` }, `/${here}/application`)).status,
        from === here ? 200 : 401
      )
    }
    t.equal(
      (await app.inject({ method: 'POST', url: `/${here}/login/own`, payload: { access_token: 'x' } })).statusCode,
      200
    )
  }
  t.equal(Reflect.get(app, 'requireLevel'), undefined)
})

t.test("it lives beside an application's own @fastify/jwt, in both orders", async t => {
  const ownSecret = 'another-secret-of-the-application'
  for (const order of ['before', 'after']) {
    for (const ownOptions of [{ secret: ownSecret }, { secret: ownSecret, namespace: 'own' }]) {
      const app = Fastify()
      t.teardown(() => app.close())
      if (order === 'before') app.register(fastifyJwt, ownOptions)
      app.register(tokenExchange, {
        ...guardsOnly,
        keys: [
          { algorithm: 'HS256', secret },
          { algorithm: 'ES256', privateKey: es.privateKey }
        ]
      })
      if (order === 'after') app.register(fastifyJwt, ownOptions)
      app.register(async scope => {
        scope.get('/ours', { onRequest: scope.requireUser() }, request => request.auth.user?.id)
        scope.get('/theirs', async request => {
          await (ownOptions.namespace === undefined
            ? request.jwtVerify()
            : Reflect.apply(Reflect.get(request, 'ownJwtVerify'), request, []))
          return request.user
        })
      })
      await app.ready()
      const own: typeof app.jwt = ownOptions.namespace === undefined ? app.jwt : Reflect.get(app.jwt, 'own')
      t.strictSame(
        Object.keys(app.jwt).filter(name => name.startsWith('tokenExchange')),
        [],
        'no namespace is left behind'
      )
      const theirs = own.sign({ id: 7 })
      const ours = app.tokenExchange.issue({ userId: 'ada' }).access_token
      const rows: Array<[string, string, number]> = [
        ['/ours', ours, 200],
        ['/ours', theirs, 401],
        ['/theirs', theirs, 200],
        ['/theirs', ours, 401]
      ]
      for (const [url, token, status] of rows) {
        t.equal((await ask(app, { authorization: `Bearer ${token}` }, url)).status, status, `${order} ${url}`)
      }
      t.throws(() => own.verify(ours))
    }
  }
})

t.test('it lives beside decorators of the application with names of @fastify/jwt', async t => {
  for (const jwt of [Object.freeze({ sign: () => 'own' }), () => 'own', 'own', 0, null]) {
    const app = Fastify()
    t.teardown(() => app.close())
    Reflect.apply(app.decorate, app, ['jwt', jwt])
    Reflect.apply(app.decorateRequest, app, ['user', null])
    await app.register(tokenExchange, guardsOnly)
    app.get('/', { onRequest: app.requireUser() }, request => ({ user: request.user, id: request.auth.user?.id }))
    const answer = await app.inject({
      url: '/',
      headers: { authorization: `Bearer ${app.tokenExchange.issue({ userId: 'ada' }).access_token}` }
    })
    t.strictSame(answer.json(), { user: null, id: 'ada' })
    t.equal(Reflect.get(app, 'jwt'), jwt)
  }
})

t.test('it lives beside @fastify/formbody, in both orders', async t => {
  for (const order of ['before', 'after']) {
    const app = Fastify()
    t.teardown(() => app.close())
    if (order === 'before') app.register(fastifyFormbody)
    app.register(tokenExchange, { ...guardsOnly, providers: { own: provider } })
    if (order === 'after') app.register(fastifyFormbody)
    app.post('/form', request => request.body)
    const form = (url: string) =>
      app.inject({
        method: 'POST',
        url,
        payload: 'access_token=x',
        headers: { 'content-type': 'application/x-www-form-urlencoded' }
      })
    t.equal((await form('/login/own')).statusCode, 200)
    t.strictSame((await form('/form')).json(), { access_token: 'x' })
  }
})

t.test('rateLimit without @fastify/rate-limit before it would limit nothing: refused', async t => {
  const app = Fastify()
  app.register(tokenExchange, { ...guardsOnly, rateLimit: { max: 2 } })
  app.register(fastifyRateLimit, { global: false })
  const refusal = {
    code: 'AUTH_ERR_OPTION_INVALID',
    message: /rateLimit needs @fastify\/rate-limit: register it before/
  }
  await t.rejects(async () => { await app.ready() }, refusal)
})

t.test('a misspelt option is told what it was meant to be, an unset variable that it is unset', async t => {
  const rows: Array<[object, RegExp]> = [
    [{ aplicationKeys: {} }, /aplicationKeys is not an option: did you mean applicationKeys\?/],
    [{ headers: { Token: 'x' } }, /headers\.Token is not an option: did you mean token\?/],
    [{ defaultLevel: 'authentcated' }, /defaultLevel must be one of .*: did you mean authenticated\?/],
    [{ issuer: undefined }, /issuer is undefined: is the variable set/],
    [{ issuer: 'http://192.168.1.7:3000' }, /may stay http:\/\/localhost/],
    [{ issuer: 'https://api.example.com/' }, /no slash at its end/],
    [{ cors: { origins: ['https://www.example.com/'] } }, /without the slash at its end/]
  ]
  for (const [options, message] of rows) {
    await t.rejects(boot({ ...guardsOnly, ...options }), { code: 'AUTH_ERR_OPTION_INVALID', message }, String(message))
  }
})

t.test('rateLimit counts on the own routes, and on no other', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(fastifyRateLimit, { global: false })
  await app.register(tokenExchange, {
    ...guardsOnly,
    providers: { own: provider },
    rateLimit: { max: 2, timeWindow: 60_000 }
  })
  app.get('/', () => 'ok')
  const statuses: number[] = []
  for (let i = 0; i < 4; i++) {
    statuses.push((await app.inject({ method: 'POST', url: '/login/own', payload: { access_token: 'x' } })).statusCode)
    t.equal((await ask(app)).status, 200)
  }
  t.strictSame(statuses, [200, 200, 429, 429])
})

t.test('prefix moves the own routes only, on top of the prefix of the scope', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.register(async scope => {
    await scope.register(tokenExchange, { ...guardsOnly, providers: { own: provider }, prefix: '/v1' })
    scope.get('/mine', { onRequest: scope.requireLevel('everyone') }, () => 'ok')
  }, { prefix: '/api' })
  await app.ready()
  t.equal(
    (await app.inject({ method: 'POST', url: '/api/v1/login/own', payload: { access_token: 'x' } })).statusCode,
    200
  )
  t.equal((await app.inject({ method: 'POST', url: '/api/login/own', payload: { access_token: 'x' } })).statusCode, 404)
  t.equal((await ask(app, {}, '/api/mine')).status, 200)
})
