import { createHash } from 'node:crypto'
import { mock } from 'node:test'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { errors, type IdentityProvider } from '../../src/index.js'
import { apple, facebook, oidc } from '../../src/providers/index.js'
import { startIdentityServer, type IdentityServer } from '../../src/testing/index.js'
import { secret, startApp } from '../server.js'

// Server-issued nonces (OpenID Connect Core, 3.1.2.1) and ID tokens that may be used once.

async function identityServer (t: Test): Promise<IdentityServer> {
  const idp = await startIdentityServer()
  t.teardown(() => idp.close())
  return idp
}

async function nonceOf (app: FastifyInstance): Promise<string> {
  const answer = await app.inject({ method: 'POST', url: '/nonce' })
  return answer.json().nonce
}

async function login (app: FastifyInstance, provider: string, payload: object) {
  const answer = await app.inject({ method: 'POST', url: `/login/${provider}`, payload })
  return answer.statusCode === 200 ? 200 : `${answer.statusCode} ${answer.json().code}`
}

const rejected = `401 ${errors.GrantRejectedError.code}`

t.test('POST /nonce answers a nonce and its lifetime, never the same one, and nobody caches it', async t => {
  const idp = await identityServer(t)
  const app = await startApp(t, { providers: { corp: oidc(idp.oidc.options) } })
  const [one, another] = [
    await app.inject({ method: 'POST', url: '/nonce' }),
    await app.inject({ method: 'POST', url: '/nonce', payload: {} })
  ]
  t.match(one.json(), { nonce: /^[A-Za-z0-9_-]{56}$/, expires_in: 600 })
  t.equal(one.headers['cache-control'], 'no-store')
  t.not(one.json().nonce, another.json().nonce)
})

t.test("nonce: 'required'", async t => {
  const idp = await identityServer(t)
  const provider = oidc({ ...idp.oidc.options, nonce: 'required' })

  t.test('accepts a nonce of this server once, raw or as its SHA-256', async t => {
    const app = await startApp(t, { providers: { corp: provider } })
    const sha256 = (nonce: string) => createHash('sha256').update(nonce).digest()
    for (const spelling of [
      (nonce: string) => nonce,
      (nonce: string) => sha256(nonce).toString('hex'),
      (nonce: string) => sha256(nonce).toString('base64url')
    ]) {
      const nonce = await nonceOf(app)
      const grant = { id_token: await idp.oidc.idToken({ nonce: spelling(nonce) }), nonce }
      t.equal(await login(app, 'corp', grant), 200)
      t.equal(await login(app, 'corp', grant), rejected, 'the second time')
    }
  })

  t.test('refuses every other nonce', async t => {
    const app = await startApp(t, { providers: { corp: provider } })
    const ours = await nonceOf(app)
    const own = async (nonce: string) => ({ id_token: await idp.oidc.idToken({ nonce }), nonce })
    const rows: Array<[string, object]> = [
      ['none sent', { id_token: await idp.oidc.idToken({ nonce: ours }) }],
      ['none in the token', { id_token: await idp.oidc.idToken({}), nonce: ours }],
      ['the hash posted in place of the raw value', await own(createHash('sha256').update(ours).digest('hex'))],
      ['one that the app made itself', await own('made-by-the-app')],
      ['one with another byte', await own(`${ours.startsWith('A') ? 'B' : 'A'}${ours.slice(1)}`)],
      [
        'one of another server',
        await own(
          await nonceOf(
            await startApp(t, { providers: { corp: provider }, keys: 'another secret of thirty-two bytes!' })
          )
        )
      ],
      [
        'another one of ours than the token holds',
        { id_token: await idp.oidc.idToken({ nonce: ours }), nonce: await nonceOf(app) }
      ]
    ]
    for (const [what, grant] of rows) t.equal(await login(app, 'corp', grant), rejected, what)
    t.equal(await login(app, 'corp', await own(ours)), 200, 'refusals have spent nothing')
  })

  t.test('refuses a nonce of this server after ten minutes', async t => {
    const app = await startApp(t, { providers: { corp: provider } })
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    t.teardown(() => mock.timers.reset())
    const [early, late] = [await nonceOf(app), await nonceOf(app)]
    mock.timers.tick(599_000)
    t.equal(await login(app, 'corp', { id_token: await idp.oidc.idToken({ nonce: early }), nonce: early }), 200)
    mock.timers.tick(2_000)
    t.equal(await login(app, 'corp', { id_token: await idp.oidc.idToken({ nonce: late }), nonce: late }), rejected)
  })

  t.test('a nonce of one server is good on another with the same keys, also after a rotation', async t => {
    const older = await startApp(t, { providers: { corp: provider }, keys: [{ algorithm: 'HS256', secret }] })
    const newer = await startApp(t, {
      providers: { corp: provider },
      keys: [
        { algorithm: 'HS256', secret: 'a newer secret of thirty-two bytes!' },
        { algorithm: 'HS256', secret }
      ]
    })
    const nonce = await nonceOf(older)
    t.equal(await login(newer, 'corp', { id_token: await idp.oidc.idToken({ nonce }), nonce }), 200)
  })

  t.test('an outage of the lookup, or a denial, spends nothing', async t => {
    const answers: Array<() => object | null> = [() => { throw new Error('down') }, () => null, () => ({})]
    const app = await startApp(t, { providers: { corp: provider }, permissions: () => answers.shift()?.() ?? null })
    const nonce = await nonceOf(app)
    const grant = { id_token: await idp.oidc.idToken({ nonce }), nonce }
    t.equal(await login(app, 'corp', grant), `503 ${errors.LookupFailedError.code}`)
    t.equal(await login(app, 'corp', grant), `403 ${errors.AccessDeniedError.code}`)
    t.equal(await login(app, 'corp', grant), 200)
  })

  t.test('of many logins at once with one nonce, one succeeds', async t => {
    const app = await startApp(t, { providers: { corp: provider } })
    const nonce = await nonceOf(app)
    const grant = { id_token: await idp.oidc.idToken({ nonce }), nonce }
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => login(app, 'corp', grant)))
    t.equal(outcomes.filter(outcome => outcome === 200).length, 1)
    t.equal(outcomes.filter(outcome => outcome === rejected).length, 19)
  })

  t.test('kinds of grant that cannot carry a nonce are refused', async t => {
    const app = await startApp(t, {
      providers: {
        facebook: facebook({ ...idp.facebook.options, nonce: 'required' }),
        apple: apple({ ...idp.apple.options, nonce: 'required' })
      }
    })
    t.equal(
      await login(app, 'facebook', { access_token: idp.facebook.accessToken(), nonce: await nonceOf(app) }),
      rejected
    )
    const nonce = await nonceOf(app)
    t.equal(
      await login(app, 'facebook', { id_token: await idp.facebook.idToken({ nonce }), nonce }),
      200,
      'Limited Login can'
    )
  })

  t.test('an own provider gets the nonce of the body in its grant, and the server sees to the rest', async t => {
    const seen: Array<string | undefined> = []
    const own: IdentityProvider = {
      accepts: ['access_token'],
      nonce: 'required',
      verify: async grant => {
        seen.push(grant.nonce)
        return { subject: 'u1' }
      }
    }
    const app = await startApp(t, { providers: { own } })
    const nonce = await nonceOf(app)
    t.equal(await login(app, 'own', { access_token: 'x' }), rejected)
    t.equal(await login(app, 'own', { access_token: 'x', nonce }), 200)
    t.equal(await login(app, 'own', { access_token: 'x', nonce }), rejected)
    t.same(seen, [nonce, nonce])
  })
})

