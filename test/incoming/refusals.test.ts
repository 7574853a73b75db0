import { createHmac } from 'node:crypto'
import t from 'tap'
import { apple, facebook, github, google, oidc } from '../../src/providers/index.js'
import { startIdentityServer, type EventPost } from '../../src/testing/index.js'
import { codeIn, logStream, startApp } from '../server.js'
import { eventProviders, eventServer, idp, type SenderName } from './senders.js'

// Another one, whose keys and secrets are its own: what it signs is forged here.
const stranger = await startIdentityServer()
t.teardown(() => Promise.all([idp.close(), stranger.close()]))

type Post = Pick<EventPost, 'headers' | 'body'>

interface Row {
  readonly post: () => Post | Promise<Post>
  readonly check: string
  /** RFC 8935's word, of Google. */
  readonly err?: string
}

const hour = 3600
const now = () => idp.clock.now()
const logout = 'http://schemas.openid.net/event/backchannel-logout'
const sessionsRevoked = 'https://schemas.openid.net/secevent/risc/event-type/sessions-revoked'
const form = (name: string, value: string): Post => ({
  headers: { 'content-type': 'application/x-www-form-urlencoded' },
  body: new URLSearchParams({ [name]: value }).toString()
})

const fromApple = async (claims = {}, header = {}) => await idp.apple.notify('consent-revoked', '1', claims, header)
const fromGoogle = async (claims = {}, header = {}) => await idp.google.notify('tokens-revoked', '1', claims, header)
const fromOidc = async (claims = {}, header = {}) => await idp.oidc.logout({ sub: '1' }, claims, header)

/** What any token may be wrong in. */
function tokenRows (
  from: (claims?: object, header?: object) => Promise<Post>, forged: () => Promise<Post>
): Record<string, Row> {
  return {
    'of another issuer': { post: () => from({ iss: 'https://evil.example' }), check: 'issuer', err: 'invalid_issuer' },
    'without an issuer': { post: () => from({ iss: undefined }), check: 'issuer', err: 'invalid_issuer' },
    'for another app': { post: () => from({ aud: 'another' }), check: 'audience', err: 'invalid_audience' },
    'for nobody': { post: () => from({ aud: undefined }), check: 'audience', err: 'invalid_audience' },
    late: { post: () => from({ iat: now() - 25 * hour, exp: undefined }), check: 'time' },
    early: { post: () => from({ iat: now() + hour }), check: 'time' },
    timeless: { post: () => from({ iat: undefined }), check: 'time' },
    expired: { post: () => from({ exp: now() - hour }), check: 'time' },
    'without a name': { post: () => from({ jti: undefined }), check: 'claims' },
    'with an empty name': { post: () => from({ jti: '' }), check: 'claims' },
    unsigned: { post: () => from({}, { alg: 'none' }), check: 'form' },
    'signed with the public key as a secret': {
      post: () => from({}, { alg: 'HS256' }), check: 'algorithm', err: 'invalid_key'
    },
    'of another kind': { post: () => from({}, { typ: 'at+jwt' }), check: 'form' },
    'with a critical header': { post: () => from({}, { crit: ['b64'], b64: false }), check: 'form' },
    'of an unknown key': { post: () => from({}, { kid: 'unknown' }), check: 'key', err: 'invalid_key' },
    forged: { post: forged, check: 'key', err: 'invalid_key' }
  }
}

