import t from 'tap'
import { decodeClaims } from '../routes/login-server.js'
import { ownProvider, startApp } from '../server.js'
import { memoryStore } from '../../src/sessions/stores/index.js'
import {
  answerIn, authorizePath, codeOf, clients, openBrowser, redeem, redirectProvider
} from '../routes/authorization-server.js'
import { boundIn, dpopServer } from './dpop-server.js'
import { athOf, proofBy, proofFor, prover, signer } from './prover.js'

const key = await prover()
const thief = await prover()
const wrongKey = { error: 'invalid_grant', code: 'AUTH_ERR_REFRESH_INVALID' }
const badProof = { error: 'invalid_dpop_proof', code: 'AUTH_ERR_DPOP_INVALID' }

t.test('a login with a proof: refresh binds the refresh token, all the access token too', async t => {
  const refresh = await dpopServer(t, { dpop: 'refresh' })
  const bearer = boundIn(await refresh.login(key))
  t.equal(bearer.type, 'Bearer')
  t.notOk('cnf' in decodeClaims(bearer.access))
  t.equal((await refresh.get({ authorization: `Bearer ${bearer.access}` })).statusCode, 200)

  const all = await dpopServer(t, { dpop: 'all' })
  const bound = boundIn(await all.login(key))
  t.equal(bound.type, 'DPoP')
  t.strictSame(decodeClaims(bound.access).cnf, { jkt: key.jkt })
  t.equal((await all.call(bound.access, key)).statusCode, 200)
})

t.test('a login without one is as before, and a session stays as it was begun', async t => {
  for (const dpop of ['refresh', 'all'] as const) {
    const server = await dpopServer(t, { dpop })
    const first = boundIn(await server.login(null))
    t.equal(first.type, 'Bearer')
    const second = boundIn(await server.refresh(first.refresh, key))
    t.equal(second.type, 'Bearer', 'a proof comes too late to bind it')
    t.notOk('cnf' in decodeClaims(second.access))
    t.equal((await server.refresh(second.refresh, null)).statusCode, 200)
  }
})

t.test('a bound session goes on with its key, and its access tokens are of its kind', async t => {
  for (const [dpop, type] of [['refresh', 'Bearer'], ['all', 'DPoP']] as const) {
    const server = await dpopServer(t, { dpop })
    let tokens = boundIn(await server.login(key))
    for (let count = 0; count < 3; count++) {
      tokens = boundIn(await server.refresh(tokens.refresh, key))
      t.equal(tokens.type, type)
    }
  }
})

t.test('a bound refresh token without its key is invalid_grant everywhere, and spends and ends nothing', async t => {
  const store = memoryStore()
  const servers = [
    await dpopServer(t, { dpop: 'all', sessions: { store } }),
    await dpopServer(t, { dpop: 'refresh', sessions: { store } }),
    await dpopServer(t, { sessions: { store } })
  ] as const
  const [server, , off] = servers
  const first = boundIn(await server.login(key))
  const second = boundIn(await server.refresh(first.refresh, key))
  const third = boundIn(await server.refresh(second.refresh, key))
  for (const one of servers) {
    for (const by of [null, thief]) {
      // An old one: from its owner it would be a theft, and end the session.
      for (const { refresh } of [first, second, third]) {
        const answer = await one.refresh(refresh, by)
        t.match([answer.statusCode, answer.json()], [400, wrongKey])
      }
    }
    const revoked = await one.app.inject({ method: 'POST', url: '/revoke', payload: { token: third.refresh } })
    t.match([revoked.statusCode, revoked.json()], [400, wrongKey], '/revoke')
  }
  t.equal((await off.refresh(third.refresh, key)).statusCode, 400, 'where no proof is looked at nobody has the key')
  t.equal((await server.refresh(third.refresh, key)).statusCode, 200)
  const reused = await server.refresh(first.refresh, key)
  t.match(reused.json(), { code: 'AUTH_ERR_REFRESH_REUSED' }, 'with the key it is one')
})

