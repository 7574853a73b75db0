import { createHash, createPublicKey } from 'node:crypto'
import { inspect } from 'node:util'
import t from 'tap'
import { errors } from '../../src/errors.js'
import type { KeySet } from '../../src/http/key-set.js'
import type { VerifyContext } from '../../src/identity.js'
import { defineProvider, type ProviderDefinition } from '../../src/providers/index.js'
import { startIdentityServer } from '../../src/testing/index.js'
import { fakeServer, json } from '../http/fake-server.js'
import { sign } from '../http/issuer-keys.js'
import { loginServer } from '../routes/login-server.js'
import { client, key, times, verify } from './good-tokens.js'

const rejected = { code: 'AUTH_ERR_GRANT_REJECTED' }
const issuer = 'https://login.acme.example'
const claims = (row: Record<string, unknown> = {}) => ({ iss: issuer, aud: client, sub: 'user-1', ...times(), ...row })
const rules = { issuers: [issuer], clientIds: [client], algorithms: ['RS256'] }

t.test('declared ID tokens are verified as those of every provider', async t => {
  const fake = await fakeServer(t, json({ keys: [key.jwk] }))
  const acme = defineProvider({
    nonce: 'required',
    replay: 'refuse',
    idToken: {
      ...rules,
      keys: fake.url,
      check: ({ tenant }) => { if (tenant !== 'acme') throw new errors.GrantRejectedError('tenant') },
      identity: standard => ({ ...standard, subject: `acme:${standard.subject}` })
    }
  })
  t.match(acme, { accepts: ['id_token'], nonce: 'required', replay: 'refuse' })
  const nonce = createHash('sha256').update('n-1').digest('hex')
  const token = await sign(key, claims({ tenant: 'acme', nonce }))
  t.match(await verify(acme, { token, nonce: 'n-1' }), { subject: 'acme:user-1', clientId: client })
  await t.rejects(verify(acme, { token }), { ...rejected, reason: 'nonce missing' })
  for (const [reason, row] of [
    ['tenant', { nonce: 'n-1' }], ['aud', { aud: 'another' }], ['iss', { iss: `${issuer}/` }], ['exp', { exp: 1 }],
    ['events', { events: {} }], ['sub', { sub: '\ud800' }]
  ] as const) {
    await t.rejects(verify(acme, { token: await sign(key, claims(row)), nonce: 'n-1' }), { ...rejected, reason })
  }
  for (const type of ['access_token', 'authorization_code'] as const) {
    await t.rejects(verify(acme, { token, type, nonce: 'n-1' }), { ...rejected, reason: 'kind' })
  }
})

t.test('an ID token may come in another member', async t => {
  const fake = await fakeServer(t, json({ keys: [key.jwk] }))
  const acme = defineProvider({ idToken: { ...rules, keys: fake.url, members: ['access_token'] } })
  t.match(acme, { accepts: ['access_token'], nonce: 'if-present', replay: 'allow' })
  const token = await sign(key, claims())
  t.match(await verify(acme, { token, type: 'access_token' }), { subject: 'user-1' })
  await t.rejects(verify(acme, { token, type: 'access_token', nonce: 'n' }), { ...rejected, reason: 'nonce' })
  await t.rejects(verify(acme, { token: 'opaque', type: 'access_token' }), { ...rejected, reason: 'form' })
  await t.rejects(verify(acme, { token }), { ...rejected, reason: 'kind' })
})

t.test('a check of access tokens is asked, within the places of the provider', async t => {
  const asked: string[] = []
  let answer = () => {}
  const vault = defineProvider({
    async accessToken (token, { signal }) {
      asked.push(`${token} ${signal.aborted}`)
      if (token === 'bad') throw new errors.GrantRejectedError()
      if (token === 'slow') await new Promise<void>(resolve => { answer = resolve })
      return { subject: '7', clientId: 'app' }
    }
  })
  t.strictSame([vault.accepts, vault.nonce, vault.replay], [['access_token'], undefined, undefined])
  const { app, login } = await loginServer({ concurrency: 1, providers: { own: vault } })
  t.teardown(() => app.close())
  t.equal((await login({ access_token: 'good' })).json().user.userId, 'own:7')
  t.equal((await login({ access_token: 'bad' })).json().code, 'AUTH_ERR_GRANT_REJECTED')
  t.equal((await login({ id_token: 'a.b.c' })).json().code, 'AUTH_ERR_REQUEST_INVALID')
  const slow = login({ access_token: 'slow' })
  while (asked.length < 3) await new Promise(setImmediate)
  t.equal((await login({ access_token: 'good' })).json().code, 'AUTH_ERR_OVERLOADED')
  answer()
  t.equal((await slow).statusCode, 200)
  t.strictSame(asked, ['good false', 'bad false', 'slow false'])
})

