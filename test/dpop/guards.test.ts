import { mock } from 'node:test'
import t from 'tap'
import { forge, goodClaims, secretKey } from '../tokens/forge.js'
import { applicationKey, issuer, masterKey } from '../server.js'
import { clients, redirectProvider } from '../routes/authorization-server.js'
import { memoryStore } from '../../src/sessions/stores/index.js'
import { boundIn, dpopServer, refusedWith, type Refused } from './dpop-server.js'
import { athOf, proofBy, proofFor, prover, signer, type ProofChanges } from './prover.js'

mock.timers.enable({ apis: ['Date'], now: Date.UTC(2026, 10, 24, 12) })

const key = await prover()
const other = await prover()
const algs = 'algs="ES256 EdDSA Ed25519"'
const badProof: Refused =
  { status: 401, code: 'AUTH_ERR_DPOP_INVALID', challenge: `DPoP error="invalid_dpop_proof", ${algs}` }
const wrongKey: Refused = { ...badProof, challenge: `DPoP error="invalid_token", ${algs}` }
const badToken: Refused = { ...wrongKey, code: 'AUTH_ERR_TOKEN_INVALID' }

const server = await dpopServer(t, { dpop: 'all' })
const { access: token } = boundIn(await server.login(key))
const { access: foreign } = boundIn(await server.login(other))
const bearer = server.app.tokenExchange.issue({ userId: 'ada' }).access_token

t.test('a bound token with its proof, cold and warm, and an unbound one as Bearer', async t => {
  for (let time = 0; time < 3; time++) {
    t.match((await server.call(token, key)).json(), { id: 'own:10158' })
    t.equal((await server.get({ authorization: `Bearer ${bearer}` })).statusCode, 200)
    t.equal((await server.get({ 'x-zumo-auth': bearer })).statusCode, 200)
  }
  const spelt = [`dpop ${token}`, `DPOP ${token}`, `DPoP   ${token}`]
  for (const authorization of spelt) {
    const { statusCode } = await server.get({ authorization, dpop: proofFor(key, token, '/me') })
    t.equal(statusCode, 200, authorization.slice(0, 8))
  }
})

t.test('what a thief of a bound token has', async t => {
  const proof = proofFor(key, token, '/me')
  await server.get({ authorization: `DPoP ${token}`, dpop: proof })
  const rows: Array<[string, Record<string, string>, Refused]> = [
    ['the token alone', { authorization: `DPoP ${token}` }, badProof],
    ['an empty proof', { authorization: `DPoP ${token}`, dpop: '' }, badProof],
    ['as Bearer', { authorization: `Bearer ${token}` }, badToken],
    ['as Bearer, with a proof', { authorization: `Bearer ${token}`, dpop: proofFor(key, token, '/me') }, badToken],
    ['in X-ZUMO-AUTH', { 'x-zumo-auth': token }, badToken],
    ['in X-ZUMO-AUTH, with a proof', { 'x-zumo-auth': token, dpop: proofFor(key, token, '/me') }, badToken],
    ['in both', { authorization: `DPoP ${token}`, 'x-zumo-auth': token, dpop: proofFor(key, token, '/me') }, badToken],
    ['a key of its own', { authorization: `DPoP ${token}`, dpop: proofFor(other, token, '/me') }, wrongKey],
    ['the proof of before', { authorization: `DPoP ${token}`, dpop: proof }, badProof],
    ['a proof for another token', { authorization: `DPoP ${token}`, dpop: proofFor(key, foreign, '/me') }, badProof],
    ['a proof for /token', { authorization: `DPoP ${token}`, dpop: proofBy(key) }, badProof],
    ['a login as somebody else', { authorization: `DPoP ${foreign}`, dpop: proofFor(key, foreign, '/me') }, wrongKey],
    ['an unbound token as DPoP', { authorization: `DPoP ${bearer}`, dpop: proofFor(key, bearer, '/me') }, badToken],
    ['garbage as DPoP', { authorization: 'DPoP garbage', dpop: proofFor(key, 'garbage', '/me') }, badToken],
    ['no token', { authorization: 'DPoP' }, badToken],
    ['two tokens', { authorization: `DPoP ${token} ${token}`, dpop: proofFor(key, token, '/me') }, badToken],
    ['a list', { authorization: `DPoP ${token}, Bearer ${bearer}` }, badToken]
  ]
  for (const [name, headers, refused] of rows) {
    // The proofs are for one of them.
    for (const url of refused === badToken ? ['/me', '/everyone', '/app'] : ['/me']) {
      t.strictSame(refusedWith(await server.get(headers, url)), refused, `${name}: ${url}`)
    }
  }
})

