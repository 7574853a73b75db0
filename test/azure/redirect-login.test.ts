import { createHash, randomBytes } from 'node:crypto'
import { mock } from 'node:test'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import type { AuthorizationAnswer, AuthorizationRequest } from '../../src/identity.js'
import type { TokenExchangeOptions } from '../../src/plugin-options.js'
import { facebook } from '../../src/providers/facebook.js'
import { github } from '../../src/providers/github.js'
import { google } from '../../src/providers/google.js'
import { oidc } from '../../src/providers/oidc.js'
import { startIdentityServer } from '../../src/testing/index.js'
import { fastifyBefore, issuer, ownProvider, secret } from '../server.js'
import { fragment, openBrowser } from './browser.js'
import { dialectServer } from './server.js'

const idp = await startIdentityServer()
t.teardown(() => idp.close())

const origin = 'https://www.example.com'
const custom = 'myapp://easyauth.callback'
const settings = {
  completionOrigins: [origin],
  redirectUris: [custom, `${origin}/welcome?from=login`],
  paths: ['/', '/inside', '/app/*']
}

function providers () {
  return {
    facebook: facebook({ ...idp.facebook.options, redirect: {} }),
    google: google({ ...idp.google.options, redirect: { clientSecret: idp.google.clientSecret } }),
    github: github({ ...idp.github.options, redirect: {} }),
    oidc: oidc({ ...idp.oidc.options, redirect: {} }),
    confidential: oidc({
      ...idp.oidc.options,
      redirect: { clientSecret: idp.oidc.clientSecret, clientId: 'test-web' }
    }),
    own: ownProvider(undefined, { authorizationUrl, redeem }),
    without: ownProvider()
  }
}

const redeemed: AuthorizationAnswer[] = []
const authorizationUrl = ({ state, redirectUri }: AuthorizationRequest) =>
  `https://own.example/authorize?${new URLSearchParams({ state, redirect_uri: redirectUri })}`
const redeem = async (answer: AuthorizationAnswer) => {
  redeemed.push(answer)
  if (answer.code !== 'good') throw Object.assign(new Error('no'), { code: 'AUTH_ERR_GRANT_REJECTED' })
  return { subject: '1' }
}

function server (options: Partial<TokenExchangeOptions> = {}, more: Parameters<typeof dialectServer>[1] = {}) {
  return dialectServer({ providers: providers(), azureMobileServices: settings, ...options }, more)
}

async function started (path = '/login/own', options: Partial<TokenExchangeOptions> = {}) {
  const { app, log, token } = await server(options)
  const browser = openBrowser(app)
  const begun = await browser.visit(path)
  return { app, log, token, browser, begun, state: new URL(begun.location).searchParams.get('state') ?? '' }
}

const withRouterOptions = { skip: fastifyBefore('5.5.0', 'routerOptions') }

t.test('a browser is sent to the provider and comes back with a token', async t => {
  const { app } = await server()
  for (const [name, userId, nonce] of [
    ['facebook', '10158000000000001', false],
    ['google', '110169484474386276334', true],
    ['github', '583231', false],
    ['oidc', 'user-1', true],
    ['confidential', 'user-1', true]
  ] as const) {
    for (const [start, callback, done] of [
      [`/login/${name}`, `/login/${name}`, '/login/done'],
      [`/.auth/login/${name}`, `/.auth/login/${name}/callback`, '/.auth/login/done'],
      [`/login/${name.toUpperCase()}/`, `/login/${name}`, '/login/done']
    ] as const) {
      const browser = openBrowser(app)
      const begun = await browser.visit(`${start}?session_mode=token&evil=passed-on`, { host: 'evil.example' })
      t.equal(begun.status, 302, start)
      t.equal(begun.headers['cache-control'], 'no-store', start)
      const { searchParams } = new URL(begun.location)
      t.equal(searchParams.get('redirect_uri'), `${issuer}${callback}`, start)
      t.equal(searchParams.get('response_type'), 'code', start)
      t.equal(searchParams.get('code_challenge_method'), 'S256', start)
      t.match(searchParams.get('code_challenge'), /^[\w-]{43}$/, start)
      t.match(searchParams.get('state'), /^[\w-]{43}$/, start)
      t.equal(searchParams.has('nonce'), nonce, start)
      t.notMatch(begun.location, 'passed-on', start)
      t.match(begun.cookies, [/^__Host-login=[\w.-]+; Max-Age=600; Path=\/; HttpOnly; SameSite=Lax; Secure$/], start)
      const ended = await browser.visit(await browser.authorize(begun.location))
      t.equal(ended.status, 302, start)
      t.ok(ended.location.startsWith(`${issuer}${done}#token=`), ended.location)
      t.match(ended.cookies, [/^__Host-login=; Max-Age=0/], start)
      const answer = JSON.parse(fragment(ended.location, 'token'))
      t.equal(answer.user.userId, `${name}:${userId}`, start)
      const me = await app.inject({ url: '/api/authenticated', headers: { 'x-zumo-auth': answer.authenticationToken } })
      t.equal(me.statusCode, 200, start)
    }
  }
})

