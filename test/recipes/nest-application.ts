// The recipe as a program of its own: its decorators are compiled with the settings of the example.
import { google } from 'fastify-token-exchange/providers'
import { startIdentityServer } from 'fastify-token-exchange/testing'
import { nestServer } from '../../example/recipes/nestjs.js'

const { SIGNING_SECRET } = process.env
const idp = await startIdentityServer()
const app = await nestServer({
  issuer: 'http://localhost:3000',
  keys: SIGNING_SECRET,
  providers: { google: google(idp.google.options) },
  permissions: ({ subject }) => ({ permissions: subject === 'bob' ? ['todo:write'] : [] })
})
await app.listen(0, '127.0.0.1')
const tokens = [await idp.google.idToken({ sub: 'ada' }), await idp.google.idToken({ sub: 'bob' })]
console.log([await app.getUrl(), ...tokens].join(' '))
