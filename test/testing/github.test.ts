import t from 'tap'
import { startIdentityServer } from '../../src/testing/index.js'
import { member } from './member.js'

const idp = await startIdentityServer()
t.teardown(() => idp.close())
const { clientId, clientSecret, endpoints } = idp.github.options
const ours = basic(clientId, clientSecret)

function basic (id: string, secret: string): string {
  return `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`
}

async function check (
  body: unknown,
  authorization = ours,
  of = clientId
): Promise<{ status: number, text: string, body: unknown }> {
  const answer = await fetch(`${endpoints.api}/applications/${of}/token`, {
    method: 'POST',
    headers: { authorization, 'content-type': 'application/json' },
    body: JSON.stringify(body)
  })
  const text = await answer.text()
  return { status: answer.status, text, body: JSON.parse(text) }
}

async function exchange (form: Record<string, string>): Promise<{ status: number, body: unknown }> {
  const answer = await fetch(endpoints.token, {
    method: 'POST',
    headers: { accept: 'application/json' },
    body: new URLSearchParams({ client_id: clientId, client_secret: clientSecret, ...form })
  })
  return { status: answer.status, body: JSON.parse(await answer.text()) }
}

t.test('a token is checked with the app of its issue', async t => {
  const token = idp.github.accessToken({ id: 42, login: 'ada', email: 'ada@example.com' })
  t.match(token, /^gho_/)
  t.match(await check({ access_token: token }), {
    status: 200,
    body: {
      token,
      scopes: ['read:user'],
      app: { client_id: clientId },
      user: { id: 42, login: 'ada', email: 'ada@example.com', avatar_url: String }
    }
  })
})

t.test('ids beyond 2^53 are exact numbers', async t => {
  t.match(
    (await check({ access_token: idp.github.accessToken({ id: '90071992547409931234' }) })).text,
    '"id":90071992547409931234'
  )
})

t.test('refusals', async t => {
  const token = idp.github.accessToken()
  t.equal((await check({ access_token: token }, basic(clientId, 'wrong'))).status, 401)
  t.equal((await check({ access_token: token }, basic('wrong', clientSecret))).status, 401)
  t.equal((await check({ access_token: token }, 'Bearer x')).status, 401)
  t.equal((await check({ access_token: token }, ours, 'Iv1.other')).status, 404)
  t.equal((await check({ access_token: 'gho_junk' })).status, 404)
  t.equal((await check({ access_token: idp.github.accessToken({}, { valid: false }) })).status, 404)
  t.equal((await check({ access_token: idp.github.accessToken({}, { clientId: 'Iv1.other' }) })).status, 404)
  for (const body of [{}, { access_token: '' }, { access_token: 1 }, null, []]) t.equal((await check(body)).status, 422)
  t.match(await check({ access_token: idp.github.accessToken({}, { clientId: 'Iv1.other', inspectable: true }) }), {
    status: 200,
    body: { app: { client_id: 'Iv1.other' } }
  })
})

t.test('a code brings a token of its person', async t => {
  const redirectUri = 'https://app.example.com/callback'
  const codeVerifier = 'v'.repeat(43)
  const code = idp.github.authorizationCode({ id: 7, login: 'ada' }, { redirectUri, codeVerifier })
  const form = { code, redirect_uri: redirectUri, code_verifier: codeVerifier }
  const { status, body } = await exchange(form)
  t.match({ status, body }, { status: 200, body: { access_token: /^gho_/, token_type: 'bearer', scope: String } })
  t.equal(member((await check({ access_token: member(body, 'access_token') })).body, 'user', 'id'), 7)
  t.match(await exchange(form), { status: 200, body: { error: 'bad_verification_code' } }, 'once')
})

t.test('every refusal of the code exchange is a 200 with an error', async t => {
  const redirectUri = 'https://app.example.com/callback'
  const codeVerifier = 'v'.repeat(43)
  const rows: Array<[Parameters<typeof idp.github.authorizationCode>[1], Record<string, string>, string]> = [
    [{}, { code: 'junk' }, 'bad_verification_code'],
    [{ expiresIn: 0 }, {}, 'bad_verification_code'],
    [{ clientId: 'Iv1.other' }, {}, 'bad_verification_code'],
    [{ codeVerifier }, {}, 'bad_verification_code'],
    [{ codeVerifier }, { code_verifier: 'w'.repeat(43) }, 'bad_verification_code'],
    [{ redirectUri }, { redirect_uri: 'https://attacker.example' }, 'redirect_uri_mismatch'],
    [{}, { client_secret: 'wrong' }, 'incorrect_client_credentials'],
    [{}, { client_id: 'wrong' }, 'incorrect_client_credentials']
  ]
  for (const [options, form, error] of rows) {
    t.match(
      await exchange({ code: idp.github.authorizationCode({}, options), ...form }),
      { status: 200, body: { error, error_description: String } },
      JSON.stringify(form)
    )
  }
})

t.test('the code exchange speaks JSON when asked, and form encoding otherwise', async t => {
  const answer = await fetch(endpoints.token, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ client_id: clientId, client_secret: clientSecret, code: idp.github.authorizationCode() })
  })
  t.match(answer.headers.get('content-type'), 'application/x-www-form-urlencoded')
  t.match(new URLSearchParams(await answer.text()).get('access_token'), /^gho_/)
})