t.test('the pages where it ends are empty, and keep nothing', async t => {
  const { app } = await server()
  for (const url of ['/login/done', '/login/done/', '/.auth/login/done']) {
    const answer = await app.inject(url)
    t.equal(answer.statusCode, 200, url)
    t.match(
      answer.headers,
      { 'cache-control': 'no-store', 'content-type': /^text\/html/, 'referrer-policy': 'no-referrer' },
      url
    )
  }
})

t.test('what cannot be begun is 401, and no redirect', async t => {
  const { app } = await server()
  const challenge = createHash('sha256').update('v').digest('base64url')
  const rows = [
    '/login/nobody',
    '/login/without',
    '/.auth/login/without/callback',
    '/login/own?completion_type=iframe',
    '/login/own?session_mode=cookie',
    '/login/own?completion_type=postMessage',
    '/login/own?completion_type=postMessage&completion_origin=https://evil.example',
    '/login/own?completion_type=postMessage&completion_origin=null',
    `/login/own?completion_type=postMessage&completion_origin=${origin}.evil.example`,
    '/login/own?post_login_redirect_uri=https://evil.example/',
    '/login/own?post_login_redirect_uri=//evil.example',
    '/login/own?post_login_redirect_uri=/\\evil.example',
    '/login/own?post_login_redirect_uri=/%09/evil.example',
    '/login/own?post_login_redirect_uri=javascript:alert(1)',
    `/login/own?post_login_redirect_uri=${custom}/more`,
    `/login/own?post_login_redirect_uri=${origin}/welcome`,
    '/login/own?post_login_redirect_uri=/x%23y',
    '/login/own?post_login_redirect_uri=',
    `/login/own?code_challenge=${challenge}&code_challenge_method=S256`,
    `/login/own?post_login_redirect_uri=/&code_challenge=${challenge}`,
    `/login/own?post_login_redirect_uri=/&code_challenge=${challenge}&code_challenge_method=plain`,
    '/login/own?post_login_redirect_uri=/&code_challenge=short&code_challenge_method=S256',
    '/login/own?session_mode=token&session_mode=token',
    '/login/own?post_login_redirect_uri=/&post_login_redirect_url=/'
  ]
  for (const url of rows) {
    const answer = await app.inject({ url, headers: { host: 'evil.example' } })
    t.equal(answer.statusCode, 401, url)
    t.match(answer.json(), { code: 401, error: /^Error: / }, url)
    t.equal(answer.headers.location, undefined, url)
    t.equal(answer.headers['set-cookie'], undefined, url)
    t.equal(answer.headers['cross-origin-opener-policy'], 'unsafe-none', url)
  }
  t.match(
    (await app.inject('/login/own?completion_type=postMessage&completion_origin=https://evil.example')).json().error,
    'Not a whitelisted origin: https://evil.example'
  )
})

