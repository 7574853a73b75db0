import { mock } from 'node:test'
import t from 'tap'
import { userOf } from '../../src/index.js'
import type { LookupContext } from '../../src/permissions/lookup.js'
import { memoryStore } from '../../src/sessions/stores/index.js'
import { issuer, ownProvider, startApp } from '../server.js'
import {
  answerIn, appUri, authorizationServer, authorizePath, clients, codeOf, openBrowser, pkce, redeem, redirectProvider,
  stateOf, webUri
} from './authorization-server.js'
import { decodeClaims } from './login-server.js'

const invalid = { statusCode: 400, code: 'AUTH_ERR_REQUEST_INVALID' }

t.test('RFC 6749, 4.1: a browser brings back a code, and the client redeems it for tokens', async t => {
  const seen: LookupContext[] = []
  const { app } = await authorizationServer(t, {
    permissions: (identity, context) => {
      seen.push(context)
      return { permissions: [String(identity.clientId)] }
    }
  })
  const browser = openBrowser(app)
  const { verifier, challenge } = pkce()
  const begun = await browser.visit(authorizePath({ code_challenge: challenge }))
  t.equal(begun.statusCode, 302)
  t.match(begun.headers, { 'cache-control': 'no-store', 'referrer-policy': 'no-referrer' })
  t.match(
    begun.headers['set-cookie'],
    /^__Secure-login-[\w-]+=[\w.-]+; Max-Age=600; Path=\/callback; HttpOnly; SameSite=Lax; Secure$/
  )
  const { origin, searchParams } = new URL(begun.headers.location ?? '')
  t.equal(origin, 'https://own.example')
  t.equal(searchParams.get('redirect_uri'), `${issuer}/callback/own`)
  const ended = await browser.visit(`/callback/own?code=good&state=${searchParams.get('state')}`)
  t.equal(ended.statusCode, 303)
  t.match(ended.headers, {
    'cache-control': 'no-store',
    'referrer-policy': 'no-referrer',
    'content-security-policy': /frame-ancestors 'none'/
  })
  t.equal(browser.jar.size, 0, 'the cookie of the login has ended with it')
  const { code = '', ...rest } = answerIn(ended)
  t.ok(ended.headers.location?.startsWith(`${webUri}?code=`))
  t.same(rest, { state: 'a state', iss: issuer })
  t.ok(code.length >= 43 && code.length <= 128)
  t.same(seen, [], 'nobody is looked up before the code is redeemed')
  const answer = await redeem(app, code, { code_verifier: verifier })
  t.equal(answer.statusCode, 200)
  t.equal(answer.headers['cache-control'], 'no-store')
  const { access_token: token, refresh_token: refreshToken, user } = answer.json()
  t.match(seen, [{ reason: 'login', request: { url: '/token' } }])
  t.match(user, { userId: 'own:10158', permissions: ['at-the-provider'] })
  t.match(decodeClaims(token), { client_id: 'web', idp: 'own', sub: 'own:10158' })
  const again = await redeemRefresh(app, refreshToken)
  t.equal(decodeClaims(again.json().access_token).client_id, 'web', 'a refresh is for the same client')
})

function redeemRefresh (app: Parameters<typeof redeem>[0], refreshToken: string) {
  return app.inject({
    method: 'POST',
    url: '/token',
    payload: { grant_type: 'refresh_token', refresh_token: refreshToken }
  })
}

