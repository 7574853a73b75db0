import t from 'tap'
import { microsoft } from '../../src/providers/index.js'
import { fakeServer, json } from '../http/fake-server.js'
import { sign } from '../http/issuer-keys.js'
import { client, idTokenCases, key, tenantId, times, verify } from './good-tokens.js'

const consumers = '9188040d-6c67-4c5b-b112-36a304b66dad'

t.test('Microsoft', async t => {
  const fake = await fakeServer(t, json({ keys: [key.jwk] }))
  const issuer = (tid: string) => `${fake.url}/${tid}/v2.0`
  const claims = (row: Record<string, unknown>) => ({ ...idTokenCases.microsoft?.claims(fake.url), ...times(), ...row })
  const build = (tenants: string[] | 'any') =>
    microsoft({ clientIds: [client], tenants, endpoints: { authority: `${fake.url}/` } })

  const rows: Array<[tenants: string[] | 'any', row: Record<string, unknown>, reason: string | null]> = [
    [[tenantId], {}, null],
    [[tenantId.toUpperCase()], {}, null],
    ['any', { tid: consumers, iss: issuer(consumers) }, null],
    [[tenantId, consumers], { tid: consumers, iss: issuer(consumers) }, null],
    [[tenantId], { tid: consumers, iss: issuer(consumers) }, 'tid'],
    [[tenantId], { tid: consumers }, 'tid'],
    [[consumers], { tid: consumers }, 'iss'],
    ['any', { tid: undefined }, 'tid'],
    ['any', { tid: 'common', iss: issuer('common') }, 'tid'],
    ['any', { tid: '../attacker', iss: issuer('../attacker') }, 'tid'],
    ['any', { tid: [tenantId] }, 'tid'],
    ['any', { iss: `https://sts.windows.net/${tenantId}/` }, 'iss'],
    ['any', { iss: `${fake.url}/${tenantId}` }, 'iss'],
    ['any', { iss: `https://login.microsoftonline.com/${tenantId}/v2.0` }, 'iss'],
    ['any', { oid: undefined }, 'oid'],
    ['any', { oid: '' }, 'oid'],
    ['any', { oid: 7 }, 'oid'],
    ['any', { oid: 'x'.repeat(219) }, 'oid'],
    ['any', { oid: 'a\0' }, 'oid']
  ]
  for (const [tenants, row, reason] of rows) {
    const attempt = verify(build(tenants), { token: await sign(key, claims(row)) })
    const label = JSON.stringify([tenants, row])
    if (reason === null) {
      t.match(await attempt, { subject: `${String(claims(row).tid)}:${String(claims(row).oid)}` }, label)
    } else await t.rejects(attempt, { code: 'AUTH_ERR_GRANT_REJECTED', reason }, label)
  }
  t.strictSame(new Set(fake.calls), new Set(['GET /common/discovery/v2.0/keys']))

  for (const [edov, emailVerified] of [
    [true, true],
    ['1', true],
    ['true', true],
    [1, true],
    [false, false],
    ['0', false],
    [undefined, 'unknown'],
    ['maybe', 'unknown']
  ] as const) {
    const token = await sign(key, claims({ email: 'u@example.com', email_verified: true, xms_edov: edov }))
    t.match(
      await verify(build('any'), { token }),
      { email: 'u@example.com', emailVerified },
      `xms_edov ${String(edov)}`
    )
  }

  for (const [bound, good] of [
    [`${fake.url}/{tenantid}/v2.0`, true],
    [issuer(tenantId), true],
    [issuer(consumers), false],
    ['https://login.microsoftonline.com/{tenantid}/v2.0', false],
    [7, false]
  ] as const) {
    fake.answer = json({ keys: [{ ...key.jwk, issuer: bound }] })
    const attempt = verify(build('any'), { token: await sign(key, claims({})) })
    if (good) await t.resolves(attempt, `key of ${bound}`)
    else await t.rejects(attempt, { code: 'AUTH_ERR_GRANT_REJECTED', reason: "the key's issuer" }, `key of ${bound}`)
  }
})