t.test('a bad proof, cold and warm', async t => {
  const rows: Array<[string, ProofChanges]> = [
    ['another method', { claims: { htm: 'POST' } }], ['another path', { claims: { htu: `${issuer}/you` } }],
    ['the host of the request', { claims: { htu: 'http://localhost:80/me' } }], ['old', { claims: { iat: 1 } }],
    ['without ath', { claims: { ath: undefined } }], ['ath of another', { claims: { ath: athOf('x') } }],
    ['without jti', { claims: { jti: '' } }], ['alg none', { header: { alg: 'none' }, sign: () => Buffer.alloc(0) }],
    ['typ', { header: { typ: 'JWT' } }], ['crit', { header: { crit: ['x'] } }],
    ["the owner's header, another's signature", { sign: signer(other) }]
  ]
  for (const [name, changes] of rows) {
    const cold = boundIn(await server.login(key)).access
    for (const access of [cold, token]) {
      t.strictSame(refusedWith(await server.call(access, key, changes)), badProof, name)
    }
    t.equal((await server.call(cold, key)).statusCode, 200)
  }
})

t.test('an unbound token is good for whoever has it, with a proof beside it too', async t => {
  const good = await server.get({ authorization: `Bearer ${bearer}`, dpop: proofFor(key, bearer, '/me') })
  t.match(good.json(), { id: 'ada' })
})

t.test('the address is that of the issuer, whatever the request says of its host', async t => {
  const proofAt = (origin: string): string => proofFor(key, token, '/me', { claims: { htu: `${origin}/me` } })
  const authorization = `DPoP ${token}`
  for (const name of ['host', 'x-forwarded-host', 'x-original-host']) {
    const sent = { authorization, [name]: 'evil.example' }
    t.equal((await server.get({ ...sent, dpop: proofAt(issuer) })).statusCode, 200, name)
    t.strictSame(refusedWith(await server.get({ ...sent, dpop: proofAt('https://evil.example') })), badProof, name)
  }
  const injected = { authorization, host: 'api.example.com/me?' }
  t.strictSame(refusedWith(await server.get({ ...injected, dpop: proofFor(key, token, '/') })), badProof)
})

t.test('the method is that of the request: HEAD is HEAD', async t => {
  for (const [htm, status] of [['HEAD', 200], ['GET', 401]] as const) {
    const dpop = proofFor(key, token, '/me', { claims: { htm } })
    const headers = { authorization: `DPoP ${token}`, dpop }
    const { statusCode } = await server.app.inject({ method: 'HEAD', url: '/me', headers })
    t.equal(statusCode, status, htm)
  }
})

t.test('two DPoP headers, two carriers that differ: 400', async t => {
  const proofs = [proofFor(key, token, '/me'), proofFor(key, token, '/me')]
  const refused = { status: 400, code: 'AUTH_ERR_REQUEST_INVALID', challenge: `DPoP error="invalid_request", ${algs}` }
  const authorization = `DPoP ${token}`
  t.strictSame(refusedWith(await server.get({ authorization, dpop: proofs })), refused)
  const differing = { authorization, dpop: proofFor(key, token, '/me'), 'x-zumo-auth': bearer }
  t.strictSame(refusedWith(await server.get(differing)), refused)
  t.equal((await server.get({ authorization, dpop: proofs.join(', ') })).statusCode, 401)
})

t.test('challenges: on the scheme that the client used, both without a credential', async t => {
  const proven = (url: string): Record<string, string> =>
    ({ authorization: `DPoP ${token}`, dpop: proofFor(key, token, url) })
  const missing = 'AUTH_ERR_CREDENTIAL_MISSING'
  const both: Refused = { status: 401, code: missing, challenge: `Bearer, DPoP ${algs}` }
  const invalid: Refused = { status: 401, code: 'AUTH_ERR_TOKEN_INVALID', challenge: 'Bearer error="invalid_token"' }
  const rows: Array<[Record<string, string>, string, Refused]> = [
    [{}, '/me', both],
    [{ authorization: 'Basic YTpi' }, '/me', both],
    [{ 'x-zumo-application': applicationKey }, '/me', both],
    [proven('/app'), '/app', { status: 401, code: missing, challenge: `DPoP ${algs}` }],
    [{ authorization: `Bearer ${bearer}` }, '/app', { status: 401, code: missing, challenge: 'Bearer' }],
    [{ 'x-zumo-auth': bearer }, '/app', { status: 401, code: missing, challenge: 'Bearer' }],
    [
      proven('/todo'), '/todo',
      { status: 403, code: 'AUTH_ERR_PERMISSION_MISSING', challenge: `DPoP error="insufficient_scope", ${algs}` }
    ],
    [
      proven('/recent'), '/recent',
      {
        status: 401,
        code: 'AUTH_ERR_LOGIN_REQUIRED',
        challenge: `DPoP error="insufficient_user_authentication", ${algs}, max_age="60", acr_values="mfa"`
      }
    ],
    [{ authorization: 'Bearer x' }, '/me', invalid],
    // A proof alone says nothing of who calls.
    [{ dpop: proofFor(key, token, '/me') }, '/me', both],
    [{ authorization: `Basic ${token}`, dpop: proofFor(key, token, '/me') }, '/me', both],
    [{ authorization: 'Bearer', dpop: proofFor(key, token, '/me') }, '/me', invalid],
    [{ authorization: 'Bearer x', dpop: proofFor(key, token, '/me') }, '/me', invalid],
    [{ dpop: proofFor(key, token, '/me') }, `/me?access_token=${token}`, both]
  ]
  for (const [headers, url, refused] of rows) t.strictSame(refusedWith(await server.get(headers, url)), refused, url)
  const login = await server.app.inject({ method: 'POST', url: '/login/own', payload: { access_token: 'bad' } })
  t.equal(login.headers['www-authenticate'], `Bearer, DPoP ${algs}`)
})

