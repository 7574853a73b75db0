import { createHash } from 'node:crypto'
import { SignJWT, UnsecuredJWT } from 'jose'
import t from 'tap'
import { google } from '../../src/providers/index.js'
import { fakeServer, json } from '../http/fake-server.js'
import { issuerKey, sign } from '../http/issuer-keys.js'
import { client, idTokenCases, key, otherClient, times, verify } from './good-tokens.js'

const hour = 3600
const now = Math.floor(Date.now() / 1000)
const [stranger, elliptic] = await Promise.all([issuerKey('key-1'), issuerKey('key-ec', 'ES256')])
const jwks = { keys: [key.jwk, elliptic.jwk] }

/** What differs from the good token's claims, by the reason for the log; undefined takes a member away. */
const badClaims: Array<[string, Record<string, unknown>]> = [
  ['iss', { iss: 'https://attacker.example' }],
  ['iss', { iss: undefined }],
  [
    'iss',
    {
      iss: [
        'https://accounts.google.com',
        'https://appleid.apple.com',
        'https://www.facebook.com',
        'https://idp.example'
      ]
    }
  ],
  ['iss', { iss: 'https://accounts.google.com/' }],
  ['aud', { aud: 'other-app' }],
  ['aud', { aud: ['other-app'] }],
  ['aud', { aud: undefined }],
  ['aud', { aud: '' }],
  ['aud', { aud: [] }],
  ['aud', { aud: [client, 7] }],
  ['aud', { aud: { [client]: true } }],
  ['aud', { aud: client.toUpperCase() }],
  ['azp', { aud: [client, 'other-app'], azp: 'other-app' }],
  ['azp', { aud: [client, 'other-app'], azp: [client] }],
  ['sub', { sub: undefined }],
  ['sub', { sub: '' }],
  ['sub', { sub: 7 }],
  ['sub', { sub: null }],
  ['sub', { sub: ['user-1'] }],
  ['sub', { sub: 'x'.repeat(256) }],
  ['sub', { sub: 'user\0' }],
  ['sub', { sub: 'user\ud800' }],
  ['sub', { sub: '\udc00user' }],
  ['exp', { exp: now - 31 }],
  ['exp', { exp: undefined }],
  ['exp', { exp: String(now + hour) }],
  ['iat', { iat: undefined }],
  ['iat', { iat: String(now) }],
  ['iat', { iat: now + 60 }],
  ['iat', { iat: now - 24 * hour - 60 }],
  ['nbf', { nbf: now + 60 }],
  ['nbf', { nbf: 'now' }]
]

const goodClaims: Array<Record<string, unknown>> = [
  { aud: [client] },
  { aud: [client, 'other-app'] },
  { aud: [client, 'other-app'], azp: client },
  { aud: client, azp: 'the-android-app' },
  { exp: now - 10 },
  { iat: now + 20 },
  { iat: now - 24 * hour + 60 },
  { nbf: now + 20 },
  { email: undefined, email_verified: undefined, name: undefined }
]