t.test('the forms in which a login ends, well and badly', async t => {
  const { app } = await server()
  for (const [query, uri] of [
    [`post_login_redirect_uri=${custom}`, custom],
    [`post_login_redirect_url=${encodeURIComponent(`${origin}/welcome?from=login`)}`, `${origin}/welcome?from=login`],
    ['post_login_redirect_uri=/inside?a=b', '/inside?a=b']
  ]) {
    const browser = openBrowser(app)
    const good = await browser.login(`/.auth/login/facebook?${query}`)
    t.ok(good.location.startsWith(`${uri}#token=`), good.location.slice(0, 80))
    t.equal(JSON.parse(fragment(good.location, 'token')).user.provider, 'facebook')
    idp.facebook.page.refuse()
    const bad = await browser.login(`/.auth/login/facebook?${query}`)
    idp.facebook.page.refuse(false)
    t.ok(bad.location.startsWith(`${uri}#error=`), bad.location)
    t.match(fragment(bad.location, 'error'), 'access_denied')
  }
})

t.test('paths of this server are those of `paths`: what redirects on would carry the token along', async t => {
  const { app } = await server()
  const begin = (uri: string) => app.inject(`/login/own?${new URLSearchParams({ post_login_redirect_uri: uri })}`)
  for (const uri of [
    '/out?url=https://evil.example',
    '/INSIDE',
    '/inside/',
    '/inside/more',
    '/insid%65',
    '/app',
    '/apps/page',
    '/app/../out',
    '/app/%2e%2e/out',
    '/app/.%2E/out',
    '/app/..%2fout',
    '/app/%2Fpage',
    '/app/..%5cout',
    '/app/%5Cpage',
    '/app\\..\\out',
    '/app/page?\\',
    '/app//page',
    '/app/..//evil.example',
    '//evil.example/inside',
    '//inside',
    '/./inside/../../out',
    '/app/pa\tge',
    '/app/page\n',
    '/app/page#fragment',
    '/app/\u00e9',
    'inside',
    '?url=/inside',
    `/app/${'x'.repeat(2000)}`
  ]) {
    const answer = await begin(uri)
    t.equal(answer.statusCode, 401, uri)
    t.match(answer.json(), { code: 401, errorCode: 'AUTH_ERR_REQUEST_INVALID' }, uri)
    t.equal(answer.headers['set-cookie'], undefined, uri)
  }
  for (const [uri, sent] of [
    ['/', '/'],
    ['/inside?url=https://a.example//b%2f', '/inside?url=https://a.example//b%2f'],
    ['/app/', '/app/'],
    ['/app/a/b.html', '/app/a/b.html'],
    ['/out/../app/./a', '/app/a'],
    ['/app/%2E%2e/inside', '/inside']
  ] as const) {
    const ended = await openBrowser(app).login(
      `/login/facebook?${new URLSearchParams({ post_login_redirect_uri: uri })}`
    )
    t.ok(ended.location.startsWith(`${sent}#token=`), `${uri}: ${ended.location.slice(0, 60)}`)
  }
})

t.test('a path that was taken from `paths` during a login is no longer one where it ends', async t => {
  const { app } = await server()
  const later = await server({ azureMobileServices: {} })
  const browser = openBrowser(app)
  const begun = await browser.visit('/login/facebook?post_login_redirect_uri=/app/page')
  const elsewhere = openBrowser(later.app)
  elsewhere.cookie = browser.cookie
  const ended = await elsewhere.visit(await browser.authorize(begun.location))
  t.ok(ended.location.startsWith(`${issuer}/login/done#error=`))
})

t.test('failures on the way back, in the form asked for', async t => {
  const rows: Array<[string, Partial<TokenExchangeOptions>, () => void, () => void]> = [
    ['the lookup says no', { permissions: () => null }, () => {}, () => {}],
    ['the lookup fails', { permissions: () => { throw new Error('db password') } }, () => {}, () => {}],
    ['the provider is down', {}, () => idp.facebook.outage('down'), () => idp.facebook.outage(false)],
    ['the provider says no', {}, () => idp.facebook.graphError(190), () => idp.facebook.graphError(false)]
  ]
  for (const [name, options, before, after] of rows) {
    const { app } = await server(options)
    const browser = openBrowser(app)
    const begun = await browser.visit(`/login/facebook?post_login_redirect_uri=${custom}`)
    const back = await browser.authorize(begun.location)
    before()
    const ended = await browser.visit(back)
    after()
    t.equal(ended.status, 302, name)
    t.ok(ended.location.startsWith(`${custom}#error=Error`), `${name}: ${ended.location}`)
    t.notMatch(decodeURIComponent(ended.location), /password|127\.0\.0\.1/, name)
    t.match(ended.cookies, [/Max-Age=0/], name)
  }
})