t.test('a master key does not make up for a bad proof', async t => {
  const answer = await server.get({ authorization: `DPoP ${token}`, 'x-zumo-master': masterKey })
  t.strictSame(refusedWith(answer), badProof)
})

t.test('challenges name the resource metadata where clients look there (RFC 9728, 5.1)', async t => {
  const { get } = await dpopServer(t, { dpop: 'all', clients, providers: { own: redirectProvider } })
  const metadata = 'resource_metadata="https://api.example.com/.well-known/oauth-protected-resource"'
  t.equal((await get({})).headers['www-authenticate'], `Bearer ${metadata}, DPoP ${algs}, ${metadata}`)
  t.equal(
    (await get({ authorization: 'DPoP x' })).headers['www-authenticate'],
    `DPoP error="invalid_token", ${algs}, ${metadata}`
  )
})

t.test('where access tokens are not bound, what is bound is nobody\'s', async t => {
  const store = memoryStore()
  const all = await dpopServer(t, { dpop: 'all', sessions: { store } })
  const { access } = boundIn(await all.login(key))
  for (const dpop of ['refresh', undefined] as const) {
    const { get } = await dpopServer(t, { ...(dpop && { dpop }), sessions: { store } })
    for (const headers of [
      { authorization: `Bearer ${access}` },
      { 'x-zumo-auth': access },
      { authorization: `DPoP ${access}`, dpop: proofFor(key, access, '/me') }
    ]) {
      t.strictSame(
        refusedWith(await get(headers)),
        { status: 401, code: 'AUTH_ERR_TOKEN_INVALID', challenge: 'Bearer error="invalid_token"' },
        `${dpop}: ${JSON.stringify(headers).slice(0, 20)}`
      )
    }
    t.match(refusedWith(await get({ authorization: 'DPoP garbage' })), { code: 'AUTH_ERR_CREDENTIAL_MISSING' })
  }
})

t.test('a confirmation of another kind is none of ours', async t => {
  const signing = secretKey('d41f8cd98f00b204e9800998ecf8427e-cnf')
  const { get } = await dpopServer(t, { dpop: 'all', keys: [signing.option] })
  const good = forge(signing, { ...goodClaims(), cnf: { jkt: key.jkt } })
  t.equal((await get({ authorization: `DPoP ${good}`, dpop: proofFor(key, good, '/me') })).statusCode, 200)
  const rows: unknown[] = [
    null, {}, [], key.jkt, { jkt: '' }, { jkt: 'x' }, { jkt: 1 }, { jkt: key.jkt, 'x5t#S256': 'x' }, { jwk: key.jwk }
  ]
  for (const cnf of rows) {
    const access = forge(signing, { ...goodClaims(), cnf })
    for (const headers of [
      { authorization: `DPoP ${access}`, dpop: proofFor(key, access, '/me') }, { authorization: `Bearer ${access}` }
    ]) {
      t.match(refusedWith(await get(headers)), { status: 401, code: 'AUTH_ERR_TOKEN_INVALID' }, JSON.stringify(cnf))
    }
  }
})