for (const [name, { provider, claims, subject }] of Object.entries(idTokenCases)) {
  t.test(name, async t => {
    const fake = await fakeServer(t, json(jwks))
    const verifier = provider(fake.url)
    const good = (): Record<string, unknown> => ({ ...claims(fake.url), ...times() })
    const refuses = (token: string, reason: string, message = reason) =>
      t.rejects(verify(verifier, { token }), { code: 'AUTH_ERR_GRANT_REJECTED', reason }, message)

    await t.test('takes a good token', async t => {
      const identity = await verify(verifier, { token: await sign(key, { ...good(), jti: 'j' }) })
      t.match(identity, { subject, clientId: client, claims: { ...good(), iat: Number, exp: Number, jti: 'j' } })
      for (const row of goodClaims) {
        t.match(
          await verify(verifier, { token: await sign(key, { ...good(), ...row }) }),
          { subject, clientId: client },
          JSON.stringify(row)
        )
      }
      for (const typ of [undefined, 'jwt']) {
        t.match(await verify(verifier, { token: await sign(key, good(), { typ }) }), { subject }, `typ ${typ}`)
      }
    })

    await t.test('refuses bad claims', async () => {
      for (const [reason, row] of badClaims) {
        await refuses(await sign(key, { ...good(), ...row }), reason, JSON.stringify(row))
      }
    })

    // OpenID Connect Back-Channel Logout 1.0, 2.4: same issuer, audience and keys, and `typ` is only recommended.
    await t.test('refuses a logout token, whatever its typ', async () => {
      const event = { 'http://schemas.openid.net/event/backchannel-logout': {} }
      for (const events of [event, {}, [], '', null, false]) {
        for (const typ of [undefined, 'JWT']) await refuses(await sign(key, { ...good(), events }, { typ }), 'events')
      }
      await refuses(await sign(key, { ...good(), events: event, sid: 's', nonce: 'n' }), 'events')
    })

    await t.test('refuses times that are not finite, and members given twice', async () => {
      const payload = JSON.stringify(good())
      for (const [reason, text] of [
        ['exp', payload.replace(/"exp":\d+/, '"exp":1e400')],
        ['form', payload.replace('{', '{"iss":"https://attacker.example",')],
        ['form', payload.replace('{', '{"\\u0061ud":"other-app",')],
        ['form', `[${payload}]`],
        ['form', 'null'],
        ['form', payload + ' '.repeat(3) + '}'],
        ['form', payload.replace('{', `{"deep":${'['.repeat(40)}${']'.repeat(40)},`)]
      ] as const) {
        await refuses(await signText(text), reason, text.slice(0, 60))
      }
    })

    await t.test('refuses by the header, whatever the signature', async () => {
      const token = await sign(key, good())
      const unsigned = new UnsecuredJWT(good()).encode()
      const hmac = (secret: string) =>
        new SignJWT(good()).setProtectedHeader({ alg: 'HS256', kid: 'key-1' }).sign(Buffer.from(secret))
      await refuses(`${unsigned}AA`, 'alg', 'none')
      await refuses(unsigned, 'form', 'none, unsigned')
      await refuses(await hmac(JSON.stringify(key.jwk)), 'alg', 'HS256 with the public key')
      await refuses(await sign(key, good(), { kid: undefined }), 'kid', 'no kid')
      await refuses(await sign(key, good(), { kid: '' }), 'kid', 'empty kid')
      await refuses(await sign(key, good(), { kid: '../../etc/passwd' }), 'kid', 'unknown kid')
      await refuses(await sign(key, good(), { kid: '__proto__' }), 'kid', '__proto__')
      await refuses(await sign(stranger, good(), { jwk: stranger.jwk }), 'signature', 'embedded key')
      await refuses(
        await sign(stranger, good(), { jku: 'https://attacker.example/jwks', x5u: 'https://attacker.example/x' }),
        'signature',
        'address of a key'
      )
      await refuses(await sign(stranger, good()), 'signature', 'another key')
      await refuses(await sign(key, good(), { typ: 'at+jwt' }), 'typ', 'an access token')
      await refuses(await sign(key, good(), { typ: 'logout+jwt' }), 'typ', 'a logout token')
      await refuses(withHeader(token, { crit: ['exp'] }), 'crit', 'crit')
      await refuses(withHeader(token, { b64: false }), 'crit', 'b64')
      await refuses(withHeader(token, { alg: ['RS256'] }), 'alg', 'list of algorithms')
      await refuses(
        withHeader(token, { alg: 'PS256', kid: 'key-ec' }),
        name === 'oidc' ? 'kid' : 'alg',
        'key of another kind'
      )
    })

    await t.test('refuses other spellings', async () => {
      const token = await sign(key, good())
      const [header = '', payload = '', signature = ''] = token.split('.')
      const spellings = [
        '',
        '.',
        '..',
        'garbage',
        `${token}.`,
        `${token}=`,
        ` ${token}`,
        `${token}\n`,
        `${header}.${payload}`,
        `${header}.${payload}.`,
        `${token}.x.y`,
        `${header}.${payload}.${signature.replaceAll('-', '+').replaceAll('_', '/')}=`,
        `${header}.${payload}.${unusedBits(signature)}`,
        JSON.stringify({ protected: header, payload, signature }),
        `{"payload":"${payload}"}`
      ]
      for (const spelling of spellings) await refuses(spelling, 'form', JSON.stringify(spelling.slice(-20)))
      await refuses(await sign(key, { ...good(), padding: 'x'.repeat(16_384) }), 'too long')
    })

    await t.test('nonces', async t => {
      const hash = createHash('sha256').update('n-1')
      const forms = { raw: 'n-1', hex: hash.copy().digest('hex'), base64url: hash.copy().digest('base64url') }
      const limited = name.startsWith('facebook')
      const rows: Array<
        [
          policy: 'required' | 'if-present' | 'off',
          posted: string | undefined,
          claims: Record<string, unknown>,
          good: boolean
        ]
      > = [
        ['if-present', undefined, {}, true],
        ['if-present', undefined, { nonce: 'of the SDK' }, true],
        ['if-present', 'n-1', { nonce: forms.raw }, true],
        ['if-present', 'n-1', { nonce: forms.hex }, !limited],
        ['if-present', 'n-1', { nonce: forms.base64url }, !limited],
        ['if-present', 'n-1', { nonce: forms.hex.toUpperCase() }, false],
        ['if-present', 'n-1', { nonce: 'n-2' }, false],
        ['if-present', 'n-1', {}, false],
        ['if-present', 'n-1', { nonce: ['n-1'] }, false],
        ['if-present', '', { nonce: '' }, false],
        ['if-present', forms.hex, { nonce: forms.raw }, false],
        ['if-present', 'n-1', { nonce_supported: false }, true],
        ['if-present', 'n-1', { nonce_supported: 'false' }, true],
        ['if-present', 'n-1', { nonce_supported: true }, false],
        ['if-present', 'n-1', { nonce_supported: false, nonce: 'n-2' }, false],
        ['required', undefined, { nonce: forms.raw }, false],
        ['required', undefined, {}, false],
        ['required', 'n-1', { nonce: forms.raw }, true],
        ['required', 'n-1', { nonce: 'n-2' }, false],
        ['required', 'n-1', { nonce_supported: false }, false],
        ['off', 'n-1', { nonce: 'n-2' }, true],
        ['off', 'n-1', {}, true]
      ]
      for (const [policy, nonce, row, isGood] of rows) {
        const verifier = provider(fake.url, { nonce: policy })
        t.equal(verifier.nonce, policy)
        const attempt = verify(verifier, {
          token: await sign(key, { ...good(), ...row }),
          ...(nonce !== undefined && { nonce })
        })
        const label = JSON.stringify([policy, nonce, row])
        if (isGood) t.match(await attempt, { subject }, label)
        else await t.rejects(attempt, { code: 'AUTH_ERR_GRANT_REJECTED', reason: /nonce/ }, label)
      }
    })

    await t.test('says its policies', async t => {
      t.match(provider(fake.url), { nonce: 'if-present', replay: 'allow' })
      t.match(provider(fake.url, { replay: 'refuse', nonce: 'required' }), { nonce: 'required', replay: 'refuse' })
    })

    t.ok(fake.calls.length < 50, `${fake.calls.length} calls to the key endpoint`)
    t.strictSame(new Set(fake.calls).size, 1, 'and to nothing else')
  })
}

