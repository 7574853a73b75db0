import { createHmac } from 'node:crypto'
import { mock } from 'node:test'
import t from 'tap'
import type { ToldProviderEvent } from '../../src/login/provider-events.js'
import { apple, facebook, github, google, oidc } from '../../src/providers/index.js'
import type { EventPost } from '../../src/testing/index.js'
import { deletionUrl, eventServer, idp } from './senders.js'

t.teardown(() => idp.close())

const form = { 'content-type': 'application/x-www-form-urlencoded' }
const notified = '001667.7f1e09c25b9d4e3d8a2b6c5d4e3f2a1b.0433'
const risc = 'https://schemas.openid.net/secevent/risc/event-type'
const oauth = 'https://schemas.openid.net/secevent/oauth/event-type'
const riscSubject = { subject_type: 'iss-sub', iss: 'https://accounts.google.com/', sub: '7375626A656374' }
const googleClient = '123456789-abcedfgh.apps.googleusercontent.com'

const appleClaims = (event: object) => ({
  iss: 'https://appleid.apple.com',
  aud: 'com.example.app',
  iat: 1_608_693_364,
  jti: 'abede67890',
  events: JSON.stringify({ sub: notified, event_time: 1_608_693_364_100, ...event })
})

const googleClaims = (events: object, more: object = {}) => ({
  iss: 'https://accounts.google.com/', aud: googleClient, iat: 1_508_184_845, jti: '756E69717565', events, ...more
})

const fromApple = async (event: object) => await idp.apple.notify('', '', appleClaims(event))
const fromGoogle = async (events: object, more = {}) =>
  await idp.google.notify('', '', googleClaims(events, more), { typ: undefined })
const fromGoogleOf = async (type: string, more: object = {}) =>
  await fromGoogle({ [type]: { subject: riscSubject, ...more } })

const revoked = JSON.stringify({
  action: 'revoked', sender: { login: 'octocat', id: 1, node_id: 'MDQ6VXNlcjIxMDMxMDY3', type: 'User' }
})
const webhookSecret = "It's a Secret to Everybody"
const fromGithub = (event: string, body: string): Pick<EventPost, 'headers' | 'body'> => ({
  headers: {
    'content-type': 'application/json',
    'x-github-event': event,
    'x-github-delivery': '72d3162e-cc78-11e3-81ab-4c9367dc0958',
    'x-hub-signature-256': `sha256=${createHmac('sha256', webhookSecret).update(body).digest('hex')}`
  },
  body
})

// Computed by another program, with the secret of the server below.
const signedRequest = 'IbaRwQDQ8pkYYITnqbJ1HXFFhup6cbrmYHt5WBPUi98.' +
  'eyJhbGdvcml0aG0iOiJITUFDLVNIQTI1NiIsImlzc3VlZF9hdCI6MTI5MTgzNjgwMCwidXNlcl9pZCI6IjIxODQ3MSJ9'
// OpenID Connect Back-Channel Logout 1.0, 2.4.
const logoutClaims = {
  aud: 's6BhdRkqt3',
  iat: 1_471_566_154,
  exp: 1_471_569_754,
  jti: 'bWJq',
  events: { 'http://schemas.openid.net/event/backchannel-logout': {} }
}

const providers = {
  apple: apple({ ...idp.apple.options, clientIds: ['com.example.app', 'com.example.web'], events: {} }),
  google: google({ ...idp.google.options, clientIds: [googleClient], events: {} }),
  facebook: facebook({ appId: '1', appSecret: 'app-secret-for-tests-only', events: { deletionUrl } }),
  github: github({ ...idp.github.options, events: { webhookSecret } }),
  oidc: oidc({ ...idp.oidc.options, clientIds: ['s6BhdRkqt3'], events: {} })
}

interface Row {
  /** The provider, and what follows it in the path. */
  readonly to: string
  readonly post: () => Pick<EventPost, 'headers' | 'body'> | Promise<EventPost>
  /** Seconds: when it was sent. */
  readonly sentAt: number
  readonly told: Partial<ToldProviderEvent>
}

const appleRow = (event: object, told: Row['told']): Row => ({
  to: 'apple',
  post: () => fromApple(event),
  sentAt: 1_608_693_365,
  told: { subject: notified, at: 1_608_693_364_100, id: 'abede67890', ...told }
})
const googleRow = (post: () => Promise<EventPost>, told: Row['told']): Row => ({
  to: 'google',
  post,
  sentAt: 1_508_184_850,
  told: { subject: '7375626A656374', at: 1_508_184_845_999, id: '756E69717565', ...told }
})
const githubRow = (event: string, body: string, told: Row['told']): Row => ({
  to: 'github',
  post: () => fromGithub(event, body),
  sentAt: 1_700_000_000,
  told: { at: 1_700_000_000_000, id: '72d3162e-cc78-11e3-81ab-4c9367dc0958', ...told }
})
const oidcRow = (whom: object, told: Row['told']): Row => ({
  to: 'oidc',
  post: () => idp.oidc.logout({}, { ...logoutClaims, ...whom }),
  sentAt: 1_471_566_160,
  told: { kind: 'sessions-revoked', at: 1_471_566_154_999, id: 'bWJq', ...told }
})

