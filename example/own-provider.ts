// An application's own provider: tickets of the company's portal, `employee.expiry.mac`, signed with a secret that only
// the portal and this server know. Try it: `npx tsx --tsconfig example/tsconfig.json example/own-provider.ts`
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import Fastify from 'fastify'
import tokenExchange, { errors, type IdentityProvider } from 'fastify-token-exchange'

const {
  PORTAL_SECRET = randomBytes(32).toString('hex'),
  SIGNING_SECRET = randomBytes(32).toString('hex'),
  PORT = '3000'
} = process.env
const macOf = (text: string) => createHmac('sha256', PORTAL_SECRET).update(text).digest()

const portal: IdentityProvider = {
  accepts: ['access_token'],
  async verify ({ token }) {
    const [employee = '', expiry = '', mac = ''] = token.split('.')
    const expected = macOf(`${employee}.${expiry}`)
    const presented = Buffer.from(mac, 'base64url')
    if (presented.length !== expected.length || !timingSafeEqual(presented, expected)) {
      throw new errors.GrantRejectedError('mac')
    }
    if (Number(expiry) <= Date.now() / 1000) throw new errors.GrantRejectedError('expired')
    return { subject: employee }
  }
}

const app = Fastify()
await app.register(tokenExchange, { issuer: `http://localhost:${PORT}`, keys: SIGNING_SECRET, providers: { portal } })
app.get('/api/auth', { onRequest: app.requireLevel('authenticated') }, request => ({
  message: `hello, ${request.auth.user?.id}`
}))
const url = await app.listen({ port: Number(PORT), host: '127.0.0.1' })

const ticket = `e1815.${Math.floor(Date.now() / 1000) + 3600}`
console.log(`curl -s ${url}/login/portal -d access_token=${ticket}.${macOf(ticket).toString('base64url')}`)