t.test("a thief's proof is used up like any other, whatever comes of it", async t => {
  const server = await dpopServer(t, { dpop: 'refresh' })
  const { refresh } = boundIn(await server.login(key))
  const claims = { jti: 'one' }
  t.match((await server.refresh(refresh, thief, { claims })).json(), wrongKey)
  t.match((await server.refresh(refresh, thief, { claims })).json(), badProof)
})

t.test('its owner may revoke it', async t => {
  const server = await dpopServer(t, { dpop: 'refresh' })
  const { refresh } = boundIn(await server.login(key))
  const revoke = async (by: typeof key): Promise<number> => {
    const headers = { dpop: proofBy(by, { claims: { htu: 'https://api.example.com/revoke' } }) }
    const payload = { token: refresh }
    return (await server.app.inject({ method: 'POST', url: '/revoke', headers, payload })).statusCode
  }
  t.equal(await revoke(thief), 400)
  t.equal(await revoke(key), 200)
  t.match((await server.refresh(refresh, key)).json(), { code: 'AUTH_ERR_SESSION_REVOKED' })
})

t.test('a bad proof is 400 before anybody is asked, and neither is a grant spent', async t => {
  let asked = 0
  const own = ownProvider(() => { asked++; return { subject: '1' } })
  const server = await dpopServer(t, { dpop: 'all', providers: { own } })
  const { refresh } = boundIn(await server.login(key))
  asked = 0
  const rows = [
    { claims: { htm: 'GET' } }, { claims: { htu: 'https://api.example.com/' } }, { header: { typ: 'JWT' } },
    { claims: { iat: 1 } }, { sign: signer(thief) }
  ]
  for (const changes of rows) {
    const login = await server.login(key, changes)
    t.match([login.statusCode, login.json()], [400, { code: 'AUTH_ERR_DPOP_INVALID', statusCode: 400 }])
    const answer = await server.refresh(refresh, key, changes)
    t.match([answer.statusCode, answer.json()], [400, badProof])
    const exchange = await server.token({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_issuer: 'own',
      subject_token: 'good',
      subject_token_type: 'urn:ietf:params:oauth:token-type:access_token'
    }, { dpop: proofBy(key, changes) })
    t.match([exchange.statusCode, exchange.json()], [400, badProof])
  }
  t.equal(asked, 0)
  t.equal((await server.refresh(refresh, key)).statusCode, 200)
})

t.test('two proofs are one too many, and an empty one is none that holds', async t => {
  const server = await dpopServer(t, { dpop: 'all' })
  const two = [proofBy(key), proofBy(key)]
  for (const dpop of [two, two.join(', '), '']) {
    const answer = await server.token({ grant_type: 'refresh_token', refresh_token: 'x' }, { dpop })
    t.match([answer.statusCode, answer.json()], [400, badProof], String(dpop).slice(0, 20))
  }
})

t.test('one proof makes one request, at whichever route', async t => {
  const server = await dpopServer(t, { dpop: 'all' })
  const claims = { jti: 'one' }
  const { refresh } = boundIn(await server.login(key, { claims }))
  t.match((await server.refresh(refresh, key, { claims })).json(), badProof)
  t.match((await server.login(key, { claims })).json(), { code: 'AUTH_ERR_DPOP_INVALID' })
  t.equal((await server.login(thief, { claims })).statusCode, 200, 'each key has its own')
})

t.test('required: no login without a proof, at any door; sessions of before go on', async t => {
  const store = memoryStore()
  const before = await dpopServer(t, { sessions: { store } })
  const old = boundIn(await before.login(null))
  let asked = 0
  const server = await dpopServer(t, {
    dpop: { mode: 'all', required: true },
    sessions: { store },
    providers: { own: ownProvider(() => { asked++; return { subject: '1' } }) }
  })
  t.match((await server.login(null)).json(), { statusCode: 400, code: 'AUTH_ERR_DPOP_INVALID' })
  const exchange = await server.token({
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_issuer: 'own',
    subject_token: 'good',
    subject_token_type: 'urn:ietf:params:oauth:token-type:access_token'
  })
  t.match([exchange.statusCode, exchange.json()], [400, badProof])
  t.equal(asked, 0)
  t.equal((await server.login(key)).statusCode, 200)
  t.equal(boundIn(await server.refresh(old.refresh, null)).type, 'Bearer')
})