t.test("replay: 'refuse' accepts an ID token once", async t => {
  const idp = await identityServer(t)
  const provider = oidc({ ...idp.oidc.options, replay: 'refuse' })

  for (const [by, claims] of [
    ['its jti', { jti: 'token-1' }],
    ['issuer, subject and iat, where it has no jti', { jti: undefined }]
  ] as const) {
    t.test(`by ${by}`, async t => {
      const app = await startApp(t, {
        providers: {
          corp: provider,
          again: oidc({ ...idp.oidc.options, replay: 'refuse' }),
          lax: oidc(idp.oidc.options)
        }
      })
      const grant = { id_token: await idp.oidc.idToken({ sub: 'u1', ...claims }) }
      t.equal(await login(app, 'corp', grant), 200)
      t.equal(await login(app, 'corp', grant), rejected)
      t.equal(await login(app, 'again', grant), rejected, 'under another name of the same issuer as well')
      t.equal(
        await login(app, 'corp', { id_token: await idp.oidc.idToken({ sub: 'u2', jti: 'token-2' }) }),
        200,
        'another token'
      )
      t.equal(await login(app, 'lax', grant), 200, "the default is 'allow'")
    })
  }

  t.test('an empty jti is none', async t => {
    const app = await startApp(t, { providers: { corp: provider } })
    const [one, two] = [await idp.oidc.idToken({ sub: 'u7', jti: '' }), await idp.oidc.idToken({ sub: 'u8', jti: '' })]
    t.equal(await login(app, 'corp', { id_token: one }), 200)
    t.equal(await login(app, 'corp', { id_token: two }), 200, 'of another user')
    t.equal(await login(app, 'corp', { id_token: one }), rejected)
  })

  t.test('two tokens of one second for two apps of the same user are two', async t => {
    const { apple: { options } } = idp
    const [ios, web] = ['com.example.ios', 'com.example.web'].map(id =>
      apple({ ...options, clientIds: [id], replay: 'refuse' })
    )
    const app = await startApp(t, {
      providers: { ...(ios !== undefined && { ios }), ...(web !== undefined && { web }) }
    })
    const claims = { sub: 'u9', jti: undefined, iat: Math.floor(Date.now() / 1000) }
    t.equal(await login(app, 'ios', { id_token: await idp.apple.idToken({ ...claims, aud: 'com.example.ios' }) }), 200)
    t.equal(await login(app, 'web', { id_token: await idp.apple.idToken({ ...claims, aud: 'com.example.web' }) }), 200)
    t.equal(
      await login(app, 'web', { id_token: await idp.apple.idToken({ ...claims, aud: 'com.example.web' }) }),
      rejected
    )
  })

  t.test('an own provider that wants it, and says nothing a token could be known by, is answered 503', async t => {
    const own: IdentityProvider = { accepts: ['id_token'], replay: 'refuse', verify: async () => ({ subject: 'u1' }) }
    const app = await startApp(t, { providers: { own } })
    t.equal(await login(app, 'own', { id_token: 'x' }), `503 ${errors.ProviderUnavailableError.code}`)
  })
})