const rows: Record<string, Row> = {
  'Apple, consent revoked': appleRow({ type: 'consent-revoked' }, { kind: 'authorization-revoked' }),
  'Apple, account deleted': appleRow({ type: 'account-delete' }, { kind: 'account-deleted' }),
  'Apple, in an older word': appleRow({ type: 'account-deleted' }, { kind: 'account-deleted' }),
  'Apple, e-mail off': appleRow(
    { type: 'email-disabled', email: 'a@privaterelay.appleid.com', is_private_email: 'true' }, { kind: 'email-changed' }
  ),
  'Apple, e-mail on': appleRow(
    { type: 'email-enabled', email: 'a@privaterelay.appleid.com', is_private_email: 'true' }, { kind: 'email-changed' }
  ),
  'Apple, in seconds': appleRow(
    { type: 'consent-revoked', event_time: 1_608_693_364 }, { kind: 'authorization-revoked', at: 1_608_693_364_999 }
  ),
  'Apple, unknown': appleRow({ type: 'moved-to-mars', sub: undefined }, { kind: 'other', subject: null }),
  'Google, account disabled':
    googleRow(() => fromGoogleOf(`${risc}/account-disabled`, { reason: 'hijacking' }), { kind: 'account-disabled' }),
  'Google, account enabled':
    googleRow(() => fromGoogleOf(`${risc}/account-enabled`), { kind: 'account-enabled' }),
  'Google, sessions revoked':
    googleRow(() => fromGoogleOf(`${risc}/sessions-revoked`), { kind: 'sessions-revoked' }),
  'Google, credentials':
    googleRow(() => fromGoogleOf(`${risc}/account-credential-change-required`), { kind: 'credential-change' }),
  'Google, tokens revoked':
    googleRow(() => fromGoogleOf(`${oauth}/tokens-revoked`), { kind: 'authorization-revoked' }),
  'Google, one token revoked': googleRow(
    () => fromGoogle({ [`${oauth}/token-revoked`]: { subject: { subject_type: 'oauth_token', token: 'a' } } }),
    { kind: 'other', subject: null }
  ),
  'Google, verification':
    googleRow(() => fromGoogle({ [`${risc}/verification`]: { state: 'a' } }), { kind: 'verification', subject: null }),
  'Google, an older name': googleRow(
    () => fromGoogleOf('https://accounts.google.com/risc/event/all-token-revoked'), { kind: 'authorization-revoked' }
  ),
  'Google, RFC 9493': googleRow(
    () => fromGoogle(
      { [`${risc}/account-disabled`]: {} },
      { sub_id: { format: 'iss_sub', iss: 'https://accounts.google.com', sub: '7375626A656374' } }
    ),
    { kind: 'account-disabled' }
  ),
  'Google, issuer without a slash': googleRow(
    () => fromGoogle(
      { [`${risc}/sessions-revoked`]: { subject: { ...riscSubject, iss: 'https://accounts.google.com' } } },
      { iss: 'https://accounts.google.com', aud: [googleClient, 'another'] }
    ),
    { kind: 'sessions-revoked' }
  ),
  'Google, unknown': googleRow(() => fromGoogleOf(`${risc}/moved-to-mars`), { kind: 'other' }),
  'Facebook, deauthorized': {
    to: 'facebook',
    post: () => ({ headers: form, body: `signed_request=${signedRequest}` }),
    sentAt: 1_291_836_805,
    told: { kind: 'authorization-revoked', subject: '218471', at: 1_291_836_800_999 }
  },
  'Facebook, deletion of data': {
    to: 'facebook/deletion',
    post: () => ({ headers: form, body: `signed_request=${signedRequest}` }),
    sentAt: 1_291_836_805,
    told: { kind: 'data-deletion-requested', subject: '218471', at: 1_291_836_800_999 }
  },
  'GitHub, revoked':
    githubRow('github_app_authorization', revoked, { kind: 'authorization-revoked', subject: '1' }),
  'GitHub, an id beyond 2^53': githubRow(
    'github_app_authorization',
    '{"action":"revoked","sender":{"id":90071992547409931}}',
    { kind: 'authorization-revoked', subject: '90071992547409931' }
  ),
  'GitHub, ping': githubRow('ping', '{"zen":"Keep it logically awesome."}', { kind: 'verification', subject: null }),
  'GitHub, unknown': githubRow('installation', '{"action":"deleted"}', { kind: 'other', subject: null }),
  'OpenID Connect, a session of a user': oidcRow(
    { sub: '248289761001', sid: '08a5019c-17e1-4977-8f42-65a12843ea02' },
    { subject: '248289761001', providerSession: '08a5019c-17e1-4977-8f42-65a12843ea02' }
  ),
  'OpenID Connect, a user': oidcRow({ sub: '248289761001' }, { subject: '248289761001', providerSession: null }),
  'OpenID Connect, a session': oidcRow({ sid: 'a', exp: undefined }, { subject: null, providerSession: 'a' })
}

for (const [name, { to, post, sentAt, told }] of Object.entries(rows)) {
  t.test(name, async t => {
    mock.timers.enable({ apis: ['Date'], now: sentAt * 1000 })
    t.teardown(() => mock.timers.reset())
    const all: ToldProviderEvent[] = []
    const server = await eventServer(t, { providers, onProviderEvent: event => { all.push(event) } })
    const answer = await server.post(to, await post())
    t.equal(answer.statusCode, to === 'google' ? 202 : 200, answer.body)
    t.match(all, [{ provider: to.split('/')[0], providerSession: null, ...told }])
    t.equal(all.length, 1)
  })
}

t.test('a body that GitHub has signed, and that is no JSON', async t => {
  const { post } = await eventServer(t, { providers })
  const { headers } = fromGithub('ping', '')
  const body = 'Hello, World!'
  const signature = 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17'
  const answer = await post('github', { headers: { ...headers, 'x-hub-signature-256': signature }, body })
  t.equal(answer.statusCode, 400)
})
