import t from 'tap'
import { authoritativeEmail, type Identity } from '../../src/index.js'
import { apple, google, microsoft, oidc } from '../../src/providers/index.js'
import { startIdentityServer } from '../../src/testing/index.js'
import { startApp } from '../server.js'

const said: Identity = Object.freeze({
  provider: 'any',
  subject: '1',
  clientId: null,
  email: 'ada@example.com',
  emailVerified: true,
  name: null,
  picture: null,
  locale: null,
  claims: {}
})

const google1 = 'https://accounts.google.com'
const tenant = '9188040d-6c67-4c5b-b112-36a304b66dad'
const entra = `https://login.microsoftonline.com/${tenant}/v2.0`
const gmail = 'ada@gmail.com'

/** [why, the claims, what differs, whether it is an authority]. */
const rows: Array<[string, Record<string, unknown>, Partial<Identity>, boolean]> = [
  ['Google for a domain that it hosts', { iss: google1, hd: 'example.com' }, {}, true],
  ['Google for gmail.com', { iss: google1 }, { email: gmail }, true],
  ['Google in its other spelling', { iss: 'accounts.google.com' }, { email: 'Ada@GMail.com' }, true],
  ['not for what it has confirmed once', { iss: google1 }, {}, false],
  ['nor for what only ends like it', { iss: google1 }, { email: 'ada@notgmail.com' }, false],
  ['nor for what looks like it', { iss: google1 }, { email: 'ada@gmaıl.com' }, false],
  ['nor with two @', { iss: google1 }, { email: 'ada@evil.com@gmail.com' }, false],
  ['nor unverified', { iss: google1, hd: 'example.com' }, { emailVerified: false }, false],
  ['nor where nobody knows', { iss: google1, hd: 'example.com' }, { emailVerified: 'unknown' }, false],
  ['nor with an empty hd', { iss: google1, hd: '' }, {}, false],
  ['nor with an hd that is none', { iss: google1, hd: true }, {}, false],
  ['Apple for what it has verified', { iss: 'https://appleid.apple.com' }, {}, true],
  ['Apple by its newer name', { iss: 'https://account.apple.com' }, {}, true],
  ['not for anything else', { iss: 'https://appleid.apple.com' }, { emailVerified: 'unknown' }, false],
  ['Microsoft for a verified domain', { iss: entra, xms_edov: true }, { emailVerified: 'unknown' }, true],
  ['Microsoft, as a text', { iss: entra, xms_edov: '1' }, {}, true],
  ['not without', { iss: entra }, {}, false],
  ['nor with a no', { iss: entra, xms_edov: false }, {}, false],
  ['nor with a text that is no yes', { iss: entra, xms_edov: 'false' }, {}, false],
  ['nor for a host that looks like it', { iss: entra.replace('.com', '.com.evil.com'), xms_edov: true }, {}, false],
  ['nobody else', { iss: 'https://id.example.com', hd: 'example.com', xms_edov: true }, { email: gmail }, false],
  ['nobody who does not say who it is', { hd: 'example.com' }, { email: gmail }, false],
  ['nobody for no address', { iss: google1, hd: 'example.com' }, { email: null }, false]
]

for (const [name, claims, differing, isAuthority] of rows) {
  t.test(`authorities: ${name}`, async t => {
    const identity = { ...said, claims, ...differing }
    t.equal(authoritativeEmail(identity), isAuthority ? identity.email : null)
  })
}

t.test('told by the issuer, never by the name that the application gave', async t => {
  const idp = await startIdentityServer()
  t.teardown(() => idp.close())
  const found: Array<string | null> = []
  const app = await startApp(t, {
    providers: {
      google: oidc(idp.oidc.options),
      apple: oidc(idp.oidc.options),
      something: google(idp.google.options),
      else: apple(idp.apple.options),
      entra: microsoft(idp.microsoft.options)
    },
    permissions: identity => {
      found.push(authoritativeEmail(identity))
      return {}
    }
  })
  const claims = { email: gmail, email_verified: true, hd: 'gmail.com' }
  const logins: Array<[string, string]> = [
    ['google', await idp.oidc.idToken(claims)],
    ['apple', await idp.oidc.idToken(claims)],
    ['something', await idp.google.idToken(claims)],
    ['else', await idp.apple.idToken(claims)]
  ]
  for (const [name, token] of logins) {
    const answer = await app.inject({ method: 'POST', url: `/login/${name}`, payload: { id_token: token } })
    t.equal(answer.statusCode, 200, name)
  }
  t.strictSame(found, [null, null, gmail, gmail])
})