t.test('two providers of one kind share nothing', async t => {
  const [first, second] = [
    await fakeServer(t, json({ keys: [key.jwk] })),
    await fakeServer(t, json({ keys: [stranger.jwk] }))
  ]
  for (const { provider, claims } of Object.values(idTokenCases)) {
    const token = await sign(key, { ...claims(first.url), ...times() })
    await verify(provider(first.url), { token })
    await t.rejects(verify(provider(second.url), { token }), { code: 'AUTH_ERR_GRANT_REJECTED' })
  }
})

t.test('the audience that matched is the client id', async t => {
  const fake = await fakeServer(t, json(jwks))
  const verifier = google({ clientIds: [client, otherClient], endpoints: { jwks: fake.url } })
  t.match(
    await verify(verifier, {
      token: await sign(key, {
        iss: 'accounts.google.com',
        sub: '1',
        ...times(),
        aud: ['x', otherClient],
        azp: otherClient
      })
    }),
    { clientId: otherClient }
  )
})

t.test('an outage is not a no', async t => {
  const fake = await fakeServer(t, json({}, 503))
  for (const [name, { provider, claims }] of Object.entries(idTokenCases)) {
    const token = await sign(key, { ...claims(fake.url), ...times() })
    await t.rejects(
      verify(provider(fake.url), { token }),
      { code: 'AUTH_ERR_PROVIDER_UNAVAILABLE', reason: 'status 503' },
      name
    )
  }
})

async function signText (payload: string): Promise<string> {
  const header = Buffer.from(JSON.stringify({ alg: 'RS256', kid: 'key-1' })).toString('base64url')
  const input = `${header}.${Buffer.from(payload).toString('base64url')}`
  const signature = await crypto.subtle.sign('RSASSA-PKCS1-v1_5', key.privateKey, Buffer.from(input))
  return `${input}.${Buffer.from(signature).toString('base64url')}`
}

function withHeader (token: string, members: Record<string, unknown>): string {
  const [header = '', ...rest] = token.split('.')
  const changed = { ...JSON.parse(Buffer.from(header, 'base64url').toString()), ...members }
  return [Buffer.from(JSON.stringify(changed)).toString('base64url'), ...rest].join('.')
}

/** The same bytes with another last character: 256 bytes leave four bits of it unused. */
function unusedBits (signature: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  return signature.slice(0, -1) + alphabet.charAt(alphabet.indexOf(signature.slice(-1)) + 1)
}
