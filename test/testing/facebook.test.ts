import { createHmac } from 'node:crypto'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import t from 'tap'
import { startIdentityServer, type GraphErrorCode } from '../../src/testing/index.js'
import { member } from './member.js'

const idp = await startIdentityServer()
t.teardown(() => idp.close())
const { appId, appSecret, endpoints } = idp.facebook.options

async function ask (url: string, authorization = ''): Promise<{ status: number, text: string, body: unknown }> {
  const answer = await fetch(url, { headers: authorization === '' ? {} : { authorization } })
  const text = await answer.text()
  return { status: answer.status, text, body: JSON.parse(text) }
}

function debugToken (token: string, appToken = `${appId}|${appSecret}`) {
  return ask(`${endpoints.graph}/debug_token?${new URLSearchParams({ input_token: token, access_token: appToken })}`)
}

function me (token: string, query: Record<string, string> = {}) {
  const proof = createHmac('sha256', appSecret).update(token).digest('hex')
  return ask(`${endpoints.graph}/me?${new URLSearchParams({ access_token: token, appsecret_proof: proof, ...query })}`)
}

t.test('debug_token says whose token it is, of which app, and until when', async t => {
  const token = idp.facebook.accessToken({ id: '10158000000000099', name: 'Ada', email: 'ada@example.com' })
  const { status, body } = await debugToken(token)
  t.equal(status, 200)
  t.match(body, {
    data: {
      app_id: appId,
      type: 'USER',
      application: String,
      is_valid: true,
      user_id: '10158000000000099',
      scopes: ['email', 'public_profile'],
      issued_at: Number,
      data_access_expires_at: Number
    }
  })
  t.equal(member(body, 'data', 'expires_at'), Number(member(body, 'data', 'issued_at')) + 60 * 86_400)
  t.equal(member(body, 'data', 'error'), undefined)
})

t.test('the token of a call may stand in a header, of two schemes', async t => {
  const token = idp.facebook.accessToken({ id: '7' })
  const proof = createHmac('sha256', appSecret).update(token).digest('hex')
  const debug = `${endpoints.graph}/debug_token?input_token=${token}`
  const me = `${endpoints.graph}/me?appsecret_proof=${proof}`
  for (const scheme of ['Bearer', 'OAuth', 'bearer']) {
    t.match(await ask(debug, `${scheme} ${appId}|${appSecret}`), { status: 200, body: { data: { user_id: '7' } } })
    t.match(await ask(me, `${scheme} ${token}`), { status: 200, body: { id: '7' } })
    t.match(await ask(debug, `${scheme} ${appId}|wrong`), { status: 400, body: { error: { code: 190 } } })
    t.match(await ask(me, `${scheme} wrong`), { status: 400, body: { error: { code: 190 } } })
  }
  t.match(await ask(debug, `Basic ${appId}|${appSecret}`), { status: 400, body: { error: { code: 101 } } })
  t.match(await ask(me, `Basic ${token}`), { status: 400, body: { error: { code: 2500 } } })
})

t.test('a version in the path is tolerated', async t => {
  const token = idp.facebook.accessToken()
  const { status, body } = await ask(
    `${endpoints.graph}/v23.0/debug_token?input_token=${token}&access_token=${appId}|${appSecret}`
  )
  t.equal(status, 200)
  t.equal(member(body, 'data', 'is_valid'), true)
})

t.test('debug_token answers 200 for a token that is not good, and says why in data', async t => {
  const past = idp.clock.now() - 1
  const rows: Array<[string, string, number | undefined]> = [
    ['junk', 'junk', undefined],
    ['expired', idp.facebook.accessToken({}, { expiresAt: past }), 463],
    ['ended by Facebook', idp.facebook.accessToken({}, { valid: false }), 460]
  ]
  for (const [name, token, subcode] of rows) {
    const { status, body } = await debugToken(token)
    t.equal(status, 200, name)
    t.match(body, { data: { is_valid: false, error: { code: 190, message: String } } }, name)
    t.equal(member(body, 'data', 'error', 'subcode'), subcode, name)
    const refused = await me(token)
    t.match(
      refused,
      { status: 400, body: { error: { type: 'OAuthException', code: 190, fbtrace_id: String } } },
      `${name}, at /me`
    )
    t.equal(member(refused.body, 'error', 'error_subcode'), subcode, name)
  }
  const forever = idp.facebook.accessToken({}, { expiresAt: 0 })
  t.match(await debugToken(forever), { body: { data: { is_valid: true, expires_at: 0 } } })
})

