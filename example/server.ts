import { createApplication, serve } from './application.js'
import { demonstrationRoutes } from './demonstration.js'
import { createEventFeed } from './event-feed.js'
import { pageRoutes } from './page-routes.js'
import { readSettings } from './settings.js'
import { walkthrough } from './walkthrough.js'

const settings = await readSettings(process.env)
const feed = createEventFeed()
const application = await createApplication(settings, {
  // Short, so that one sees a token run out, and another take its place.
  accessTokenLifetime: 300,
  // Loopback addresses are registered without a port (RFC 8252, 7.3).
  clients: { page: { redirectUris: [settings.issuer.replace(/^http:(.*):\d+$/, 'http:$1') + '/'] } },
  onEvent: feed.publish
})
const { app, idp, sessions } = application
await app.register(async scope => {
  scope.addHook('onRequest', scope.requireLevel('everyone'))
  await pageRoutes(scope, settings.issuer)
  await demonstrationRoutes(scope, application, settings, feed)
})
await serve(app, settings)

console.log(process.argv.includes('--curl')
  ? await walkthrough({ settings, idp, sessions, forbidden: 403 })
  : `Open ${settings.address.url}\nThe same in a shell: npm start -- --curl. Ctrl-C ends the server.`)