t.test("a set of keys of the application's own is asked within the places of the provider", async t => {
  const asked: string[] = []
  let answer = () => {}
  const published = { publicKey: createPublicKey({ key: key.jwk, format: 'jwk' }), jwk: key.jwk }
  const keys: KeySet = {
    async key (kid) {
      asked.push(kid)
      await new Promise<void>(resolve => { answer = resolve })
      return published
    }
  }
  const { app, login } = await loginServer({
    concurrency: 1,
    providers: { own: defineProvider({ idToken: { ...rules, keys } }) }
  })
  t.teardown(() => app.close())
  const first = login({ id_token: await sign(key, claims()) })
  while (asked.length < 1) await new Promise(setImmediate)
  const second = await login({ id_token: await sign(key, claims()) })
  t.equal(second.json().code, 'AUTH_ERR_OVERLOADED')
  t.strictSame(asked, [key.kid], 'and is not asked for one too many')
  answer()
  t.equal((await first).statusCode, 200)
})

t.test('a check may hand its context on as it is, as a copy, or with more in it', async t => {
  const fake = await fakeServer(t, json({ keys: [key.jwk] }))
  const token = await sign(key, claims())
  const ways = [
    (context: VerifyContext) => context,
    (context: VerifyContext) => ({ ...context }),
    (context: VerifyContext): VerifyContext => Object.create(context)
  ]
  for (const handOn of ways) {
    const inner = defineProvider({ idToken: { ...rules, keys: fake.url } })
    const outer = defineProvider({
      accessToken: (token, context) => inner.verify({ type: 'id_token', token }, handOn(context))
    })
    const { app, login } = await loginServer({ providers: { own: outer } })
    t.equal((await login({ access_token: token })).json().user?.userId, 'own:user-1')
    await app.close()
  }
})

t.test('codes that apps post, and what their exchange brings', async t => {
  const fake = await fakeServer(t, json({ access_token: 'opaque', refresh_token: 'r3fresh' }))
  const vault = defineProvider({
    accessToken: async token => ({ subject: token }),
    code: { clientId: client, clientSecret: 's 3cret', secretIn: 'basic', tokenEndpoint: `${fake.url}/token` }
  })
  t.strictSame(vault.accepts, ['access_token', 'authorization_code'])
  const grant = { type: 'authorization_code', token: 'c0de', redirectUri: 'app://cb', codeVerifier: 'v' } as const
  const identity = await verify(vault, grant)
  t.equal(identity.subject, 'opaque')
  t.strictSame(identity.providerTokens, { refreshToken: 'r3fresh' })
  t.notMatch(JSON.stringify(identity) + inspect(identity), 'r3fresh', 'which is not enumerable')
  t.match(fake.requests[0], {
    headers: { authorization: `Basic ${btoa('client-1:s%203cret')}` },
    body: 'grant_type=authorization_code&code=c0de&redirect_uri=app%3A%2F%2Fcb&code_verifier=v'
  })
  for (const answer of [{}, { access_token: 7 }, { access_token: '' }]) {
    fake.answer = json(answer)
    await t.rejects(verify(vault, grant), { code: 'AUTH_ERR_PROVIDER_UNAVAILABLE', reason: /no access token/ })
  }
})

