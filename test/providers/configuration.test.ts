import { generateKeyPairSync } from 'node:crypto'
import t from 'tap'
import { Agent } from 'undici'
import { apple, facebook, github, google, introspection, microsoft, oidc } from '../../src/providers/index.js'
import { tenantId } from './good-tokens.js'

const pem = (namedCurve: string) =>
  generateKeyPairSync('ec', { namedCurve }).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
const [p256, p384] = [pem('P-256'), pem('P-384')]
const url = 'http://idp.example'

interface Factory {
  make: (options: never) => unknown
  good: Record<string, unknown>
  needs: string[]
  endpoints: string[]
  bad: Array<Record<string, unknown>>
}

const idTokenBad = [{ nonce: 'sometimes' }, { nonce: true }, { nonce: '' }, { replay: 'never' }]
const listBad = [
  { clientIds: [] },
  { clientIds: 'client' },
  { clientIds: [''] },
  { clientIds: ['a', undefined] },
  { clientId: 'a' }
]

const factories: Record<string, Factory> = {
  facebook: {
    make: facebook,
    good: { appId: '1', appSecret: 'S3CRET' },
    needs: ['appId', 'appSecret'],
    endpoints: ['graph', 'jwks'],
    bad: [{ appID: '1' }, { appId: 1 }, { appId: ' ' }, ...idTokenBad]
  },
  google: {
    make: google,
    good: { clientIds: ['a'] },
    needs: ['clientIds'],
    endpoints: ['jwks'],
    bad: [{ hostedDomain: '' }, { hostedDomain: 7 }, { hostedDomian: 'x' }, ...idTokenBad, ...listBad]
  },
  apple: {
    make: apple,
    good: { clientIds: ['a'], teamId: 't', keyId: 'k', privateKey: p256 },
    needs: ['clientIds', 'teamId', 'keyId', 'privateKey'],
    endpoints: ['jwks', 'token', 'revoke'],
    bad: [
      { privateKey: 'S3CRET' },
      { privateKey: p384 },
      { privateKey: p256.replace('PRIVATE', 'PUBLIC') },
      ...idTokenBad,
      ...listBad
    ]
  },
  microsoft: {
    make: microsoft,
    good: { clientIds: ['a'], tenants: [tenantId] },
    needs: ['clientIds', 'tenants'],
    endpoints: ['authority'],
    bad: [
      { tenants: [] },
      { tenants: 'all' },
      { tenants: ['any'] },
      { tenants: ['contoso.com'] },
      { tenants: [tenantId, ''] },
      ...idTokenBad,
      ...listBad
    ]
  },
  github: {
    make: github,
    good: { clientId: 'a', clientSecret: 'S3CRET' },
    needs: ['clientId', 'clientSecret'],
    endpoints: ['api', 'token'],
    bad: [{ nonce: 'required' }, { replay: 'refuse' }]
  },
  oidc: {
    make: oidc,
    good: { issuer: 'https://idp.example', clientIds: ['a'] },
    needs: ['issuer', 'clientIds'],
    endpoints: ['jwks'],
    bad: [
      { issuer: url },
      { issuer: 'idp.example' },
      { issuer: 'https://u:S3CRET@idp.example' },
      { algorithms: [] },
      { algorithms: ['HS256'] },
      { algorithms: ['none'] },
      { algorithms: 'RS256' },
      { algorithms: ['RS256', 'HS512'] },
      { subject: 'sub' },
      ...idTokenBad,
      ...listBad
    ]
  },
  introspection: {
    make: introspection,
    good: { endpoint: 'https://idp.example/introspect', clientId: 'a', clientSecret: 'S3CRET', audience: 'me' },
    needs: ['endpoint', 'clientId', 'clientSecret', 'audience'],
    endpoints: [],
    bad: [{ endpoint: url }, { audience: ['me'] }, { nonce: 'required' }, { replay: 'refuse' }]
  }
}

