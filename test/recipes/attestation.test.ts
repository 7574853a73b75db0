import t from 'tap'
import { buildServer } from '../../example/recipes/attestation.js'
import { startIdentityServer } from '../../src/testing/index.js'
import { guardsOnly } from '../server.js'

t.test('an app by its attestation, a partner by its own', async t => {
  const idp = await startIdentityServer()
  t.teardown(() => idp.close())
  const app = await buildServer(guardsOnly, idp.appCheck.options)
  t.teardown(() => app.close())
  const prices = async (headers: Record<string, string>) => (await app.inject({ url: '/prices', headers })).json()
  const [ios] = idp.appCheck.options.appIds
  t.match(await prices({ 'x-firebase-appcheck': await idp.appCheck.token() }), { for: `mobile/${ios}` })
  const until = Math.floor(Date.now() / 1000) + 60
  t.match(await prices({ 'x-partner': `shop ${until}` }), { for: 'partner/shop' })
  t.match(await prices({ 'x-partner': `thief ${until}` }), { code: 'AUTH_ERR_APPLICATION_INVALID' })
  t.match(await prices({ 'x-partner': 'shop soon' }), { code: 'AUTH_ERR_PROVIDER_UNAVAILABLE' })
  t.match(await prices({}), { code: 'AUTH_ERR_CREDENTIAL_MISSING' })
})
