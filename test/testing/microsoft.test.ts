import { createLocalJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify, type JSONWebKeySet } from 'jose'
import t from 'tap'
import { startIdentityServer } from '../../src/testing/index.js'
import { member } from './member.js'

const consumers = '9188040d-6c67-4c5b-b112-36a304b66dad'

const idp = await startIdentityServer()
t.teardown(() => idp.close())
const { clientIds, tenants: [tenant = ''], endpoints: { authority } } = idp.microsoft.options

async function keySet (of: string): Promise<JSONWebKeySet> {
  return JSON.parse(await (await fetch(`${authority}/${of}/discovery/v2.0/keys`)).text())
}

t.test('a token names its tenant in tid and in iss, and verifies against the key set of the authority', async t => {
  for (const tid of [tenant, consumers]) {
    for (const of of ['common', tid]) {
      const { payload } = await jwtVerify(await idp.microsoft.idToken({ tid }), createLocalJWKSet(await keySet(of)), {
        algorithms: ['RS256'],
        issuer: `${authority}/${tid}/v2.0`,
        audience: clientIds[0] ?? ''
      })
      t.match(payload, { tid, oid: String, ver: '2.0' })
    }
  }
})

t.test('each key says whose tokens it may sign', async t => {
  const { keys } = await keySet('common')
  t.same(keys.map(key => member(key, 'issuer')).sort(), [
    `${authority}/${consumers}/v2.0`,
    `${authority}/{tenantid}/v2.0`
  ])
  t.ok(keys.every(key => key.alg === undefined), 'without alg')
  const issuerOf = (token: string) => member(keys.find(key => key.kid === decodeProtectedHeader(token).kid), 'issuer')
  t.equal(issuerOf(await idp.microsoft.idToken()), `${authority}/{tenantid}/v2.0`)
  t.equal(issuerOf(await idp.microsoft.idToken({ tid: consumers })), `${authority}/${consumers}/v2.0`)
  t.equal(
    issuerOf(await idp.microsoft.idToken({}, {}, 'consumers')),
    `${authority}/${consumers}/v2.0`,
    "an organization's token under a consumer key"
  )
})

t.test('the issuer can be contradicted', async t => {
  t.equal(
    decodeJwt(await idp.microsoft.idToken({ iss: 'https://attacker.example/v2.0' })).iss,
    'https://attacker.example/v2.0'
  )
})

t.test('discovery per tenant', async t => {
  const rows = [['common', '{tenantid}'], ['organizations', '{tenantid}'], ['consumers', consumers], [tenant, tenant]]
  for (const [of, issuer] of rows) {
    const document = await (await fetch(`${authority}/${of}/v2.0/.well-known/openid-configuration`)).json()
    t.match(document, { issuer: `${authority}/${issuer}/v2.0`, jwks_uri: `${authority}/${of}/discovery/v2.0/keys` })
  }
})