t.test('a code that was redeemed, and one of another app', async t => {
  const { app } = await server()
  const browser = openBrowser(app)
  const begun = await browser.visit('/login/github')
  const back = await browser.authorize(begun.location)
  const { cookie } = browser
  t.ok((await browser.visit(back)).location.includes('#token='))
  browser.cookie = cookie
  t.match(fragment((await browser.visit(back)).location, 'error'), /rejected/)
})

t.test('an answer without its browser ends at done, and nobody is called', async t => {
  const { app, browser, state } = await started()
  const { cookie } = browser
  const other = await started()
  const otherProvider = await started('/login/facebook')
  const v2 = await started('/.auth/login/own')
  const rows: Array<[string, string, string]> = [
    ['no cookie', '', state],
    ['a forged cookie', cookie.slice(0, -8) + 'AAAAAAAA', state],
    ['junk', '__Host-login=junk', state],
    ['two cookies', `${cookie}; ${other.browser.cookie}`, state],
    ["another browser's", other.browser.cookie, state],
    ["another provider's", otherProvider.browser.cookie, otherProvider.state],
    ['of the other generation of paths', v2.browser.cookie, v2.state],
    ['no state', cookie, ''],
    ['another state', cookie, 'x'.repeat(43)]
  ]
  redeemed.length = 0
  for (const [name, sent, given] of rows) {
    const ended = await app.inject({
      url: `/login/own?code=good${given === '' ? '' : `&state=${given}`}`,
      headers: sent === '' ? {} : { cookie: sent }
    })
    t.equal(ended.statusCode, 302, name)
    t.ok(ended.headers.location?.startsWith(`${issuer}/login/done#error=`), name)
    t.match(ended.headers['set-cookie'], /Max-Age=0/, name)
  }
  t.same(redeemed, [])
  const good = await app.inject({ url: `/login/own?code=good&state=${state}`, headers: { cookie } })
  t.ok(good.headers.location?.includes('#token='))
  t.match(redeemed, [{ code: 'good', redirectUri: `${issuer}/login/own`, codeVerifier: /^[\w-]{43}$/, nonce: String }])
})

t.test('a browser that takes more than ten minutes starts again', async t => {
  const { app, browser, state } = await started()
  const { cookie } = browser
  mock.timers.enable({ apis: ['Date'], now: Date.now() + 601_000 })
  const late = await app.inject({ url: `/login/own?code=good&state=${state}`, headers: { cookie } })
  mock.timers.reset()
  t.ok(late.headers.location?.startsWith(`${issuer}/login/done#error=`))
})

