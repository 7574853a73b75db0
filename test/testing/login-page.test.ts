import { decodeJwt } from 'jose'
import t from 'tap'
import type { IdentityProvider } from '../../src/identity.js'
import { apple, microsoft } from '../../src/providers/index.js'
import { startIdentityServer } from '../../src/testing/index.js'
import { member } from './member.js'

const idp = await startIdentityServer()
t.teardown(() => idp.close())

const redirectUri = 'https://app.example.com/callback'
// RFC 7636, appendix B.
const codeVerifier = 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk'
const codeChallenge = 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM'
const [tenant = ''] = idp.microsoft.options.tenants
const [servicesId = ''] = idp.apple.options.clientIds
const [clientId = ''] = idp.microsoft.options.clientIds

const providers: Record<'apple' | 'microsoft', IdentityProvider> = {
  apple: apple({ ...idp.apple.options, redirect: {} }),
  microsoft: microsoft({ ...idp.microsoft.options, redirect: { clientSecret: idp.microsoft.clientSecret } })
}

/** What a browser brings to the redirect URI, as a form or in its query; null from a page that sends nobody back. */
async function answerOf (url: string | URL): Promise<{ method: string, parameters: Record<string, string> } | null> {
  const answer = await fetch(url, { redirect: 'manual' })
  if (answer.status === 302) {
    const { searchParams } = new URL(answer.headers.get('location') ?? '')
    return { method: 'GET', parameters: Object.fromEntries(searchParams) }
  }
  const page = await answer.text()
  if (answer.status !== 200) return null
  const fields = [...page.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)">/g)]
  const plain = (text = '') => text.replace(/&#(\d+);/g, (_, code) => String.fromCharCode(Number(code)))
  t.equal(plain(/<form method="post" action="([^"]*)">/.exec(page)?.[1]), redirectUri)
  t.match(page, 'document.forms[0].submit()')
  const parameters = Object.fromEntries(fields.map(([, name, value]) => [plain(name), plain(value)]))
  return { method: 'POST', parameters }
}

async function pageOf (name: keyof typeof providers, more: Record<string, string> = {}): Promise<URL> {
  const request = { redirectUri, state: 'st"ate', nonce: 'raw', codeChallenge }
  const url = new URL(await providers[name].authorizationUrl?.(request) ?? '')
  for (const [member, value] of Object.entries(more)) url.searchParams.set(member, value)
  return url
}

async function redeem (name: keyof typeof providers, code = '', differs: object = {}) {
  const answer = { code, redirectUri, codeVerifier, nonce: 'raw', ...differs }
  return await providers[name].redeem?.(answer, { signal: AbortSignal.timeout(5000) })
}

t.test('Apple posts a form, with name and address beside the first code only', async t => {
  idp.apple.page.signIn({ sub: '001.page.1', email: 'ada@example.com' })
  const first = await answerOf(await pageOf('apple'))
  t.match(first, { method: 'POST', parameters: { code: String, state: 'st"ate' } })
  t.same(JSON.parse(first?.parameters.user ?? ''), {
    name: { firstName: 'Test', lastName: 'Person' },
    email: 'ada@example.com'
  })
  t.match(await redeem('apple', first?.parameters.code), { subject: '001.page.1', email: 'ada@example.com' })
  const second = await answerOf(await pageOf('apple'))
  t.notOk('user' in (second?.parameters ?? {}))
  t.match(await redeem('apple', second?.parameters.code), { subject: '001.page.1' })
})

t.test('Apple asks for a form as soon as a name or an address is asked for', async t => {
  const asked = await answerOf(await pageOf('apple', { response_mode: 'query' }))
  t.match(asked, { method: 'GET', parameters: { error: 'invalid_request', state: 'st"ate' } })
  const unasked = await answerOf(await pageOf('apple', { response_mode: 'query', scope: 'openid' }))
  t.match(unasked, { method: 'GET', parameters: { code: String } })
  t.notOk('user' in (unasked?.parameters ?? {}))
})

t.test('Microsoft answers in the query, or by a form, of each tenant', async t => {
  idp.microsoft.page.signIn({ oid: '00000000-0000-4000-8000-000000000001' })
  for (const [mode, method] of [['query', 'GET'], ['form_post', 'POST']] as const) {
    const answer = await answerOf(await pageOf('microsoft', { response_mode: mode }))
    t.match(answer, { method, parameters: { code: String, state: 'st"ate' } })
    const verified = await redeem('microsoft', answer?.parameters.code)
    t.match(verified, { subject: `${tenant}:00000000-0000-4000-8000-000000000001`, clientId })
  }
  const { authority } = idp.microsoft.options.endpoints
  const document = await (await fetch(`${authority}/common/v2.0/.well-known/openid-configuration`)).json()
  t.match(document, {
    authorization_endpoint: `${authority}/common/oauth2/v2.0/authorize`,
    token_endpoint: `${authority}/common/oauth2/v2.0/token`
  })
})

t.test('a code is for its redirect URI, its verifier (RFC 7636) and its nonce, and good once', async t => {
  for (const name of ['apple', 'microsoft'] as const) {
    const codeOf = async () => (await answerOf(await pageOf(name)))?.parameters.code
    const rows = [
      { redirectUri: `${redirectUri}/` }, { codeVerifier: 'w'.repeat(43) }, { nonce: 'another' }
    ]
    for (const differs of rows) {
      const refused = redeem(name, await codeOf(), differs)
      await t.rejects(refused, { code: 'AUTH_ERR_GRANT_REJECTED' }, JSON.stringify(differs))
    }
    const code = await codeOf()
    await redeem(name, code)
    await t.rejects(redeem(name, code), { code: 'AUTH_ERR_GRANT_REJECTED' })
  }
})

t.test('the client is known by its secret', async t => {
  const code = (await answerOf(await pageOf('microsoft')))?.parameters.code ?? ''
  const answer = await fetch(`${idp.microsoft.options.endpoints.authority}/${tenant}/oauth2/v2.0/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'authorization_code',
      code,
      redirect_uri: redirectUri,
      code_verifier: codeVerifier,
      client_id: clientId,
      client_secret: 'another'
    })
  })
  t.equal(answer.status, 401)
  t.same(await answer.json(), { error: 'invalid_client' })
})

t.test('the user says no, as the vendor says it', async t => {
  for (const [name, error] of [['apple', 'user_cancelled_authorize'], ['microsoft', 'access_denied']] as const) {
    idp[name].page.refuse()
    t.match((await answerOf(await pageOf(name)))?.parameters, { error, state: 'st"ate' })
    idp[name].page.refuse('server_error')
    t.match((await answerOf(await pageOf(name)))?.parameters, { error: 'server_error' })
    idp[name].page.refuse(false)
    t.match((await answerOf(await pageOf(name)))?.parameters, { code: String })
  }
})

t.test('prompt=none without a session is login_required (OpenID Connect Core, 3.1.2.6), where it is taken', async t => {
  for (const [name, error] of [['microsoft', 'login_required'], ['apple', undefined]] as const) {
    idp[name].page.signOut()
    t.equal((await answerOf(await pageOf(name, { prompt: 'none' })))?.parameters.error, error)
    t.match((await answerOf(await pageOf(name, { prompt: 'login' })))?.parameters, { code: String })
    idp[name].page.signIn({})
    t.match((await answerOf(await pageOf(name, { prompt: 'none' })))?.parameters, { code: String })
  }
})

t.test('an ID token says when its user logged in where max_age asks (OpenID Connect Core, 3.1.2.1)', async t => {
  for (const more of [{}, { max_age: '60' }]) {
    const code = (await answerOf(await pageOf('microsoft', more)))?.parameters.code ?? ''
    const verified = await redeem('microsoft', code)
    t.equal('auth_time' in (verified?.claims ?? {}), 'max_age' in more)
  }
  t.ok(member(decodeJwt(await idp.apple.idToken()), 'auth_time'), 'Apple always does')
})

t.test('an unknown client, a junk redirect URI, and what the page does not do: nobody is sent back', async t => {
  const rows: Record<string, string>[] = [
    { client_id: 'another' }, { redirect_uri: 'junk' }, { response_type: 'token' }, { response_mode: 'fragment' },
    { code_challenge_method: 'plain' }
  ]
  for (const name of ['apple', 'microsoft'] as const) {
    for (const more of rows) t.equal(await answerOf(await pageOf(name, more)), null, JSON.stringify(more))
  }
  t.equal((await pageOf('apple')).searchParams.get('client_id'), servicesId)
})