t.test('a code that is redeemed with a proof is bound as a login is; a bad one spends nothing', async t => {
  const app = await startApp(t, {
    providers: { own: redirectProvider },
    clients,
    sessions: { store: memoryStore() },
    dpop: { mode: 'all', required: true }
  })
  const code = await codeOf(openBrowser(app))
  t.match((await redeem(app, code)).json(), badProof)
  t.match((await redeem(app, code, {}, { dpop: proofBy(key, { claims: { htm: 'GET' } }) })).json(), badProof)
  const bound = boundIn(await redeem(app, code, {}, { dpop: proofBy(key) }))
  t.equal(bound.type, 'DPoP')
  t.match(decodeClaims(bound.access), { cnf: { jkt: key.jkt }, client_id: 'web' })
})

t.test('dpop_jkt: the code is for that key, and a wrong one spends nothing (RFC 9449, 10)', async t => {
  const options = { providers: { own: redirectProvider }, clients, sessions: { store: memoryStore() } }
  for (const dpop of ['all', 'refresh'] as const) {
    const app = await startApp(t, { ...options, dpop })
    const code = await codeOf(openBrowser(app), { dpop_jkt: key.jkt })
    for (const headers of [{}, { dpop: proofBy(thief) }]) {
      const refused = await redeem(app, code, {}, headers)
      t.match([refused.statusCode, refused.json()], [400, { error: 'invalid_grant' }])
    }
    const { refresh } = boundIn(await redeem(app, code, {}, { dpop: proofBy(key) }))
    const reused = await redeem(app, code, {}, { dpop: proofBy(thief) })
    t.match(reused.json(), { error: 'invalid_grant' })
    const body = { grant_type: 'refresh_token', refresh_token: refresh }
    const headers = { dpop: proofBy(key) }
    const refreshed = await app.inject({ method: 'POST', url: '/token', headers, payload: body })
    t.equal(refreshed.statusCode, 200, 'a second use by another key ends nothing')
  }
})