/** The same key id, and another key. */
async function kidOf ({ body }: Post): Promise<{ kid: unknown }> {
  const [token = ''] = /eyJ[^"]+/.exec(body) ?? []
  const header: unknown = JSON.parse(Buffer.from(token.split('.', 1)[0] ?? '', 'base64url').toString())
  return { kid: Reflect.get(Object(header), 'kid') }
}

const signed = (post: Post, change: (members: Record<string, unknown>) => void): Post => {
  const [, payload = ''] = new URLSearchParams(post.body).get('signed_request')?.split('.') ?? []
  const members: Record<string, unknown> = JSON.parse(Buffer.from(payload, 'base64url').toString())
  change(members)
  const changed = Buffer.from(JSON.stringify(members)).toString('base64url')
  const mac = createHmac('sha256', idp.facebook.options.appSecret).update(changed).digest('base64url')
  return form('signed_request', `${mac}.${changed}`)
}

const requestOf = (change: (value: string) => string): Post => {
  const value = new URLSearchParams(idp.facebook.deauthorize('1').body).get('signed_request') ?? ''
  return form('signed_request', change(value))
}

const facebookRows: Record<string, Row> = {
  forged: { post: () => stranger.facebook.deauthorize('1'), check: 'signature' },
  'with another payload': { post: () => requestOf(value => `${value.split('.')[0]}.e30`), check: 'signature' },
  'with a short signature': { post: () => requestOf(value => value.slice(4)), check: 'signature' },
  'with a part too many': { post: () => requestOf(value => `${value}.a`), check: 'form' },
  'without a signature': { post: () => requestOf(value => `.${value.split('.')[1]}`), check: 'form' },
  'in another spelling': { post: () => requestOf(value => value.replace('.', '=.')), check: 'form' },
  'of an algorithm that it names': {
    post: () => signed(idp.facebook.deauthorize('1'), members => { members.algorithm = 'none' }), check: 'algorithm'
  },
  late: { post: () => idp.facebook.deauthorize('1', { issued_at: now() - 25 * hour }), check: 'time' },
  timeless: { post: () => idp.facebook.deauthorize('1', { issued_at: undefined }), check: 'time' },
  'of nobody': { post: () => idp.facebook.deauthorize('1', { user_id: undefined }), check: 'subject' },
  'of a list': { post: () => idp.facebook.deauthorize('1', { user_id: ['1'] }), check: 'subject' },
  'no form': {
    post: () => ({ ...idp.facebook.deauthorize('1'), headers: { 'content-type': 'text/plain' } }),
    check: 'form'
  },
  twice: {
    post: () => {
      const { headers, body } = idp.facebook.deauthorize('1')
      return { headers, body: `${body}&${body}` }
    },
    check: 'form'
  },
  empty: { post: () => form('another', '1'), check: 'form' }
}

const fromGithub = (headers = {}, event = 'github_app_authorization') => idp.github.notify(event, { id: '1' }, headers)

const githubRows: Record<string, Row> = {
  forged: { post: () => stranger.github.notify('github_app_authorization', { id: '1' }), check: 'signature' },
  'with another body': {
    post: () => ({ ...fromGithub(), body: '{"action":"revoked","sender":{"id":2}}' }),
    check: 'signature'
  },
  unsigned: { post: () => fromGithub({ 'x-hub-signature-256': '' }), check: 'form' },
  'by SHA-1': { post: () => fromGithub({ 'x-hub-signature-256': `sha1=${'0'.repeat(40)}` }), check: 'form' },
  'without a name': { post: () => fromGithub({ 'x-github-delivery': '' }), check: 'form' },
  'as a form': { post: () => fromGithub({ 'content-type': 'application/x-www-form-urlencoded' }), check: 'form' }
}

const rows: Record<SenderName, Record<string, Row>> = {
  apple: {
    ...tokenRows(fromApple, () => stranger.apple.notify('consent-revoked', '1')),
    'with the key id of Apple': {
      post: async () => await stranger.apple.notify('consent-revoked', '1', {}, await kidOf(await fromApple())),
      check: 'signature'
    },
    'without an event': { post: () => fromApple({ events: undefined }), check: 'form' },
    'with an event that is no JSON': { post: () => fromApple({ events: 'consent-revoked' }), check: 'form' },
    'of nobody': { post: () => fromApple({ events: '{"type":"consent-revoked"}' }), check: 'subject' },
    'without a payload': {
      post: () => ({ headers: { 'content-type': 'application/json' }, body: '{}' }),
      check: 'form'
    },
    'no JSON': {
      post: () => ({ headers: { 'content-type': 'application/json' }, body: '{"payload":' }),
      check: 'form'
    },
    'as a form': {
      post: async () => ({ ...await fromApple(), headers: { 'content-type': 'text/plain' } }),
      check: 'form'
    },
    empty: { post: () => ({ headers: {}, body: '' }), check: 'form' }
  },
  google: {
    ...tokenRows(fromGoogle, () => stranger.google.notify('tokens-revoked', '1')),
    'with the key id of Google': {
      post: async () => await stranger.google.notify('tokens-revoked', '1', {}, await kidOf(await fromGoogle())),
      check: 'signature',
      err: 'invalid_key'
    },
    'without events': { post: () => fromGoogle({ events: undefined }), check: 'claims' },
    'with no events': { post: () => fromGoogle({ events: {} }), check: 'claims' },
    'of nobody': {
      post: () => fromGoogle({ events: { [sessionsRevoked]: {} } }),
      check: 'subject'
    },
    "of another issuer's user": {
      post: () => fromGoogle({
        events: {
          [sessionsRevoked]: {
            subject: { subject_type: 'iss-sub', iss: 'https://evil.example', sub: '1' }
          }
        }
      }),
      check: 'issuer',
      err: 'invalid_issuer'
    },
    'as JSON': {
      post: async () => ({ ...await fromGoogle(), headers: { 'content-type': 'application/json' } }), check: 'form'
    },
    'no token': { post: async () => ({ ...await fromGoogle(), body: 'a.b' }), check: 'form' }
  },
  facebook: facebookRows,
  github: githubRows,
  oidc: {
    ...tokenRows(fromOidc, () => stranger.oidc.logout({ sub: '1' }, { iss: idp.oidc.options.issuer })),
    'with the key id of the issuer': {
      post: async () => await stranger.oidc.logout(
        { sub: '1' }, { iss: idp.oidc.options.issuer }, await kidOf(await fromOidc())
      ),
      check: 'signature'
    },
    'an ID token': {
      post: async () => form('logout_token', await idp.oidc.idToken({ sub: '1', jti: 'a' })),
      check: 'claims'
    },
    'of another event': { post: () => fromOidc({ events: { 'https://example.com/event': {} } }), check: 'claims' },
    'with an event that is none': { post: () => fromOidc({ events: { [logout]: 'yes' } }), check: 'claims' },
    'with a nonce': { post: () => fromOidc({ nonce: 'a' }), check: 'nonce' },
    'of nobody': { post: () => fromOidc({ sub: undefined }), check: 'subject' },
    'of a list': { post: () => fromOidc({ sub: ['1'] }), check: 'subject' },
    'of a session that is none': { post: () => fromOidc({ sid: 7 }), check: 'subject' },
    'a token twice': {
      post: async () => {
        const { headers, body } = await fromOidc()
        return { headers, body: `${body}&${body}` }
      },
      check: 'form'
    }
  }
}

for (const [name, refused] of Object.entries(rows)) {
  t.test(`${name} refuses, and nothing happens`, async t => {
    const told: unknown[] = []
    const { stream, text } = logStream()
    const app = await startApp(t, {
      providers: eventProviders(), sessions: {}, onProviderEvent: event => { told.push(event) }
    }, { logger: { level: 'info', stream } })
    for (const [label, { post, check, err = 'invalid_request' }] of Object.entries(refused)) {
      const { headers, body } = await post()
      const before = text().length
      const answer = await app.inject({
        method: 'POST', url: `/events/${name}`, headers: { ...headers }, payload: body
      })
      t.equal(answer.statusCode, 400, label)
      t.equal(answer.headers['cache-control'], 'no-store', label)
      if (name === 'google') t.same(answer.json(), { err, description: String(answer.json().description) }, label)
      else t.equal(codeIn(answer.body), 'AUTH_ERR_EVENT_INVALID', label)
      const lines = text().slice(before).trim().split('\n').map(line => JSON.parse(line))
      t.match(lines.filter(line => line.msg === 'the event was refused'), [
        { level: 30, provider: name, code: 'AUTH_ERR_EVENT_INVALID', check }
      ], label)
    }
    t.same(told, [])
    t.notMatch(text(), /eyJ/, 'no token in the log')
  })
}

t.test('oversized: 413, whoever sent it', async t => {
  const { post } = await eventServer(t)
  for (const name of Object.keys(rows)) {
    const answer = await post(name, { headers: { 'content-type': 'application/json' }, body: ' '.repeat(33 * 1024) })
    t.equal(answer.statusCode, 413, name)
  }
})

t.test('unknown members of events, and events without what they need, are refused at the start', async t => {
  const option = { code: 'AUTH_ERR_OPTION_INVALID' }
  for (const events of [true, null, [], { clientIds: ['a'] }]) {
    const wrong: object = { events }
    t.throws(() => apple({ ...idp.apple.options, ...wrong }), option)
    t.throws(() => google({ ...idp.google.options, ...wrong }), option)
    t.throws(() => oidc({ ...idp.oidc.options, ...wrong }), option)
  }
  for (const events of [{}, { deletionUrl: 'https://app.example.com' }, { webhookSecret: '' }]) {
    const wrong: object = { events }
    t.throws(() => facebook({ ...idp.facebook.options, ...wrong }), option)
    t.throws(() => github({ ...idp.github.options, ...wrong }), option)
  }
  await t.rejects(startApp(t, { onProviderEvent () {} }), { ...option, message: /needs a provider that sends events/ })
  const junk: object = { readEvents: true, accepts: ['id_token'], verify () {} }
  await t.rejects(startApp(t, { providers: { own: Object.assign(junk) } }), { ...option, message: /readEvents/ })
})
