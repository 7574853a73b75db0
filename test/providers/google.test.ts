import t from 'tap'
import { google } from '../../src/providers/index.js'
import { fakeServer, json } from '../http/fake-server.js'
import { sign } from '../http/issuer-keys.js'
import { client, idTokenCases, key, times, verify } from './good-tokens.js'

t.test('Google', async t => {
  const fake = await fakeServer(t, json({ keys: [key.jwk] }))
  const token = (row: Record<string, unknown>) => sign(key, { ...idTokenCases.google?.claims(''), ...times(), ...row })
  const anybody = google({ clientIds: [client], endpoints: { jwks: fake.url } })
  const staff = google({ clientIds: [client], hostedDomain: 'example.com', endpoints: { jwks: fake.url } })

  t.match(await verify(anybody, { token: await token({}) }), {
    email: 'u@example.com', emailVerified: true, name: 'U', picture: 'https://lh3.example/p', locale: 'en'
  })
  t.match(
    await verify(anybody, { token: await token({ iss: 'accounts.google.com' }) }),
    { clientId: client },
    'the issuer without its scheme'
  )
  t.match(
    await verify(anybody, {
      token: await token({ iss: 'accounts.google.com', sub: '9'.repeat(21), email: undefined })
    }),
    { subject: '9'.repeat(21), email: null }
  )
  t.match(await verify(staff, { token: await token({ hd: 'example.com' }) }), { claims: { hd: 'example.com' } })
  for (const hd of [undefined, '', 'other.com', 'example.com.attacker.com', ['example.com'], true]) {
    await t.rejects(
      verify(staff, { token: await token({ hd, email: 'u@example.com' }) }),
      { code: 'AUTH_ERR_GRANT_REJECTED', reason: 'hd' },
      `hd ${String(hd)}`
    )
  }
  await t.rejects(verify(anybody, { type: 'access_token', token: await token({}) }), {
    code: 'AUTH_ERR_GRANT_REJECTED'
  })
})