for (const [name, { make, good, needs, endpoints, bad }] of Object.entries(factories)) {
  t.test(name, async t => {
    const build = (options: unknown) => () => Reflect.apply(make, undefined, [options])
    t.doesNotThrow(build(good))
    t.doesNotThrow(
      build(
        Object.freeze({ ...good, endpoints: Object.fromEntries(endpoints.map(key => [key, 'http://127.0.0.1:1'])) })
      )
    )
    const rows = [
      ...needs.flatMap(need => [{ [need]: undefined }, { [need]: '' }, { [need]: null }, { [need]: 7 }]),
      ...endpoints.flatMap(key => [
        { endpoints: { [key]: url } },
        { endpoints: { [key]: '' } },
        { endpoints: { [`${key}s`]: 'https://idp.example' } }
      ]),
      ...bad,
      { unknown: 1 },
      { endpoints: 'https://idp.example' },
      { endpoints: { nowhere: 'https://idp.example' } }
    ]
    for (const row of rows) {
      const named = Object.keys(row)[0] ?? ''
      const refusal = t.throws(
        build({ ...good, ...row }),
        { code: 'AUTH_ERR_OPTION_INVALID', message: new RegExp(`${name}.*${named.slice(0, 6)}`) },
        JSON.stringify(row)
      )
      t.notMatch(refusal, { message: /S3CRET|BEGIN/ })
    }
    for (const options of [undefined, null, 'options', []]) {
      t.throws(build(options), { code: 'AUTH_ERR_OPTION_INVALID' })
    }
  })
}

t.test('a misspelt option is named, with what was meant', async t => {
  const rows: Array<[(options: never) => unknown, object, string]> = [
    [google, { clientId: ['a'] }, 'google.clientId is not an option: did you mean clientIds?'],
    [facebook, { appId: '1', appSecert: 's' }, 'facebook.appSecert is not an option: did you mean appSecret?'],
    [github, { clientId: 'a', clientSecret: undefined }, 'github.clientSecret is undefined'],
    [microsoft, { clientIds: ['a'], tenants: 'Any' }, "microsoft.tenants must be a list of tenant ids, or 'any'"],
    [google, { clientIds: ['a'], endpoints: { jkws: 'https://idp.example' } }, 'did you mean jwks?'],
    [apple, { clientIds: ['a'], teamId: 't', keyId: 'k', privateKey: p256.replaceAll('\n', '\\n') }, '.replaceAll'],
    [apple, { clientIds: ['a'], teamId: 't', keyId: 'k', privateKey: btoa(p256) }, 'the whole text of the .p8 file']
  ]
  for (const [make, options, words] of rows) {
    const refusal = t.throws(() => Reflect.apply(make, undefined, [options]), { code: 'AUTH_ERR_OPTION_INVALID' })
    t.match(refusal, { message: words })
  }
})

// Bun has an undici of its own: agents can be made there, and do nothing.
t.test('under a runtime whose undici cannot dispatch, every factory says so', async t => {
  Object.defineProperty(Agent.prototype, 'dispatch', { value: undefined, configurable: true })
  t.teardown(() => Reflect.deleteProperty(Agent.prototype, 'dispatch'))
  for (const [name, { make, good }] of Object.entries(factories)) {
    const there = () => Reflect.apply(make, undefined, [good])
    t.throws(there, { code: 'AUTH_ERR_OPTION_INVALID', message: /Bun.*Node/ }, name)
  }
})

t.test('what the factories take', async t => {
  t.strictSame(apple({ clientIds: ['a'] }).accepts, ['id_token'])
  t.strictSame(apple({ clientIds: ['a'], teamId: 't', keyId: 'k', privateKey: p256 }).accepts, [
    'id_token',
    'authorization_code'
  ])
  t.strictSame(facebook({ appId: '1', appSecret: 's' }).accepts, ['access_token', 'id_token'])
  t.strictSame(github({ clientId: 'a', clientSecret: 's' }).accepts, ['access_token', 'authorization_code'])
  t.doesNotThrow(() => microsoft({ clientIds: ['a'], tenants: 'any' }))
})
