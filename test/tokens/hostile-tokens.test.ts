import { createHmac } from 'node:crypto'
import t from 'tap'
import { EncryptJWT, FlattenedSign } from 'jose'
import { ask, startUsersApp } from '../server.js'
import { algorithms, encode, forge, goodClaims, goodHeader, testKey, type TestKey } from './forge.js'

/** The good payload as text, with something put in before its end. */
const payloadWith = (more: string): string => JSON.stringify(goodClaims()).replace(/\}$/, `${more}}`)
const claimsWithout = (name: string): Record<string, unknown> =>
  Object.fromEntries(Object.entries(goodClaims()).filter(([key]) => key !== name))
const now = (): number => Math.floor(Date.now() / 1000)

// Each is the good token but for one thing, signed with the server's own key.
function hostileHeaders (key: TestKey): Array<[string, string]> {
  const good = { alg: key.algorithm, typ: 'at+jwt', kid: key.kid }
  const jwk = key.publicKey?.export({ format: 'jwk' }) ?? { kty: 'oct', k: 'AAAA' }
  const headers: Array<[string, unknown]> = [
    ['alg none', { ...good, alg: 'none' }],
    ['alg NONE', { ...good, alg: 'NONE' }],
    ['alg as an array', { ...good, alg: [key.algorithm] }],
    ['alg in lower case', { ...good, alg: key.algorithm.toLowerCase() }],
    [
      'another alg of the same key',
      { ...good, alg: key.algorithm === 'EdDSA' ? 'Ed25519' : key.algorithm.replace('256', '512') }
    ],
    ['alg empty', { ...good, alg: '' }],
    ['no alg', { typ: 'at+jwt', kid: key.kid }],
    ['typ JWT', { ...good, typ: 'JWT' }],
    ['typ with its media type', { ...good, typ: 'application/at+jwt' }],
    ['typ in upper case', { ...good, typ: 'AT+JWT' }],
    ['typ of a refresh token', { ...good, typ: 'rt+jwt' }],
    ['no typ', { alg: key.algorithm, kid: key.kid }],
    ['no kid', { alg: key.algorithm, typ: 'at+jwt' }],
    ['kid with a path', { ...good, kid: '../../../../dev/null' }],
    ['kid with SQL', { ...good, kid: "' UNION SELECT 'secret' --" }],
    ['kid __proto__', { ...good, kid: '__proto__' }],
    ['kid constructor', { ...good, kid: 'constructor' }],
    ['kid null', { ...good, kid: null }],
    ['kid a number', { ...good, kid: 1 }],
    ['kid an array', { ...good, kid: [key.kid] }],
    ['kid of 4 kB', { ...good, kid: 'k'.repeat(4096) }],
    ['embedded jwk', { ...good, jwk }],
    ['jku', { ...good, jku: 'https://evil.example/jwks' }],
    ['x5u', { ...good, x5u: 'https://evil.example/cert' }],
    ['x5c', { ...good, x5c: ['AAAA'] }],
    ['crit', { ...good, crit: ['exp'], exp: 1 }],
    ['empty crit', { ...good, crit: [] }],
    ['b64', { ...good, b64: false, crit: ['b64'] }],
    ['zip', { ...good, zip: 'DEF' }],
    ['cty', { ...good, cty: 'JWT' }],
    ['other order of members', { typ: 'at+jwt', alg: key.algorithm, kid: key.kid }],
    ['a duplicate member', `{"alg":"none",${JSON.stringify(good).slice(1)}`],
    ['a duplicate at the end', JSON.stringify(good).replace('}', `,"alg":"${key.algorithm}"}`)],
    ['blanks', JSON.stringify(good, null, 1)],
    ['a blank at the end', `${JSON.stringify(good)} `],
    ['an escaped letter', JSON.stringify(good).replace('typ', '\\u0074yp')],
    ['a byte order mark', `\ufeff${JSON.stringify(good)}`],
    ['null', 'null'],
    ['an array', [good]],
    ['no JSON', 'header'],
    ['empty', '']
  ]
  return headers.map(([name, header]) => [name, forge(key, goodClaims(), header)])
}