t.test('dpop_jkt that is no thumbprint is invalid_request, and unknown where dpop is off', async t => {
  const options = { providers: { own: redirectProvider }, clients }
  const [on, off] = [await startApp(t, { ...options, dpop: 'all' }), await startApp(t, options)]
  const good = authorizePath({ dpop_jkt: key.jkt })
  const rows = [`${key.jkt}=`, key.jkt.slice(1), `${key.jkt.slice(0, -1)}/`, 'x'.repeat(43)]
  for (const path of [...rows.map(jkt => authorizePath({ dpop_jkt: jkt })), `${good}&dpop_jkt=${key.jkt}`]) {
    t.match(answerIn(await on.inject(path)), { error: 'invalid_request', state: 'a state' }, path)
    t.match((await off.inject(path)).headers.location, /^https:\/\/own\.example\//)
  }
  t.match((await on.inject(good)).headers.location, /^https:\/\/own\.example\//)
  const code = await codeOf(openBrowser(off), { dpop_jkt: key.jkt })
  t.equal((await redeem(off, code)).statusCode, 200)
})

t.test('nonces: asked for with use_dpop_nonce, told with every answer', async t => {
  const [server, other] = [
    await dpopServer(t, { dpop: { mode: 'refresh', nonce: 'token' } }),
    await dpopServer(t, { dpop: { mode: 'refresh', nonce: 'token' } })
  ]
  const refused = await server.login(key)
  t.match([refused.statusCode, refused.json()], [400, { code: 'AUTH_ERR_DPOP_INVALID' }])
  const nonce = String(refused.headers['dpop-nonce'])
  const answer = await other.login(key, { claims: { nonce } })
  t.equal(answer.statusCode, 200, 'of another server')
  t.equal(answer.headers['dpop-nonce'], nonce)
  const { refresh } = boundIn(answer)
  const asked = await other.refresh(refresh, key)
  t.match([asked.statusCode, asked.json()], [400, { error: 'use_dpop_nonce' }])
  t.equal(asked.headers['dpop-nonce'], nonce)
  t.equal((await other.refresh(refresh, key, { claims: { nonce } })).statusCode, 200)
  t.equal((await other.login(null)).statusCode, 200, 'who proves nothing needs none')
})

t.test('metadata says what proofs may be signed with', async t => {
  const { app } = await dpopServer(t, { dpop: { mode: 'refresh', algorithms: ['ES256', 'RS256'] } })
  const metadata = (await app.inject('/.well-known/oauth-authorization-server')).json<Record<string, unknown>>()
  t.strictSame(metadata.dpop_signing_alg_values_supported, ['ES256', 'RS256'])
  const off = await dpopServer(t)
  const plain = (await off.app.inject('/.well-known/oauth-authorization-server')).json<Record<string, unknown>>()
  t.notOk('dpop_signing_alg_values_supported' in plain)
})

t.test('refresh tokens cannot be bound where there are none', async t => {
  await t.rejects(async () => { await startApp(t, { dpop: 'refresh' }) }, {
    code: 'AUTH_ERR_OPTION_INVALID',
    message: /^Invalid option: dpop /
  })
  await startApp(t, { dpop: 'all' })
})

t.test('a login that comes with a bound access token links to its account: one proof is for both', async t => {
  let linked: string | undefined
  const server = await dpopServer(t, {
    dpop: 'all',
    permissions: (_identity, { user }) => {
      linked = user?.id
      return {}
    }
  })
  const { access } = boundIn(await server.login(key))
  const link = async (by: typeof key): Promise<number> => {
    const dpop = proofFor(by, access, '/login/own', { claims: { htm: 'POST' } })
    const headers = { authorization: `DPoP ${access}`, dpop }
    return (await server.app.inject({ method: 'POST', url: '/login/own', headers, payload: { access_token: 'good' } }))
      .statusCode
  }
  t.equal(await link(thief), 401)
  t.equal(linked, undefined)
  t.equal(await link(key), 200)
  t.equal(linked, 'own:10158')
})

t.test('an exchange at /token that comes with a bound access token', async t => {
  const { app, token } = await dpopServer(t, { dpop: { mode: 'all', nonce: 'always' } })
  const nonce = String((await app.inject({ method: 'POST', url: '/nonce' })).headers['dpop-nonce'])
  const parameters = {
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_issuer: 'own',
    subject_token: 'good',
    subject_token_type: 'urn:ietf:params:oauth:token-type:access_token'
  }
  const { access } = boundIn(await token(parameters, { dpop: proofBy(key, { claims: { nonce } }) }))
  const by = (prover = key, claims: object = {}): object =>
    ({ dpop: proofBy(prover, { claims: { ath: athOf(access), nonce, ...claims } }) })
  const rows: Array<[name: string, proof: object, status: number, error: string | undefined]> = [
    ['one proof for both', by(), 200, undefined],
    ['none', {}, 400, 'invalid_dpop_proof'],
    ['without the hash of the token', by(key, { ath: undefined }), 400, 'invalid_dpop_proof'],
    ['without a nonce', by(key, { nonce: undefined }), 400, 'use_dpop_nonce'],
    ['by another key', by(thief), 401, 'invalid_token']
  ]
  for (const [name, proof, status, error] of rows) {
    const answer = await token(parameters, { authorization: `DPoP ${access}`, ...proof })
    t.match([answer.statusCode, answer.json()], [status, error === undefined ? {} : { error }], name)
    t.ok(answer.headers['dpop-nonce'], name)
  }
})