t.test('logins by redirect', async t => {
  const idp = await startIdentityServer()
  t.teardown(() => idp.close())
  const { url } = idp
  const redirectUri = 'https://api.example.com/callback'
  const acme = defineProvider({
    // Of what apps post; the nonce of a redirect is this server's, and always compared.
    nonce: 'off',
    idToken: {
      issuers: [`${url}/oidc`],
      clientIds: ['test-ios', 'another'],
      algorithms: ['RS256'],
      keys: `${url}/oidc/jwks`
    },
    redirect: {
      clientId: 'test-ios',
      scope: 'openid email',
      server: {
        issuer: `${url}/oidc`,
        authorizationEndpoint: `${url}/oidc/authorize`,
        tokenEndpoint: `${url}/oidc/token`,
        namesIssuer: true
      }
    }
  })
  const codeVerifier = 'v'.repeat(43)
  const request = {
    redirectUri, state: 's', nonce: 'n-1', codeChallenge: createHash('sha256').update(codeVerifier).digest('base64url')
  }
  const signal = AbortSignal.timeout(5000)
  const come = async (changes: object = {}) => {
    const page = await fetch(await acme.authorizationUrl?.(request) ?? '', { redirect: 'manual' })
    const { code = '', iss = '' } = Object.fromEntries(new URL(page.headers.get('location') ?? '').searchParams)
    return await acme.redeem?.({ code, iss, redirectUri, codeVerifier, nonce: 'n-1', ...changes }, { signal })
  }
  t.match(await come(), { subject: 'user-1', clientId: 'test-ios' })
  await t.rejects(come({ nonce: 'n-2' }), { ...rejected, reason: 'nonce' })
  await t.rejects(come({ iss: 'https://evil.example' }), { ...rejected, reason: 'iss' })
  await t.rejects(come({ iss: undefined }), { ...rejected, reason: 'iss' })
  idp.oidc.page.signIn({ aud: 'another' })
  await t.rejects(come(), { ...rejected, reason: 'aud' }, 'a token for another of our apps')
})

t.test('what cannot be meant is refused at once', async t => {
  const idToken = { ...rules, keys: 'https://login.acme.example/keys' }
  const server = { issuer, authorizationEndpoint: `${issuer}/authorize`, tokenEndpoint: `${issuer}/token` }
  const accessToken = async () => ({ subject: '1' })
  const rows: Array<[string, unknown]> = [
    ['provider', null],
    ['provider.idToken', {}],
    ['provider.tokens is not an option', { idToken, tokens: 1 }],
    ['provider.accessToken', { accessToken: 'x' }],
    ['provider.nonce', { accessToken: async () => ({ subject: '1' }), nonce: 'required' }],
    ['provider.nonce', { idToken, nonce: 'sometimes' }],
    ['provider.idToken.clientIds', { idToken: { ...idToken, clientIds: [] } }],
    ['provider.idToken.clientIds', { idToken: { ...idToken, clientIds: undefined } }],
    ['provider.idToken.clientId is not an option: did you mean clientIds?', { idToken: { ...idToken, clientId: 'a' } }],
    ['provider.idToken.algorithms', { idToken: { ...idToken, algorithms: ['HS256'] } }],
    ['provider.idToken.algorithms', { idToken: { ...idToken, algorithms: [] } }],
    ['provider.idToken.issuers', { idToken: { ...idToken, issuers: [] } }],
    ['provider.idToken.keys', { idToken: { ...idToken, keys: 'http://login.acme.example/keys' } }],
    ['provider.idToken.keys', { idToken: rules }],
    ['provider.idToken.check', { idToken: { ...idToken, check: true } }],
    ['provider.code.tokenEndpoint', { idToken, code: { clientId: 'a' } }],
    ['provider.redirect.server', { idToken, redirect: { clientId: 'a', scope: 'openid' } }],
    ['provider.redirect.scope', { idToken, redirect: { clientId: 'a', server } }],
    ['provider.redirect needs the scope openid', { idToken, redirect: { clientId: 'a', scope: 'email', server } }],
    [
      "provider.redirect needs the scope openid where nonce is 'required': redirect: { scope: 'openid email' }, or " +
        "nonce: 'if-present'",
      { idToken, accessToken, nonce: 'required', redirect: { clientId: 'a', scope: 'email', server } }
    ],
    [
      'provider.redirect.server.tokenEndpoint',
      { idToken, redirect: { clientId: 'a', scope: 'x', server: { ...server, tokenEndpoint: 'http://a.example' } } }
    ]
  ]
  for (const [message, definition] of rows) {
    const refusal = t.throws(() => Reflect.apply(defineProvider, undefined, [definition]), {
      code: 'AUTH_ERR_OPTION_INVALID'
    })
    t.match(refusal, { message }, message)
  }
  const redirect = { clientId: 'a', scope: 'openid email', server }
  const good: ProviderDefinition[] = [
    { idToken, redirect },
    { idToken, redirect, nonce: 'required' },
    { idToken, accessToken, redirect: { ...redirect, scope: 'email' } }
  ]
  for (const definition of good) t.doesNotThrow(() => defineProvider(definition))
})