function hostileClaims (): Array<[string, unknown]> {
  const registered = ['iss', 'aud', 'sub', 'client_id', 'iat', 'exp', 'jti', 'level', 'permissions']
  const texts = ['iss', 'aud', 'sub', 'client_id', 'jti', 'idp', 'idp_sub', 'sid', 'level']
  const differences: Array<[string, Record<string, unknown>]> = [
    ...texts.flatMap((name): Array<[string, Record<string, unknown>]> =>
      [null, '', 1, true, [], {}, [goodClaims()[name]]].map(value => [
        `${name} ${JSON.stringify(value)}`,
        { [name]: value }
      ])
    ),
    ...['iat', 'exp', 'nbf'].flatMap((name): Array<[string, Record<string, unknown>]> =>
      [null, '', String(now()), '1e9', true, [now()], {}, -1].map(value => [
        `${name} ${JSON.stringify(value)}`,
        { [name]: value }
      ])
    ),
    ['another iss', { iss: 'https://evil.example' }],
    ['iss with a slash more', { iss: 'https://api.example.com/' }],
    ['iss in upper case', { iss: 'https://API.example.com' }],
    ['another aud', { aud: 'https://other.example' }],
    ['aud ours and another', { aud: ['https://api.example.com', 'https://other.example'] }],
    ['exp in milliseconds', { exp: Date.now() + 600_000 }],
    ['exp far ahead', { exp: now() + 90_000 }],
    ['iat in milliseconds', { iat: Date.now() }],
    ['iat ahead', { iat: now() + 60 }],
    ['nbf ahead', { nbf: now() + 60 }],
    ['a level that no user has', { level: 'everyone' }],
    ['the level of an application', { level: 'application' }],
    ['an unknown level', { level: 'root' }],
    ['level __proto__', { level: '__proto__' }],
    ['permissions a text', { permissions: 'todo:read' }],
    ['permissions null', { permissions: null }],
    ['permissions an object', { permissions: { 0: 'todo:read', length: 1 } }],
    ['a permission that is a number', { permissions: [1] }],
    ['an empty permission', { permissions: [''] }]
  ]
  const times = (name: string, value: string): string =>
    JSON.stringify(goodClaims()).replace(new RegExp(`"${name}":\\d+`), `"${name}":${value}`)
  return [
    ...registered.map((name): [string, unknown] => [`no ${name}`, claimsWithout(name)]),
    ...differences.map(([name, difference]): [string, unknown] => [name, { ...goodClaims(), ...difference }]),
    ['exp 1e400', times('exp', '1e400')],
    ['exp -1e400', times('exp', '-1e400')],
    ['exp NaN', times('exp', 'NaN')],
    ['iat 1e400', times('iat', '1e400')],
    ['exp with a fraction of zero', times('exp', `${now() + 600}.0`)],
    ['exp with an exponent', times('exp', `${now() + 600}e0`)],
    ['a duplicate level', payloadWith(',"level":"admin"')],
    ['a duplicate in extra claims', payloadWith(',"x":1,"x":2')],
    ['a duplicate deep within', payloadWith(',"x":{"a":1,"a":2}')],
    ['blanks', JSON.stringify(goodClaims(), null, 2)],
    ['a blank after a colon', JSON.stringify(goodClaims()).replace('"sub":', '"sub": ')],
    ['a blank before a colon', JSON.stringify(goodClaims()).replace('"sub":', '"sub" :')],
    ['a blank after a comma', JSON.stringify(goodClaims()).replace(',"sub"', ', "sub"')],
    ['a line end before a comma', JSON.stringify(goodClaims()).replace(',"sub"', '\n,"sub"')],
    ['a blank in a list', JSON.stringify(goodClaims()).replace('["todo', '[ "todo')],
    ['a blank at the end', `${JSON.stringify(goodClaims())} `],
    ['a whole number with a fraction', payloadWith(',"x":1.0')],
    ['a number with an exponent', payloadWith(',"x":1e2')],
    ['a number of too many digits', payloadWith(',"x":12345678901234567')],
    ['a negative zero', payloadWith(',"x":-0')],
    ['an escaped slash', JSON.stringify(goodClaims()).replace('https://', 'https:\\/\\/')],
    ['a blank before', ` ${JSON.stringify(goodClaims())}`],
    ['a new line after', `${JSON.stringify(goodClaims())}\n`],
    ['an escaped letter', JSON.stringify(goodClaims()).replace('"sub"', '"su\\u0062"')],
    ['a byte order mark', `\ufeff${JSON.stringify(goodClaims())}`],
    ['UTF-16', Buffer.from(JSON.stringify(goodClaims()), 'utf16le')],
    [
      'a byte that is not UTF-8',
      Buffer.concat([Buffer.from(payloadWith(',"x":"').slice(0, -1)), Buffer.from([0xff]), Buffer.from('"}')])
    ],
    [
      'an overlong encoding',
      Buffer.concat([Buffer.from(payloadWith(',"x":"').slice(0, -1)), Buffer.from([0xc0, 0xaf]), Buffer.from('"}')])
    ],
    [
      'a surrogate as CESU-8',
      Buffer.concat([
        Buffer.from(payloadWith(',"x":"').slice(0, -1)),
        Buffer.from([0xed, 0xa0, 0x80]),
        Buffer.from('"}')
      ])
    ],
    ['two objects', `${JSON.stringify(goodClaims())}{}`],
    ['a comment', `/**/${JSON.stringify(goodClaims())}`],
    ['truncated', JSON.stringify(goodClaims()).slice(0, -1)],
    ['an array', [goodClaims()]],
    ['null', 'null'],
    ['a text', '"sub"'],
    ['a number', '7'],
    ['an empty object', {}],
    ['empty', ''],
    ['a token within a token', 'eyJhbGciOiJub25lIn0.e30.'],
    ['3000 arrays in one another, unclosed', payloadWith(`,"x":${'['.repeat(3000)}`)]
  ]
}

