import { randomBytes } from 'node:crypto'
import rateLimit from '@fastify/rate-limit'
import Fastify from 'fastify'
import tokenExchange from 'fastify-token-exchange'
import { apple, facebook, github, google, introspection, microsoft, oidc } from 'fastify-token-exchange/providers'
import { startIdentityServer } from 'fastify-token-exchange/testing'
import { openDatabase, permissionsOf } from './database.js'
import { openSessionStore } from './session-store.js'
import { todoTable } from './todo-table.js'
import { walkthrough } from './walkthrough.js'

const {
  PORT = '3000',
  HOST = '127.0.0.1',
  ISSUER = `http://localhost:${PORT}`,
  LOG_LEVEL = 'warn',
  ORIGINS, // of browser apps, separated by blanks: https://www.example.com
  DATABASE_URL, // postgres://…; without it PGlite, an embedded PostgreSQL
  PGLITE_DIRECTORY, // where PGlite keeps its files; without it in memory
  REDIS_URL, // redis://…, for sessions; without it they are in PostgreSQL, or in memory where there is none
  SIGNING_SECRET = random(),
  APPLICATION_KEY = random(),
  MASTER_KEY = random()
} = process.env

const database = await openDatabase(DATABASE_URL, PGLITE_DIRECTORY)
const sessions = openSessionStore(REDIS_URL, DATABASE_URL === undefined ? undefined : database)

// Stands in for the providers' own servers. In production: `facebook({ appId, appSecret })` and so on.
const idp = await startIdentityServer()

// A client that sends half of a body is not waited for longer than this.
const app = Fastify({ logger: { level: LOG_LEVEL }, requestTimeout: 10_000 })
// Declared before the plugin, and so called after it: what it has still to write finds its store.
app.addHook('onClose', async () => {
  await idp.close()
  await sessions.close()
  await database.close()
})
// By address; the plugin's own routes ask for it with `rateLimit`.
await app.register(rateLimit, { global: false })
await app.register(tokenExchange, {
  issuer: ISSUER,
  keys: SIGNING_SECRET,
  providers: {
    facebook: facebook({ ...idp.facebook.options, redirect: {} }),
    google: google({ ...idp.google.options, redirect: { clientSecret: idp.google.clientSecret } }),
    apple: apple(idp.apple.options),
    microsoft: microsoft(idp.microsoft.options),
    github: github({ ...idp.github.options, redirect: {} }),
    oidc: oidc({ ...idp.oidc.options, redirect: {} }),
    introspection: introspection(idp.introspection.options)
  },
  permissions: identity => permissionsOf(database, identity),
  applicationKeys: { example: APPLICATION_KEY },
  masterKeys: { operations: MASTER_KEY },
  sessions: { store: sessions.store },
  rateLimit: { max: 120, timeWindow: '1 minute' },
  // For apps with an SDK of Azure Mobile Services; every refusal is 401 then.
  azureMobileServices: true,
  ...(ORIGINS !== undefined && { cors: { origins: ORIGINS.split(' ') } })
})

app.get('/api/everyone', { onRequest: app.requireLevel('everyone') }, () => ({ message: 'Hello, everyone' }))
app.get('/api/app', { onRequest: app.requireLevel('application') }, ({ auth }) => ({
  message: `Hello, application ${auth.application ?? auth.master}`
}))
app.get('/api/auth', { onRequest: app.requireLevel('authenticated') }, ({ auth }) => ({
  message: `Hello, user ${auth.user?.id ?? auth.master}`
}))
app.get('/api/admin', { onRequest: app.requireLevel('admin') }, ({ auth }) => ({
  message: `Hello, administrator ${auth.user?.id ?? auth.master}`
}))

await todoTable(app, database)

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close(() => {}))

const url = await app.listen({ port: Number(PORT), host: HOST })
console.log(
  await walkthrough({ url, idp, sessions: sessions.name, applicationKey: APPLICATION_KEY, masterKey: MASTER_KEY })
)

function random (): string {
  return randomBytes(32).toString('hex')
}