t.test('debug_token refuses callers that are not this app, and missing parameters', async t => {
  const token = idp.facebook.accessToken()
  const rows: Array<[string, string, string, number]> = [
    ['another app', token, `999|${appSecret}`, 101],
    ['no app token', token, '', 101],
    ['wrong secret', token, `${appId}|wrong`, 190],
    ['no input', '', `${appId}|${appSecret}`, 100]
  ]
  for (const [name, input, appToken, code] of rows) {
    t.match(
      await debugToken(input, appToken),
      { status: 400, body: { error: { type: 'OAuthException', code, message: String } } },
      name
    )
  }
  t.match(await debugToken(token, `${appId}|wrong`), { body: { error: { message: /^Error validating application/ } } })
})

t.test("another app's token", async t => {
  const hidden = await debugToken(idp.facebook.accessToken({}, { appId: '999' }))
  t.match(hidden, { status: 400, body: { error: { code: 100, message: /App_id in the input_token did not match/ } } })
  const shown = await debugToken(idp.facebook.accessToken({}, { appId: '999', inspectable: true }))
  t.match(shown, { status: 200, body: { data: { app_id: '999', is_valid: true } } })
  const page = await debugToken(idp.facebook.accessToken({}, { type: 'PAGE' }))
  t.match(page, { status: 200, body: { data: { type: 'PAGE' } } })
})

t.test('/me honours fields, and the consent to the e-mail address', async t => {
  const token = idp.facebook.accessToken({
    id: '7',
    name: 'Ada',
    email: 'ada@example.com',
    picture: 'https://cdn.example.com/ada.jpg'
  })
  t.same((await me(token)).body, { id: '7', name: 'Ada' }, 'by default')
  t.match((await me(token, { fields: 'id,name,email,picture' })).body, {
    id: '7',
    name: 'Ada',
    email: 'ada@example.com',
    picture: { data: { url: 'https://cdn.example.com/ada.jpg' } }
  })
  t.same((await me(token, { fields: 'email,unknown,__proto__' })).body, { email: 'ada@example.com', id: '7' })
  const shy = idp.facebook.accessToken({ id: '8', email: 'ada@example.com' }, { scopes: ['public_profile'] })
  t.same((await me(shy, { fields: 'id,email' })).body, { id: '8' })
})

t.test('/me wants the proof that the caller knows the app secret', async t => {
  const token = idp.facebook.accessToken()
  t.match(await me(token, { appsecret_proof: 'ab'.repeat(32) }), {
    status: 400,
    body: { error: { code: 100, message: /appsecret_proof/ } }
  })
  t.match(await ask(`${endpoints.graph}/me?access_token=${token}`), {
    status: 400,
    body: { error: { code: 100, message: /appsecret_proof/ } }
  })
  t.match(await ask(`${endpoints.graph}/me`), { status: 400, body: { error: { code: 2500 } } })
})

t.test('ids beyond 2^53, as strings and as numbers', async t => {
  const token = idp.facebook.accessToken({ id: '90071992547409931234', name: '"id":"1"' })
  t.equal(member((await debugToken(token)).body, 'data', 'user_id'), '90071992547409931234')
  idp.facebook.numericIds(true)
  t.match((await debugToken(token)).text, '"user_id":90071992547409931234')
  t.match((await me(token)).text, '"id":90071992547409931234')
  t.match((await me(token)).text, String.raw`"name":"\"id\":\"1\""`)
  idp.facebook.numericIds(false)
})

t.test('errors by code', async t => {
  const token = idp.facebook.accessToken()
  const rows: Array<[GraphErrorCode, number, number]> = [
    [1, 500, 1],
    [2, 500, 2],
    [4, 400, 4],
    [17, 400, 17],
    [190, 400, 190],
    [341, 400, 341],
    [613, 400, 613],
    ['desktop-app', 400, 1]
  ]
  for (const [error, status, code] of rows) {
    idp.facebook.graphError(error)
    t.match(
      await debugToken(token),
      { status, body: { error: { type: 'OAuthException', code, message: String, fbtrace_id: String } } },
      String(error)
    )
    t.match(await me(token), { status, body: { error: { code } } }, String(error))
  }
  t.match(await me(token), { body: { error: { message: /app is configured as a desktop app/ } } })
  idp.facebook.graphError(false)
  t.equal((await me(token)).status, 200)
  t.throws(() => Reflect.apply(idp.facebook.graphError, idp, [5]), TypeError)
})

t.test('Limited Login: an ID token of its own issuer and key set, for the same person', async t => {
  const keys = createRemoteJWKSet(new URL(endpoints.jwks))
  const { payload } = await jwtVerify(await idp.facebook.idToken({ nonce: 'raw' }), keys, {
    algorithms: ['RS256'],
    issuer: 'https://www.facebook.com',
    audience: appId
  })
  t.match(payload, { nonce: 'raw', jti: String, exp: Number, iat: Number })
  t.equal(payload.sub, member((await debugToken(idp.facebook.accessToken())).body, 'data', 'user_id'))
  await t.rejects(jwtVerify(await idp.google.idToken(), keys), { code: 'ERR_JWKS_NO_MATCHING_KEY' })
})