function misspelt (key: TestKey): Array<[string, string]> {
  const good = forge(key)
  const [header = '', payload = '', signature = ''] = good.split('.')
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const unusedBits = (segment: string): string => {
    const spare = segment.length % 4 === 0 ? null : alphabet.indexOf(segment.slice(-1)) | 1
    return spare === null ? `${segment}A` : segment.slice(0, -1) + alphabet.charAt(spare)
  }
  return [
    ['padding', `${good}=`],
    ['padding of the payload', `${header}.${payload}=.${signature}`],
    ['padding of the header', `${header}=.${payload}.${signature}`],
    ['unused bits in the signature', `${header}.${payload}.${unusedBits(signature)}`],
    ['unused bits in the payload', `${header}.${unusedBits(payload)}.${signature}`],
    ['base64 rather than base64url', `${header}.${payload}.${signature.slice(0, -4)}++//`],
    ['a dot more', `${good}.`],
    ['a segment more', `${good}.AAAA`],
    ['a dot before', `.${good}`],
    ['five segments', 'a.b.c.d.e'],
    ['no signature', `${header}.${payload}.`],
    ['no signature, no dot', `${header}.${payload}`],
    ['no payload', `${header}..${signature}`],
    ['no header', `.${payload}.${signature}`],
    ['dots', '..'],
    ['many dots', '.'.repeat(8000)],
    ['signature cut', good.slice(0, -4)],
    ['signature of nothing', `${header}.${payload}.${key.sign('').toString('base64url')}`],
    ['signature of zeros', `${header}.${payload}.${Buffer.alloc(64).toString('base64url')}`],
    [
      'signature with zeros before',
      `${header}.${payload}.${Buffer.concat([Buffer.alloc(3), key.sign(`${header}.${payload}`)]).toString('base64url')}`
    ],
    ['the segments swapped', `${payload}.${header}.${signature}`],
    ['a tab within', `${header}.${payload}\t.${signature}`],
    ['quotes', `"${good}"`],
    ['a comma and another', `${good},${good}`],
    ['percent encoded', good.replaceAll('.', '%2E')],
    [
      'the payload of another token',
      forge(key)
        .split('.')
        .map((part, index) => (index === 1 ? encode(goodClaims()) : part))
        .join('.')
    ],
    ['a word', 'null'],
    ['undefined', 'undefined'],
    ['an object', '[object Object]'],
    ['15 kB of letters', 'a'.repeat(15_000)],
    ['a header and 15 kB', `${header}.${'A'.repeat(15_000)}.AAAA`],
    ['a kid of 100 kB', forge(key, goodClaims(), { ...goodHeader(key), kid: 'k'.repeat(100_000) })]
  ]
}

async function otherSerializations (key: TestKey): Promise<Array<[string, string]>> {
  const {
    payload,
    protected: header,
    signature
  } = await new FlattenedSign(Buffer.from(JSON.stringify(goodClaims())))
    .setProtectedHeader({ alg: 'HS256' })
    .sign(Buffer.alloc(32, 1))
  const jwe = await new EncryptJWT(goodClaims())
    .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', kid: key.kid })
    .encrypt(Buffer.alloc(32, 1))
  const [, good = '', sealed = ''] = forge(key).split('.')
  return [
    ['JWE', jwe],
    ['JSON serialization, flattened', JSON.stringify({ payload, protected: header, signature })],
    ['JSON serialization, general', JSON.stringify({ payload, signatures: [{ protected: header, signature }] })],
    ['our own, as JSON', JSON.stringify({ payload: good, protected: encode(goodHeader(key)), signature: sealed })],
    ["an ID token's header", forge(key, goodClaims(), { alg: key.algorithm, kid: key.kid })]
  ]
}