t.test('RFC 9700, 4.1: an unknown client or redirect URI is answered, and sent nowhere', async t => {
  const { app } = await authorizationServer(t)
  const uris = [
    `${webUri}/`, `${webUri}?x=1`, `${webUri}#x`, `${webUri}\n`, ` ${webUri}`, `${webUri}/..`, `${webUri}%2f`,
    webUri.toUpperCase(), webUri.replace('https', 'http'), webUri.replace('//', '/'), webUri.replace('https:', ''),
    'https://www.example.com', 'https://www.example.com:443/callback', 'https://www.example.com/./callback',
    'https://evil@www.example.com/callback', 'https://www.example.com.evil.example/callback',
    'https://www.example.com\\callback', 'javascript:alert(1)', appUri, ''
  ]
  const appUris = [
    'http://127.0.0.1:0/callback', 'http://127.0.0.1:65536/callback', 'http://127.0.0.1:80@evil.example/callback',
    'http://127.0.0.1.evil.example/callback', 'http://localhost:8080/callback', 'http://127.1:80/callback',
    'http://127.0.0.1:8080/callback/', 'http://127.0.0.1:8080', 'http://127.0.0.1:08/callback',
    'https://127.0.0.1:8080/callback', 'com.example.app:/callback/', 'com.example.app://callback',
    'com.example.app2:/callback'
  ]
  const paths = [
    ...uris.map(uri => authorizePath({ redirect_uri: uri })),
    ...appUris.map(uri => authorizePath({ redirect_uri: uri, client_id: 'app' })),
    authorizePath({ client_id: 'nobody' }),
    authorizePath({ client_id: undefined }),
    authorizePath({ redirect_uri: undefined }),
    authorizePath({ client_id: '__proto__' }),
    `${authorizePath()}&client_id=web`,
    `${authorizePath()}&redirect_uri=${encodeURIComponent(webUri)}`
  ]
  for (const path of paths) {
    const answer = await app.inject(path)
    t.match(answer.json(), invalid, path)
    t.notOk(answer.headers.location, path)
  }
})

t.test('RFC 8252, 7.3: a program listens on whatever port of the loopback is free', async t => {
  const { app } = await authorizationServer(t)
  const uris = ['http://127.0.0.1:51004/callback', 'http://[::1]:8080/callback', 'http://127.0.0.1/callback']
  for (const redirectUri of uris) {
    const browser = openBrowser(app)
    const code = await codeOf(browser, { client_id: 'app', redirect_uri: redirectUri })
    const answer = await redeem(app, code, { client_id: 'app', redirect_uri: redirectUri })
    t.equal(answer.statusCode, 200, redirectUri)
  }
})

