import { createHash } from 'node:crypto'
import { mock } from 'node:test'
import t from 'tap'
import { oneFlowCookie } from '../../src/login/flow-cookies.js'
import { createRedirectFlows } from '../../src/login/redirect-flow.js'
import { createKeyMaterial } from '../../src/key-material.js'
import { createSeals } from '../../src/login/seals.js'

const issuer = 'https://api.example.com'
const flows = createRedirectFlows(createSeals(createKeyMaterial(['a'.repeat(40)], issuer)))
const at = { provider: 'google', redirectUri: `${issuer}/login/google` }
const rejected = { code: 'AUTH_ERR_GRANT_REJECTED', statusCode: 401 }

function begin (asked: unknown = null) {
  return flows.begin({ ...at, asked, nonce: 'a-nonce', ridesInState: false })
}

t.test('a browser that is back brings what it asked for, and what redeems its code', async t => {
  const { request, sealed } = await begin({ form: 'done' })
  t.equal(request.redirectUri, at.redirectUri)
  const parameters = new URLSearchParams({ code: 'a-code', state: request.state, iss: 'https://accounts.example' })
  const { asked, answer } = await flows.resume(sealed, at, parameters)
  t.same(asked, { form: 'done' })
  const { codeVerifier, ...rest } = answer()
  t.same(rest, { code: 'a-code', redirectUri: at.redirectUri, nonce: 'a-nonce', iss: 'https://accounts.example' })
  // RFC 7636, 4.2.
  t.equal(createHash('sha256').update(codeVerifier).digest('base64url'), request.codeChallenge)
})

t.test('RFC 9700, 4.7: an answer counts in the browser that began, once begun and for this address only', async t => {
  const { request: { state }, sealed } = await begin()
  const other = await begin()
  t.not(other.request.state, state)
  t.not(other.request.codeChallenge, (await begin()).request.codeChallenge)
  const rows: Array<[string, Parameters<typeof flows.resume>]> = [
    ['no browser', [null, at, new URLSearchParams({ code: 'x', state })]],
    ['another login', [other.sealed, at, new URLSearchParams({ code: 'x', state })]],
    ['another provider', [sealed, { ...at, provider: 'oidc' }, new URLSearchParams({ code: 'x', state })]],
    ['another address', [sealed, { ...at, redirectUri: issuer }, new URLSearchParams({ code: 'x', state })]],
    ['no state', [sealed, at, new URLSearchParams({ code: 'x' })]],
    ['two states', [sealed, at, new URLSearchParams(`code=x&state=${state}&state=${state}`)]]
  ]
  for (const [name, given] of rows) await t.rejects(flows.resume(...given), rejected, name)
  mock.timers.enable({ apis: ['Date'], now: Date.now() + 601_000 })
  await t.rejects(flows.resume(sealed, at, new URLSearchParams({ code: 'x', state })), rejected, 'ten minutes later')
  mock.timers.reset()
})

t.test("RFC 6749, 4.1.2.1: the provider's no, of whose words only one of the protocol is repeated", async t => {
  const { request: { state }, sealed } = await begin('asked')
  for (const [error, message] of [
    ['access_denied', 'The login was refused: access_denied'],
    ['Access Denied', 'The login was refused'],
    [`${'x'.repeat(41)}`, 'The login was refused']
  ] as const) {
    const returned = await flows.resume(sealed, at, new URLSearchParams({ error, error_description: 'words', state }))
    t.equal(returned.asked, 'asked')
    t.throws(() => returned.answer(), { ...rejected, message }, error)
  }
})

t.test('RFC 6749, 3.1: one code, one issuer, one error', async t => {
  const { request: { state }, sealed } = await begin()
  for (const query of ['', 'code=', 'code=a&code=b', 'code=a&iss=b&iss=c', 'code=a&error=b&error=c']) {
    const returned = await flows.resume(sealed, at, new URLSearchParams(`state=${state}&${query}`))
    t.throws(() => returned.answer(), rejected, query)
  }
})

t.test('the cookie of a flow is one, and no other host can plant it', t => {
  const cookie = oneFlowCookie(issuer)
  t.equal(cookie.keep('state', 'x'), '__Host-login=x; Max-Age=600; Path=/; HttpOnly; SameSite=Lax; Secure')
  t.same(cookie.end('state', ''), ['__Host-login=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax; Secure'])
  const onLoopback = oneFlowCookie('http://localhost:3000')
  t.equal(onLoopback.keep('state', 'x'), 'login=x; Max-Age=600; Path=/; HttpOnly; SameSite=Lax')
  for (const [header, found] of [
    [undefined, null],
    ['', null],
    ['login=x', null],
    ['other=1; __Host-login=x; more=2', 'x'],
    ['__Host-login=x; __Host-login=y', null]
  ] as const) {
    t.equal(cookie.read('state', header), found, String(header))
  }
  t.end()
})
