import { createApplication, serve } from './application.js'
import { readSettings } from './settings.js'
import { walkthrough } from './walkthrough.js'

const settings = await readSettings(process.env)
const { app, idp, sessions } = await createApplication(settings, {
  // Loopback addresses are registered without a port (RFC 8252, 7.3).
  clients: { page: { redirectUris: [settings.issuer.replace(/^http:(.*):\d+$/, 'http:$1') + '/'] } }
})
await serve(app, settings)

console.log(process.argv.includes('--curl')
  ? await walkthrough({ settings, idp, sessions, forbidden: 403 })
  : `Open ${settings.address.url}\nThe same in a shell: npm start -- --curl. Ctrl-C ends the server.`)