t.test('nonces at guards: asked for, told anew with each answer to a proof', async t => {
  const { app, get } = await dpopServer(t, { dpop: { mode: 'all', nonce: 'always' } })
  const nonceOf = async (): Promise<string> =>
    String((await app.inject({ method: 'POST', url: '/nonce' })).headers['dpop-nonce'])
  const login = await app.inject({
    method: 'POST',
    url: '/login/own',
    headers: { dpop: proofBy(key, { claims: { htu: `${issuer}/login/own`, nonce: await nonceOf() } }) },
    payload: { access_token: 'good' }
  })
  const { access } = boundIn(login)
  const call = async (nonce?: string) =>
    await get({ authorization: `DPoP ${access}`, dpop: proofFor(key, access, '/me', { claims: { nonce } }) })
  const asked = await call()
  t.strictSame(
    refusedWith(asked),
    { status: 401, code: 'AUTH_ERR_DPOP_INVALID', challenge: `DPoP error="use_dpop_nonce", ${algs}` }
  )
  const nonce = String(asked.headers['dpop-nonce'])
  const good = await call(nonce)
  t.equal(good.statusCode, 200)
  // RFC 9449, 8.2: not to be told again by a cache.
  for (const { headers } of [asked, good]) t.equal(headers['cache-control'], 'no-store')
  mock.timers.tick(150_000)
  const later = await call(nonce)
  t.equal(later.statusCode, 200, 'the one of before')
  t.not(later.headers['dpop-nonce'], nonce)
  t.equal((await call(String(later.headers['dpop-nonce']))).statusCode, 200)
})

t.test('a revoked token stays revoked, and an expired one expires, whatever its proof', async t => {
  const { access } = boundIn(await server.login(key))
  t.equal((await server.call(access, key)).statusCode, 200)
  await server.app.inject({
    method: 'POST',
    url: '/logout',
    headers: { authorization: `DPoP ${access}`, dpop: proofFor(key, access, '/logout', { claims: { htm: 'POST' } }) }
  })
  t.strictSame(refusedWith(await server.call(access, key)), { ...wrongKey, code: 'AUTH_ERR_TOKEN_REVOKED' })
  const { access: short } = boundIn(await server.login(key))
  mock.timers.tick(3_700_000)
  t.strictSame(refusedWith(await server.call(short, key)), { ...wrongKey, code: 'AUTH_ERR_TOKEN_EXPIRED' })
})

t.test('app.tokenExchange.verify takes no bound token: it sees no proof', async t => {
  const { access } = boundIn(await server.login(key))
  t.throws(() => server.app.tokenExchange.verify(access), { code: 'AUTH_ERR_TOKEN_INVALID' })
  const own = server.app.tokenExchange.issue({ userId: 'ada' }).access_token
  t.equal(server.app.tokenExchange.verify(own).id, 'ada')
  const revoked = await server.app.inject({ method: 'POST', url: '/revoke', payload: { token: access } })
  t.equal(revoked.statusCode, 200)
  t.match(refusedWith(await server.call(access, key)), { code: 'AUTH_ERR_TOKEN_REVOKED' })
})

t.test('browsers may send proofs and see nonces', async t => {
  const origin = 'https://www.example.com'
  const preflight = {
    origin, 'access-control-request-method': 'GET', 'access-control-request-headers': 'dpop,authorization'
  }
  const { app } = await dpopServer(t, { dpop: 'refresh', cors: { origins: [origin] } })
  const allowed = await app.inject({ method: 'OPTIONS', url: '/me', headers: preflight })
  t.match(allowed.headers['access-control-allow-headers'], /DPoP/)
  const answer = await app.inject({ url: '/me', headers: { origin } })
  t.match(answer.headers['access-control-expose-headers'], /DPoP-Nonce/)
  const off = await dpopServer(t, { cors: { origins: [origin] } })
  const plain = await off.app.inject({ method: 'OPTIONS', url: '/me', headers: preflight })
  t.notMatch(plain.headers['access-control-allow-headers'], /DPoP/)
})

t.test('a bound token in the header of the Azure dialect is 401, and its login binds all the same', async t => {
  const { app, get } = await dpopServer(t, { dpop: 'all', azureMobileServices: true })
  const login = await app.inject({
    method: 'POST',
    url: '/.auth/login/own',
    headers: { dpop: proofBy(key, { claims: { htu: `${issuer}/.auth/login/own` } }) },
    payload: { access_token: 'good' }
  })
  const access = String(login.json<Record<string, unknown>>().authenticationToken)
  const refused = await get({ 'x-zumo-auth': access })
  t.match([refused.statusCode, refused.json()], [401, { errorCode: 'AUTH_ERR_TOKEN_INVALID' }])
  t.equal((await get({ authorization: `DPoP ${access}`, dpop: proofFor(key, access, '/me') })).statusCode, 200)
  const headers = { authorization: `DPoP ${access}`, dpop: proofFor(key, access, '/.auth/refresh') }
  const refreshed = await get(headers, '/.auth/refresh')
  t.equal(refreshed.statusCode, 200, 'one proof is for its guard and for its session')
})
