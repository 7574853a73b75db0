import t from 'tap'
import type { IdentityProvider } from '../../src/identity.js'
import { apple } from '../../src/providers/apple.js'
import { facebook } from '../../src/providers/facebook.js'
import { github } from '../../src/providers/github.js'
import { google } from '../../src/providers/google.js'
import { microsoft } from '../../src/providers/microsoft.js'
import { oidc } from '../../src/providers/oidc.js'
import { createRedirectFlows } from '../../src/login/redirect-flow.js'
import { createKeyMaterial } from '../../src/key-material.js'
import { createSeals } from '../../src/login/seals.js'
import { startIdentityServer } from '../../src/testing/index.js'

const idp = await startIdentityServer()
t.teardown(() => idp.close())
const redirectUri = 'https://api.example.com/login/x'
const flows = createRedirectFlows(createSeals(createKeyMaterial(['a'.repeat(40)], 'https://api.example.com')))
const rejected = 'AUTH_ERR_GRANT_REJECTED'
const unavailable = 'AUTH_ERR_PROVIDER_UNAVAILABLE'

/** To the provider's page and back; what is redeemed with `changes`. */
async function roundTrip (provider: IdentityProvider, changes: object = {}, before = () => {}): Promise<string> {
  const at = { provider: 'x', redirectUri }
  const { request, sealed } = await flows.begin({ ...at, asked: null, ridesInState: false, nonce: 'a-nonce' })
  const page = await fetch(await provider.authorizationUrl?.(request) ?? '', { redirect: 'manual' })
  const returned = await flows.resume(
    sealed,
    at,
    new URL(page.headers.get('location') ?? '').searchParams
  )
  const answer = returned.answer()
  before()
  try {
    const identity = await provider.redeem?.({ ...answer, ...changes }, { signal: AbortSignal.timeout(5000) })
    return identity?.subject ?? ''
  } catch (error) {
    return String(Reflect.get(Object(error), 'code'))
  }
}

const providers = {
  facebook: () => facebook({ ...idp.facebook.options, redirect: {} }),
  google: () => google({ ...idp.google.options, redirect: { clientSecret: idp.google.clientSecret } }),
  github: () => github({ ...idp.github.options, redirect: {} }),
  oidc: () => oidc({ ...idp.oidc.options, redirect: {} })
}

t.test('the code is redeemed with its verifier, at its address, once', async t => {
  for (const [name, make] of Object.entries(providers)) {
    t.match(await roundTrip(make()), /^[\w-]+$/, name)
    t.equal(await roundTrip(make(), { codeVerifier: 'x'.repeat(43) }), rejected, `${name}: another verifier`)
    t.equal(await roundTrip(make(), { redirectUri: `${redirectUri}/other` }), rejected, `${name}: another address`)
    t.equal(await roundTrip(make(), { code: 'unknown' }), rejected, `${name}: an unknown code`)
  }
})

t.test('an outage, and our own misconfiguration, are no refusal', async t => {
  for (const [name, make] of Object.entries(providers)) {
    for (const kind of ['down', 'reset', 'html'] as const) {
      t.equal(await roundTrip(make(), {}, () => idp.outage(kind)), unavailable, `${name} ${kind}`)
      idp.outage(false)
    }
  }
  t.equal(
    await roundTrip(google({ ...idp.google.options, redirect: { clientSecret: 'wrong' } })),
    unavailable,
    'google: a wrong secret'
  )
  t.equal(
    await roundTrip(oidc({ ...idp.oidc.options, redirect: { clientSecret: 'wrong' } })),
    unavailable,
    'oidc: a wrong secret'
  )
  t.equal(
    await roundTrip(github({ ...idp.github.options, clientSecret: 'wrong', redirect: {} })),
    unavailable,
    'github: a wrong secret'
  )
})

t.test('the ID token that comes back passes every check of one that an app posts', async t => {
  const rows: Array<[string, object]> = [
    ['nonce', { nonce: 'another' }],
    ['no nonce', { nonce: undefined }],
    ['audience', { aud: 'another' }],
    ['issuer', { iss: 'https://evil.example' }],
    ['expired', { exp: 1 }],
    ['no subject', { sub: undefined }]
  ]
  for (const [name, claims] of rows) {
    for (const site of ['google', 'oidc'] as const) {
      idp[site].page.signIn({ ...claims })
      t.match(await roundTrip(providers[site]()), /^AUTH_ERR_/, `${site}: ${name}`)
      idp[site].page.signIn({})
    }
  }
})

t.test('RFC 9207: an answer of another issuer, or of none where one is promised', async t => {
  t.equal(await roundTrip(providers.oidc(), { iss: 'https://evil.example' }), rejected)
  t.equal(await roundTrip(providers.oidc(), { iss: undefined }), rejected)
  t.equal(await roundTrip(providers.facebook(), { iss: 'https://evil.example' }), rejected)
})

t.test('what cannot be meant is refused at construction', t => {
  const invalid = { code: 'AUTH_ERR_OPTION_INVALID' }
  const rows: Array<[string, () => unknown]> = [
    [
      'facebook takes no client id',
      () =>
        Reflect.apply(facebook, undefined, [Object.assign({}, idp.facebook.options, { redirect: { clientId: 'x' } })])
    ],
    [
      'github takes no secret',
      () =>
        Reflect.apply(github, undefined, [Object.assign({}, idp.github.options, { redirect: { clientSecret: 'x' } })])
    ],
    [
      'google needs a secret',
      () => Reflect.apply(google, undefined, [Object.assign({}, idp.google.options, { redirect: {} })])
    ],
    ['another client id', () => oidc({ ...idp.oidc.options, redirect: { clientId: 'another' } })],
    ['a scope without openid', () => oidc({ ...idp.oidc.options, redirect: { scope: 'email' } })],
    ['apple without its key', () => apple({ clientIds: ['com.example.web'], redirect: {} })],
    [
      'microsoft needs a secret',
      () => Reflect.apply(microsoft, undefined, [Object.assign({}, idp.microsoft.options, { redirect: {} })])
    ],
    [
      'plain http',
      () => facebook({ ...idp.facebook.options, endpoints: { authorize: 'http://evil.example' }, redirect: {} })
    ]
  ]
  for (const [name, make] of rows) t.throws(make, invalid, name)
  t.equal(facebook(idp.facebook.options).authorizationUrl, undefined, 'without the option there is none')
  t.end()
})