t.test("the provider's words: only those of the protocol are repeated", async t => {
  for (const [error, repeated] of [
    ['access_denied', true],
    ['<script>alert(1)</script>', false],
    ['x'.repeat(41), false],
    ['Access_Denied', false]
  ] as const) {
    const { browser, state } = await started(`/login/own?completion_type=postMessage&completion_origin=${origin}`)
    const ended = await browser.visit(
      `/login/own?${new URLSearchParams({ error, error_description: 'secret words', state })}`
    )
    t.equal(ended.status, 200)
    t.equal(ended.body.includes(error), repeated, error)
    t.notMatch(ended.body, 'secret words')
    t.match(ended.body, /"type\\":\\"LoginCompleted/)
  }
})

t.test('an issuer that another server names is refused before the code goes anywhere', async t => {
  const { app } = await server()
  const browser = openBrowser(app)
  const begun = await browser.visit('/login/oidc')
  const back = new URL(await browser.authorize(begun.location))
  back.searchParams.set('iss', 'https://evil.example')
  idp.calls.clear()
  const ended = await browser.visit(back.href)
  t.ok(ended.location.includes('#error='))
  t.equal(idp.calls.count('/oidc/token'), 0)
})

t.test('an ID token with another nonce is refused', async t => {
  const { app } = await server()
  const browser = openBrowser(app)
  idp.google.page.signIn({ nonce: 'another' })
  const ended = await browser.login('/login/google')
  idp.google.page.signIn({})
  t.match(fragment(ended.location, 'error'), /rejected/)
})

t.test('the completion page posts to one origin, and cannot be broken out of', async t => {
  const hostile = '</script><script>alert(1)</script><!--&\u2028\u2029\\"'
  const { app } = await server({ permissions: () => ({ permissions: [hostile] }) })
  app.addHook('onSend', (_request, reply, _payload, done) => {
    reply.header('content-security-policy', "default-src 'self'").header('cross-origin-opener-policy', 'same-origin')
    done()
  })
  const nonces = new Set<string>()
  for (const path of ['/login/facebook', '/.auth/login/facebook']) {
    const ended = await openBrowser(app).login(
      `${path}?session_mode=token&completion_type=postMessage&completion_origin=${origin}`
    )
    t.equal(ended.status, 200)
    t.match(ended.headers, {
      'content-type': /^text\/html/,
      'cross-origin-opener-policy': 'unsafe-none',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
      'cache-control': 'no-store'
    })
    const nonce = /script-src 'nonce-([^']+)'/.exec(String(ended.headers['content-security-policy']))?.[1] ?? ''
    nonces.add(nonce)
    t.equal(
      ended.headers['content-security-policy'],
      `default-src 'none'; script-src 'nonce-${nonce}'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'`
    )
    const script =
      new RegExp(`<script nonce="${nonce.replace(/[+/]/g, '\\$&')}">(.*)</script>$`, 's').exec(ended.body)?.[1] ?? ''
    t.notMatch(script, /[<>&\u2028\u2029]/)
    const posted: Array<[string, string]> = []
    const window = { opener: { postMessage: (text: string, to: string) => posted.push([text, to]) }, close () {} }
    runInNewContext(script, { window })
    const [text, to] = posted[0] ?? ['{}', '']
    t.equal(to, origin)
    t.match(JSON.parse(text), {
      type: 'LoginCompleted',
      oauth: { user: { permissions: [hostile] }, authenticationToken: String },
      error: null
    })
  }
  t.equal(nonces.size, 2)
})

t.test('PKCE: a code in the redirect, redeemed once by who holds the verifier', async t => {
  const verifier = randomBytes(32).toString('base64')
  const hash = createHash('sha256').update(verifier).digest()
  const servers = [await server(), await server()]
  for (const challenge of [
    hash.toString('base64url'),
    hash.toString('base64'),
    hash.toString('base64').replace(/=+$/, ''),
    hash.toString('base64').replaceAll('+', ' ')
  ]) {
    const [{ app }, elsewhere] = [servers[0] ?? (await server()), servers[1] ?? (await server())]
    const query = new URLSearchParams({
      post_login_redirect_uri: custom,
      code_challenge: challenge,
      code_challenge_method: 'S256'
    })
    const ended = await openBrowser(app).login(`/.auth/login/facebook?${query}`)
    t.ok(ended.location.startsWith(`${custom}#authorization_code=`), challenge)
    const code = fragment(ended.location, 'authorization_code')
    const ask = (target: typeof app, provider: string, parameters: Record<string, string>) =>
      target.inject({ url: `/.auth/login/${provider}/token?${new URLSearchParams(parameters)}` })
    for (const [name, answer] of [
      ['another verifier', await ask(app, 'facebook', { authorization_code: code, code_verifier: 'other' })],
      ['no verifier', await ask(app, 'facebook', { authorization_code: code })],
      ['another provider', await ask(app, 'own', { authorization_code: code, code_verifier: verifier })],
      [
        'a tampered code',
        await ask(app, 'facebook', { authorization_code: `${code.slice(0, -4)}AAAA`, code_verifier: verifier })
      ],
      ['no code', await ask(app, 'facebook', { code_verifier: verifier })]
    ] as const) {
      t.equal(answer.statusCode, 401, name)
      t.match(answer.json(), { code: 401, error: /^Error: / }, name)
    }
    const good = await ask(elsewhere.app, 'facebook', { authorization_code: code, code_verifier: verifier })
    t.equal(good.statusCode, 200)
    t.equal(good.headers['cache-control'], 'no-store')
    t.equal(good.json().user.userId, 'facebook:10158000000000001')
    t.equal(
      (await ask(elsewhere.app, 'facebook', { authorization_code: code, code_verifier: verifier })).statusCode,
      401,
      'once'
    )
  }
})