/** RFC 8725, 2.1: an HMAC with every form of the public key, which everybody has. */
function confusions (key: TestKey): Array<[string, string]> {
  const { publicKey } = key
  if (publicKey === null) return []
  const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString()
  const jwk = publicKey.export({ format: 'jwk' })
  const secrets: Array<[string, Buffer | string]> = [
    ['SPKI PEM', pem],
    ['SPKI PEM without the last new line', pem.trim()],
    ['SPKI PEM with CRLF', pem.replaceAll('\n', '\r\n')],
    ['SPKI DER', publicKey.export({ type: 'spki', format: 'der' })],
    ['JWK', JSON.stringify(jwk)],
    ['base64 of the DER', pem.replace(/-----.*-----|\n/g, '')],
    ['the kid', key.kid],
    ['nothing', ''],
    ['x', Buffer.from(String(jwk.x ?? jwk.n), 'base64url')]
  ]
  const rsaForms: Array<[string, string]> =
    publicKey.asymmetricKeyType === 'rsa'
      ? [['PKCS #1 PEM', publicKey.export({ type: 'pkcs1', format: 'pem' }).toString()]]
      : []
  return [...secrets, ...rsaForms].flatMap(([name, secret]): Array<[string, string]> => {
    const hs = { ...key, sign: (input: string) => createHmac('sha256', secret).update(input).digest() }
    return [
      [`HMAC with ${name}`, forge(hs, goodClaims(), { alg: 'HS256', typ: 'at+jwt', kid: key.kid })],
      [`HMAC with ${name} under our header`, forge(hs)]
    ]
  })
}

for (const algorithm of algorithms) {
  t.test(`${algorithm}: signed with the server's own key, and refused`, async t => {
    const key = await testKey(algorithm)
    const app = await startUsersApp(t, { keys: [key.option] })
    t.equal((await ask(app, { authorization: `Bearer ${forge(key)}` })).status, 200, 'the good one is good')
    const rows = [
      ...hostileHeaders(key),
      ...hostileClaims().map(([name, payload]): [string, string] => [name, forge(key, payload)]),
      ...misspelt(key),
      ...(await otherSerializations(key)),
      ...confusions(key)
    ]
    for (const [name, token] of rows) {
      t.match(
        await ask(app, { 'x-zumo-auth': token }),
        { status: 401, code: 'AUTH_ERR_TOKEN_INVALID', challenge: /^Bearer error="invalid_token"$/ },
        name
      )
      t.throws(() => { app.tokenExchange.verify(token) }, { code: 'AUTH_ERR_TOKEN_INVALID' }, name)
    }
  })
}

t.test('keys of one server are not taken for one another', async t => {
  const keys = await Promise.all(algorithms.map(testKey))
  const app = await startUsersApp(t, { keys: keys.map(({ option }) => option) })
  for (const signer of keys) {
    for (const named of keys) {
      const { status } = await ask(app, { authorization: `Bearer ${forge(signer, goodClaims(), goodHeader(named))}` })
      t.equal(status, signer === named ? 200 : 401, `signed with ${signer.algorithm}, called ${named.algorithm}`)
    }
  }
})

t.test('ES256 takes no DER signature and no numbers out of range', async t => {
  const key = await testKey('ES256')
  const app = await startUsersApp(t, { keys: [key.option] })
  const zero = Buffer.concat([Buffer.alloc(63), Buffer.from([1])])
  for (const signature of [
    Buffer.from('3006020101020101', 'hex'),
    zero,
    Buffer.alloc(64, 255),
    Buffer.alloc(63, 1),
    Buffer.alloc(65, 1)
  ]) {
    const [header, payload] = forge(key).split('.')
    t.equal(
      (await ask(app, { authorization: `Bearer ${header}.${payload}.${signature.toString('base64url')}` })).status,
      401
    )
  }
})

t.test('a __proto__ in a token changes nothing', async t => {
  const key = await testKey('HS256')
  const app = await startUsersApp(t, { keys: [key.option] })
  const user = app.tokenExchange.verify(
    forge(key, payloadWith(',"__proto__":{"level":"admin"},"x":{"__proto__":{"a":1}}'))
  )
  t.equal(user.level, 'authenticated')
  t.equal(Object.getPrototypeOf(user.claims), Object.prototype)
  t.strictSame(Object.keys(user.claims), ['x'])
})

t.test('a token of another server with the same key is foreign', async t => {
  const key = await testKey('HS256')
  const app = await startUsersApp(t, { keys: [key.option] })
  for (const options of [
    { issuer: 'https://staging.example.com', audience: 'https://api.example.com' },
    { audience: 'another' }
  ]) {
    const other = await startUsersApp(t, { keys: [key.option], ...options })
    const token = other.tokenExchange.issue({ userId: 'ada' }).access_token
    t.match(await ask(app, { authorization: `Bearer ${token}` }), { status: 401, code: 'AUTH_ERR_TOKEN_INVALID' })
  }
})