t.test('RFC 6749, 4.1.2.1: what else is wrong goes to the redirect URI, in words of the protocol', async t => {
  const { app } = await authorizationServer(t, {
    providers: { own: redirectProvider, other: redirectProvider, without: ownProvider() }
  })
  const named = { provider: 'own' }
  const rows: Array<[string, string, string?]> = [
    ['unsupported_response_type', authorizePath({ ...named, response_type: 'token' })],
    ['unsupported_response_type', authorizePath({ ...named, response_type: 'code id_token' })],
    ['invalid_request', authorizePath({ ...named, response_type: undefined })],
    ['invalid_request', authorizePath({ ...named, code_challenge: undefined, code_challenge_method: undefined })],
    ['invalid_request', authorizePath({ ...named, code_challenge_method: undefined })],
    ['invalid_request', authorizePath({ ...named, code_challenge_method: 'plain' })],
    ['invalid_request', authorizePath({ ...named, code_challenge: 'x'.repeat(42) })],
    ['invalid_request', authorizePath({ ...named, code_challenge: 'x'.repeat(43) })],
    ['invalid_request', authorizePath({ ...named, code_challenge: `${pkce().challenge}=` })],
    ['invalid_request', authorizePath({ provider: undefined })],
    ['invalid_request', authorizePath({ provider: 'nobody' })],
    ['invalid_request', authorizePath({ provider: 'without' })],
    ['invalid_request', authorizePath({ ...named, login_hint: 'x'.repeat(256) })],
    ['invalid_request', authorizePath({ ...named, prompt: 'create' })],
    ['invalid_request', authorizePath({ ...named, prompt: 'none login' })],
    ['invalid_request', authorizePath({ ...named, max_age: '-1' })],
    ['invalid_request', authorizePath({ ...named, max_age: '1e3' })],
    ...['response_type', 'code_challenge', 'code_challenge_method', 'provider', 'login_hint', 'prompt', 'max_age'].map(
      (name): [string, string] => ['invalid_request', `${authorizePath(named)}&${name}=login&${name}=login`]
    )
  ]
  for (const [error, path] of rows) {
    const answer = await app.inject(path)
    t.equal(answer.statusCode, 303, path)
    t.ok(answer.headers.location?.startsWith(`${webUri}?`), path)
    t.match(answerIn(answer), { error, error_description: /^[ !#-[\]-~]+$/, state: 'a state', iss: issuer }, path)
    t.notOk(answer.headers['set-cookie'], path)
  }
  for (const path of [
    authorizePath({ ...named, state: 'x'.repeat(1025) }),
    authorizePath({ ...named, state: 'ü' }),
    authorizePath({ ...named, state: 'a\nb' }),
    `${authorizePath(named)}&state=another`
  ]) {
    const { state, error } = answerIn(await app.inject(path))
    t.same({ state, error }, { state: undefined, error: 'invalid_request' }, `${path}: the state is not repeated`)
  }
})

t.test('state comes back as it was; hints are passed on; what is not known is ignored', async t => {
  const { app } = await authorizationServer(t)
  const states = ['x'.repeat(1024), ' a&b=c#d"\\<script>%00', undefined, '']
  for (const state of states) {
    const browser = openBrowser(app)
    const begun = await browser.visit(`${authorizePath({ state })}&unknown=1&unknown=2`)
    const ended = await browser.visit(`/callback/own?code=good&state=${stateOf(begun)}`)
    t.equal(answerIn(ended).state, state === '' ? undefined : state)
  }
  const hints = { login_hint: 'somebody@example.com', prompt: 'login consent', max_age: '300' }
  const { searchParams } = new URL((await app.inject(authorizePath(hints))).headers.location ?? '')
  t.match(Object.fromEntries(searchParams), {
    loginHint: 'somebody@example.com',
    prompt: 'login consent',
    maxAge: '300'
  })
})

t.test('a redirect URI with a query of its own keeps it', async t => {
  const { app } = await authorizationServer(t)
  const browser = openBrowser(app)
  const begun = await browser.visit(authorizePath({ redirect_uri: 'https://www.example.com/other?from=login' }))
  const ended = await browser.visit(`/callback/own?code=good&state=${stateOf(begun)}`)
  t.match(answerIn(ended), { from: 'login', code: String, iss: issuer })
})

t.test('RFC 9700, 4.7: an answer that belongs to no login of this browser is 400, and goes nowhere', async t => {
  const { app } = await authorizationServer(t, { providers: { own: redirectProvider, other: redirectProvider } })
  const provider = 'own'
  const begin = async (browser = openBrowser(app)) =>
    ({ browser, state: stateOf(await browser.visit(authorizePath({ provider }))) })
  const victim = await begin()
  const attacker = await begin()
  const [name, { value }] = [...attacker.browser.jar][0] ?? ['', { value: '' }]
  const rows: Array<[string, string, string?]> = [
    ['no cookie', `/callback/own?code=good&state=${victim.state}`],
    ['no state', '/callback/own?code=good', `${name}=${value}`],
    ["another browser's login", `/callback/own?code=good&state=${victim.state}`, `${name}=${value}`],
    ['two states', `/callback/own?code=good&state=${attacker.state}&state=${attacker.state}`, `${name}=${value}`],
    ['a cookie that was changed', `/callback/own?code=good&state=${attacker.state}`, `${name}=${value.slice(0, -2)}AA`],
    ['a cookie twice', `/callback/own?code=good&state=${attacker.state}`, `${name}=${value}; ${name}=${value}`],
    ['another provider (mix-up)', `/callback/other?code=good&state=${attacker.state}`, `${name}=${value}`],
    ['an error of nobody', '/callback/own?error=access_denied&state=x'],
    ['a state that rides, and none of ours', '/callback/own?code=good&state=x.y'],
    ['a form that nobody sealed', '/callback/own?answer=x']
  ]
  for (const [what, url, cookie] of rows) {
    const answer = await app.inject({ url, headers: { ...(cookie !== undefined && { cookie }) } })
    t.match(answer.json(), invalid, what)
    t.notOk(answer.headers.location, what)
  }
  const stranger = await app.inject('/callback/nobody?code=good&state=x')
  t.match(stranger.json(), { statusCode: 404, code: 'AUTH_ERR_PROVIDER_UNKNOWN' })
  const ended = await attacker.browser.visit(`/callback/own?code=good&state=${attacker.state}`)
  t.ok(answerIn(ended).code, 'none of this has ended the login')
  mock.timers.enable({ apis: ['Date'], now: Date.now() + 601_000 })
  const late = await victim.browser.visit(`/callback/own?code=good&state=${victim.state}`)
  mock.timers.reset()
  t.match(late.json(), invalid, 'ten minutes later')
})

t.test('tabs do not disturb each other, and of more than eight logins the oldest goes', async t => {
  const { app } = await authorizationServer(t)
  const browser = openBrowser(app)
  const states: string[] = []
  mock.timers.enable({ apis: ['Date'], now: Date.now() })
  for (let tab = 0; tab < 9; tab++) {
    mock.timers.tick(1)
    states.push(stateOf(await browser.visit(authorizePath({ state: `tab ${tab}` }))))
  }
  mock.timers.reset()
  const back = async (tab: number) => await browser.visit(`/callback/own?code=good&state=${states[tab]}`)
  t.equal(answerIn(await back(8)).state, 'tab 8')
  t.match((await back(0)).json(), invalid, 'the oldest')
  for (const tab of [1, 5, 2, 7]) t.equal(answerIn(await back(tab)).state, `tab ${tab}`)
  t.match((await back(5)).json(), invalid, 'a login comes back once')
})

t.test("RFC 8252: an app's browser may have lost its cookie, a web page's may not", async t => {
  const { app } = await authorizationServer(t)
  for (const redirectUri of [appUri, 'http://127.0.0.1:51004/callback']) {
    const begun = await app.inject(authorizePath({ client_id: 'app', redirect_uri: redirectUri }))
    const state = stateOf(begun)
    t.notMatch(state, /com\.example|51004/, 'the state tells nobody where it goes')
    const ended = await app.inject(`/callback/own?code=good&state=${state}`)
    const { code = '' } = answerIn(ended)
    t.ok(ended.headers.location?.startsWith(redirectUri), redirectUri)
    t.equal((await redeem(app, code, { client_id: 'app', redirect_uri: redirectUri })).statusCode, 200)
  }
  const begun = await app.inject(authorizePath({ client_id: 'app', redirect_uri: appUri }))
  const [name = ''] = String(begun.headers['set-cookie']).split('=')
  const url = `/callback/own?code=good&state=${stateOf(begun)}`
  const junk = await app.inject({ url, headers: { cookie: `${name}=junk` } })
  t.ok(answerIn(junk).code, 'nor does one that another page has planted there')
  // What rode in a state is not taken for a cookie's flow either.
  const web = await app.inject(authorizePath())
  const [sealed = ''] = /(?<==)[^;]+/.exec(String(web.headers['set-cookie'])) ?? []
  const answer = await app.inject(`/callback/own?code=good&state=${stateOf(web)}.${sealed}`)
  t.match(answer.json(), invalid)
})

t.test('what the provider, the user or a check says comes back as a word, and no text of theirs', async t => {
  const { app, log } = await authorizationServer(t)
  for (const [query, error] of [
    ['error=access_denied&error_description=canary', 'access_denied'],
    ['error=user_cancelled_authorize', 'access_denied'],
    ['error=%3Cscript%3E', 'access_denied'],
    ['error=login_required', 'login_required'],
    ['error=consent_required', 'consent_required'],
    ['error=interaction_required', 'interaction_required'],
    ['error=temporarily_unavailable', 'temporarily_unavailable'],
    ['error=server_error', 'temporarily_unavailable'],
    ['error=invalid_scope', 'server_error'],
    ['code=refused', 'access_denied'],
    ['code=down', 'temporarily_unavailable'],
    ['code=good&code=good', 'access_denied'],
    ['', 'access_denied']
  ] as const) {
    const browser = openBrowser(app)
    const begun = await browser.visit(authorizePath())
    const ended = await browser.visit(`/callback/own?state=${stateOf(begun)}&${query}`)
    t.equal(ended.statusCode, 303, query)
    const { error_description: description, ...rest } = answerIn(ended)
    t.same(rest, { error, state: 'a state', iss: issuer }, query)
    t.match(description, /^[ !#-[\]-~]+$/, query)
    t.notMatch(ended.headers.location, /canary|<script|%3Cscript|cancelled/, query)
  }
  t.notMatch(log(), 'canary')
})

t.test('no code, state or verifier stands in a log line', async t => {
  const { app, log } = await authorizationServer(t)
  const browser = openBrowser(app)
  const begun = await browser.visit(authorizePath({ state: 'canary-of-the-client' }))
  const ended = await browser.visit(`/callback/own?code=good&state=${stateOf(begun)}`)
  const { code = '' } = answerIn(ended)
  const answer = await redeem(app, code)
  const { access_token: token } = answer.json()
  for (const canary of ['canary-of-the-client', stateOf(begun), 'code=good', code, 'v'.repeat(43), token]) {
    t.notOk(log().includes(canary), canary.slice(0, 8))
  }
})

t.test('RFC 6749, 4.1.3: wrong once is nothing spent; right once is all', async t => {
  const { app } = await authorizationServer(t)
  const code = await codeOf(openBrowser(app))
  const rows: Array<[string, Record<string, string | undefined>, string]> = [
    ['another verifier', { code_verifier: 'w'.repeat(43) }, 'invalid_grant'],
    ['another client', { client_id: 'app' }, 'invalid_grant'],
    ['another redirect URI', { redirect_uri: 'https://www.example.com/other?from=login' }, 'invalid_grant'],
    ['another code', { code: `${code.slice(0, -1)}${code.endsWith('A') ? 'B' : 'A'}` }, 'invalid_grant'],
    ['no code of ours', { code: 'x' }, 'invalid_grant'],
    ['an unknown client', { client_id: 'nobody' }, 'invalid_client'],
    ['no verifier', { code_verifier: undefined }, 'invalid_request'],
    ['no client', { client_id: undefined }, 'invalid_request'],
    ['no redirect URI', { redirect_uri: undefined }, 'invalid_request'],
    ['no code', { code: undefined }, 'invalid_request']
  ]
  for (const [what, changes, error] of rows) {
    const answer = await redeem(app, code, changes)
    t.equal(answer.statusCode, 400, what)
    t.match(answer.json(), { error, error_description: String, code: /^AUTH_ERR_/ }, what)
  }
  t.equal((await redeem(app, code)).statusCode, 200)
  const late = await codeOf(openBrowser(app))
  mock.timers.enable({ apis: ['Date'], now: Date.now() + 61_000 })
  const answer = await redeem(app, late)
  mock.timers.reset()
  t.match(answer.json(), { error: 'invalid_grant', code: 'AUTH_ERR_GRANT_REJECTED' }, 'after 60 seconds')
})

t.test('RFC 6749, 4.1.2: a code that comes again ends the session that it began', async t => {
  const { app } = await authorizationServer(t)
  const code = await codeOf(openBrowser(app))
  const { access_token: token, refresh_token: refreshToken } = (await redeem(app, code)).json()
  t.match((await redeem(app, code, { code_verifier: 'w'.repeat(43) })).json(), { error: 'invalid_grant' })
  t.equal(await call(app, token), 200, 'not by somebody who cannot redeem it')
  t.match((await redeem(app, code)).json(), { error: 'invalid_grant', code: 'AUTH_ERR_GRANT_REJECTED' })
  t.equal(await call(app, token), 401)
  t.match((await redeemRefresh(app, refreshToken)).json(), { error: 'invalid_grant', code: 'AUTH_ERR_SESSION_REVOKED' })
})

async function call (app: Parameters<typeof redeem>[0], token: string): Promise<number> {
  return (await app.inject({ url: '/me', headers: { authorization: `Bearer ${token}` } })).statusCode
}

t.test('however close they come, two uses leave no session', async t => {
  const store = memoryStore()
  const [one, other] = [
    await authorizationServer(t, { sessions: { store } }), await authorizationServer(t, { sessions: { store } })
  ]
  for (let round = 0; round < 20; round++) {
    const code = await codeOf(openBrowser(one.app))
    const answers = await Promise.all([redeem(one.app, code), redeem(other.app, code), redeem(one.app, code)])
    const tokens = answers.filter(({ statusCode }) => statusCode === 200).map(answer => answer.json())
    t.ok(tokens.length <= 1, 'one at most')
    for (const { refresh_token: refreshToken } of tokens) {
      t.match((await redeemRefresh(one.app, refreshToken)).json(), { error: 'invalid_grant' })
    }
  }
})

t.test('an outage spends no code', async t => {
  let answers: 'down' | 'up' = 'down'
  const store = memoryStore()
  let isStoreDown = false
  const failing = {
    ...store,
    create: async (...given: Parameters<typeof store.create>) => {
      if (isStoreDown) throw new Error('down')
      await store.create(...given)
    },
    keep: async (...given: Parameters<typeof store.keep>) => {
      if (isStoreDown) throw new Error('down')
      await store.keep(...given)
    }
  }
  const { app } = await authorizationServer(t, {
    sessions: { store: failing },
    permissions: () => {
      if (answers === 'down') throw new Error('down')
      return {}
    }
  })
  const code = await codeOf(openBrowser(app))
  t.match((await redeem(app, code)).json(), { error: 'temporarily_unavailable', code: 'AUTH_ERR_LOOKUP_FAILED' })
  answers = 'up'
  isStoreDown = true
  t.match((await redeem(app, code)).json(), { error: 'temporarily_unavailable', code: 'AUTH_ERR_STORE_UNAVAILABLE' })
  isStoreDown = false
  t.equal((await redeem(app, code)).statusCode, 200)
})

t.test('a denied user and a banned one are invalid_grant', async t => {
  let isDenied = true
  const { app } = await authorizationServer(t, { permissions: () => isDenied ? null : {} })
  const denied = await redeem(app, await codeOf(openBrowser(app)))
  t.match(denied.json(), { error: 'invalid_grant', code: 'AUTH_ERR_ACCESS_DENIED' })
  isDenied = false
  const code = await codeOf(openBrowser(app))
  await app.tokenExchange.revokeUser('own:10158')
  t.match((await redeem(app, code)).json(), { error: 'invalid_grant', code: 'AUTH_ERR_ACCESS_DENIED' })
})

t.test("a code waits with the provider's tokens, on every server of the store", async t => {
  const store = memoryStore()
  const kept: string[] = []
  const watched = {
    ...store,
    keep: async (...given: Parameters<typeof store.keep>) => {
      kept.push(given.join(' '))
      await store.keep(...given)
    }
  }
  const seen: unknown[] = []
  const provider = {
    ...redirectProvider,
    redeem: async () => ({ subject: 'canary-subject', providerTokens: { refreshToken: 'canary-token' } })
  }
  const options = {
    providers: { own: provider },
    sessions: { store: watched },
    permissions: (_identity: unknown, { providerTokens }: LookupContext) => {
      seen.push(providerTokens)
      return {}
    }
  }
  const [one, other] = [await authorizationServer(t, options), await authorizationServer(t, options)]
  const code = await codeOf(openBrowser(one.app))
  t.equal((await redeem(other.app, code)).statusCode, 200)
  t.same(seen, [{ refreshToken: 'canary-token' }])
  t.ok(kept.length > 0)
  t.notMatch(kept.join(' '), /canary/, 'what waits in the store is sealed')
})

t.test("without sessions a code waits in this server's memory", async t => {
  const app = await startApp(t, { providers: { own: redirectProvider }, clients })
  const code = await codeOf(openBrowser(app))
  const answer = await redeem(app, code)
  t.equal(answer.statusCode, 200)
  t.notOk(answer.json().refresh_token)
  t.match((await redeem(app, code)).json(), { error: 'invalid_grant' })
})

t.test('a server that knows the client no longer sends nobody there', async t => {
  const [one, other] = [
    await authorizationServer(t), await authorizationServer(t, { clients: { app: clients.app } })
  ]
  const browser = openBrowser(one.app)
  const begun = await browser.visit(authorizePath())
  const [name, { value }] = [...browser.jar][0] ?? ['', { value: '' }]
  const answer = await other.app.inject({
    url: `/callback/own?code=good&state=${stateOf(begun)}`,
    headers: { cookie: `${name}=${value}` }
  })
  t.match(answer.json(), invalid)
})

t.test('RFC 8414 and 9728: clients find everything from the metadata', async t => {
  const base = `${issuer}/v1`
  const app = await startApp(t, { issuer: base, prefix: '/auth', providers: { own: redirectProvider }, clients })
  app.get('/me', { onRequest: app.requireUser() }, () => 'me')
  app.get('/recent', { onRequest: app.requireLevel('admin') }, () => 'admin')
  app.get('/mine', { onRequest: app.requireLevel('everyone') }, request => userOf(request).id)
  t.match((await app.inject('/.well-known/oauth-authorization-server/v1')).json(), {
    issuer: base,
    authorization_endpoint: `${base}/auth/authorize`,
    token_endpoint: `${base}/auth/token`,
    response_types_supported: ['code'],
    code_challenge_methods_supported: ['S256'],
    authorization_response_iss_parameter_supported: true,
    grant_types_supported: ['authorization_code', 'urn:ietf:params:oauth:grant-type:token-exchange']
  })
  const resource = await app.inject('/.well-known/oauth-protected-resource/v1')
  t.match(resource.json(), { resource: base, authorization_servers: [base] })
  const metadata = `resource_metadata="${issuer}/.well-known/oauth-protected-resource/v1"`
  const challengeTo = async (headers: Record<string, string>, url = '/me') =>
    (await app.inject({ url, headers })).headers['www-authenticate']
  t.equal(await challengeTo({}), `Bearer ${metadata}`)
  t.equal(await challengeTo({ authorization: 'Bearer x' }), `Bearer error="invalid_token", ${metadata}`)
  const { access_token: token } = app.tokenExchange.issue({ userId: 'x' })
  t.equal(
    await challengeTo({ authorization: `Bearer ${token}` }, '/recent'), `Bearer error="insufficient_scope", ${metadata}`
  )
  t.equal(await challengeTo({}, '/mine'), `Bearer ${metadata}`, 'of a handler, too')
  const refused = await app.inject({ method: 'POST', url: '/auth/login/own', payload: { access_token: 'bad' } })
  t.equal(refused.headers['www-authenticate'], `Bearer ${metadata}`)
  const begun = await app.inject(`/auth${authorizePath()}`)
  t.match(begun.headers['set-cookie'], /; Path=\/v1\/auth\/callback;/)
  t.equal(new URL(begun.headers.location ?? '').searchParams.get('redirect_uri'), `${base}/auth/callback/own`)
  const without = await startApp(t, { providers: { own: ownProvider() } })
  t.equal((await without.inject('/.well-known/oauth-protected-resource')).statusCode, 404)
  t.equal((await without.inject(authorizePath())).statusCode, 404)
})

t.test('with the Azure dialect these routes keep their own forms', async t => {
  const { app } = await authorizationServer(t, { azureMobileServices: true })
  const answer = await app.inject(authorizePath({ client_id: 'nobody' }))
  t.match(answer.json(), { ...invalid, error: 'Bad Request' })
  t.match((await app.inject('/callback/own?code=good&state=x')).json(), invalid)
  const code = await codeOf(openBrowser(app))
  t.equal((await redeem(app, code)).statusCode, 200)
})

t.test('what cannot work is refused at start', async t => {
  const own = { own: redirectProvider }
  const rows: Array<[string, object]> = [
    ['clients', { clients, providers: { own: ownProvider() } }],
    ['clients', { clients, providers: {} }],
    ['providers', { providers: own }],
    ['clients', { clients: { 'a b': clients.web }, providers: own }],
    ['clients.web.redirectUris', { clients: { web: {} }, providers: own }],
    ...[
      'http://www.example.com/callback', 'http://localhost/callback', 'http://127.0.0.1:8080/callback',
      'http://127.0.0.1', 'https://www.example.com/ x', '',
      'https://www.example.com/#x', 'https://*.example.com/', 'https://user@www.example.com/', 'myapp:/callback',
      'javascript:alert(1)', '/callback', 'https://www.example.com/?state=x'
    ].map((uri): [string, object] =>
      ['clients.web.redirectUris[0]', { clients: { web: { redirectUris: [uri] } }, providers: own }])
  ]
  for (const [name, options] of rows) {
    await t.rejects(
      startApp(t, options),
      { code: 'AUTH_ERR_OPTION_INVALID', message: new RegExp(name.replace(/[[\]]/g, '\\$&')) },
      JSON.stringify(options)
    )
  }
  const { keep, take, ...older } = memoryStore()
  const store: object = older
  await t.rejects(
    Reflect.apply(startApp, undefined, [t, { clients, providers: own, sessions: { store } }]),
    { code: 'AUTH_ERR_OPTION_INVALID', message: /keep and take/ }
  )
})