t.test('a one-time code lives for a minute', async t => {
  const { app } = await server()
  const verifier = 'verifier'
  const challenge = createHash('sha256').update(verifier).digest('base64url')
  const ended = await openBrowser(app).login(
    `/login/facebook?post_login_redirect_uri=/&code_challenge=${challenge}&code_challenge_method=S256`
  )
  const code = fragment(ended.location, 'authorization_code')
  mock.timers.enable({ apis: ['Date'], now: Date.now() + 61_000 })
  const late = await app.inject(
    `/.auth/login/facebook/token?${new URLSearchParams({ authorization_code: code, code_verifier: verifier })}`
  )
  mock.timers.reset()
  t.equal(late.statusCode, 401)
})

t.test('a flow that begins on one server ends on another with the same keys, and on none with others', async t => {
  const [one, two] = [
    await server(),
    await server({
      keys: [
        { algorithm: 'HS256', secret: 'another-secret-of-32-bytes-at-the-least' },
        { algorithm: 'HS256', secret }
      ]
    })
  ]
  const stranger = await server({ keys: 'a-secret-of-a-stranger-of-32-bytes-or-more' })
  for (const [target, ends] of [[two, '#token='], [stranger, '#error=']] as const) {
    const browser = openBrowser(one.app)
    const back = await browser.authorize((await browser.visit('/login/facebook')).location)
    const other = openBrowser(target.app)
    other.cookie = browser.cookie
    t.ok((await other.visit(back)).location.includes(ends), ends)
  }
})

t.test('below a prefix, and on loopback', async t => {
  const { app } = await server({ prefix: '/api/v1', issuer: 'http://localhost:3000' })
  const browser = openBrowser(app)
  const begun = await browser.visit('/api/v1/.auth/login/facebook')
  t.equal(
    new URL(begun.location).searchParams.get('redirect_uri'),
    'http://localhost:3000/api/v1/.auth/login/facebook/callback'
  )
  t.match(begun.cookies, [/^login=[\w.-]+; Max-Age=600; Path=\/; HttpOnly; SameSite=Lax$/])
  const ended = await browser.visit(await browser.authorize(begun.location))
  t.ok(ended.location.startsWith('http://localhost:3000/api/v1/.auth/login/done#token='))
})

t.test('no code, state or token stands in the log', async t => {
  const verifier = 'a-verifier-that-nobody-may-read'
  const challenge = createHash('sha256').update(verifier).digest('base64url')
  const { app, log } = await server()
  const browser = openBrowser(app)
  const begun = await browser.visit(
    `/login/facebook?post_login_redirect_uri=/&code_challenge=${challenge}&code_challenge_method=S256`
  )
  const back = new URL(await browser.authorize(begun.location))
  const ended = await browser.visit(back.href)
  const code = fragment(ended.location, 'authorization_code')
  await app.inject(
    `/.auth/login/facebook/token?${new URLSearchParams({ authorization_code: code, code_verifier: verifier })}`
  )
  const failed = await browser.visit(back.href)
  t.ok(failed.location.includes('#error='))
  const secrets = [
    back.searchParams.get('code'),
    back.searchParams.get('state'),
    code,
    verifier,
    browser.cookie
  ].filter(text => text !== null && text !== '')
  for (const text of secrets) t.notOk(log().includes(String(text)), String(text).slice(0, 20))
})

t.test('the routes work with a query parser and a router of the application', withRouterOptions, async t => {
  const { app } = await server(
    {},
    { fastify: { routerOptions: { caseSensitive: false, ignoreTrailingSlash: true, querystringParser: () => ({}) } } }
  )
  t.ok((await openBrowser(app).login('/LOGIN/Facebook/')).location.startsWith(`${issuer}/login/done#token=`))
})

t.test('HEAD starts nothing', async t => {
  const { app } = await server()
  for (const url of ['/login/facebook', '/.auth/login/facebook']) {
    const answer = await app.inject({ method: 'HEAD', url })
    t.ok([404, 405].includes(answer.statusCode), url)
  }
})
