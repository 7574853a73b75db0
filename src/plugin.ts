import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import { dialectCors, prepareApplication, registerDialect, renderErrors, turnAway as turnAwayInDialect } from './azure/dialect.js'
import { createDeadlines, type Deadlines } from './deadline.js'
import { errors } from './errors.js'
import { createExchange, type Exchange, type ExchangeProvider } from './exchange/exchange.js'
import { createNonces, type Nonces } from './exchange/nonces.js'
import { createSingleUse, type SingleUse } from './exchange/single-use.js'
import { createInquiry, createRedirection, createVerification } from './exchange/verification.js'
import { createAuthenticator, type Authenticator } from './guards/authenticate.js'
import { corsPolicy, registerCors } from './guards/cors.js'
import { createCredentialReader } from './guards/credentials.js'
import type { Auth } from './guards/decide.js'
import { createGuards, defaultGuard, kAuth, kOwnRoute, readAuth, type Guards } from './guards/guards.js'
import { createKeyMatcher } from './guards/keys.js'
import { turnAway } from './guards/refuse.js'
import type { IdentityProvider } from './identity.js'
import { resolveOptions, type ResolvedOptions, type TokenExchangeOptions } from './options.js'
import { createLookup } from './permissions/lookup.js'
import { loginRoute } from './routes/login.js'
import { nonceRoute } from './routes/nonce.js'
import { prepareOwnRoutes } from './routes/own-routes.js'
import { memoryStore } from './sessions/stores/memory.js'
import { createAdministration, type TokenExchange } from './administration.js'
import { createIssuer, type Issuer } from './tokens/issuer.js'
import { registerSignatures } from './tokens/signatures.js'
import { createVerifier } from './tokens/verifier.js'

declare module 'fastify' {
  interface FastifyInstance extends Guards {
    /** Access tokens outside of the plugin's own routes. */
    readonly tokenExchange: TokenExchange
  }

  interface FastifyRequest {
    /** Who calls. @throws errors.NotGuardedError on a route that no guard protects */
    readonly auth: Auth
    [kAuth]: Auth | null
  }

  interface FastifyContextConfig {
    [kOwnRoute]?: true
  }
}

/** Nonces and ID tokens that are remembered at most where there is no session store: beyond that logins are answered 503. */
const spentKeysInMemory = 1_000_000

const plugin: FastifyPluginAsync<TokenExchangeOptions> = async (app, given) => {
  const options = await resolveOptions(given)
  const deadlines = createDeadlines()
  app.addHook('preClose', done => { deadlines.close(); done() })
  const { cors, headers, azureMobileServices: dialect } = options
  if (cors !== null) await registerCors(app, dialect === null ? corsPolicy(cors, headers) : dialectCors(cors))
  if (dialect !== null) prepareApplication(app)

  const rules = { issuer: options.issuer, audience: options.audience, lifetime: options.accessTokenLifetime, tolerance: options.clockTolerance }
  const signatures = await registerSignatures(app, options.keys)
  const issue = createIssuer(signatures, rules)
  const authenticator = createAuthenticator({
    verify: createVerifier(signatures, rules),
    tolerance: options.clockTolerance,
    matchApplication: createKeyMatcher(options.applicationKeys),
    matchMaster: createKeyMatcher(options.masterKeys)
  })

  decorate(app, options, authenticator, issue)
  if (options.providers.size === 0) return
  const nonces = createNonces(options.keys.flatMap(({ signWith }) => signWith ?? []), options.issuer)
  const singleUse = createSingleUse(nonces, memoryStore({ limit: spentKeysInMemory }).spend)
  await registerRoutes(app, options, { exchange: buildExchange(options, { deadlines, issue, singleUse }), nonces, isClosing: deadlines.isClosed })
}

function decorate (app: FastifyInstance, options: ResolvedOptions, authenticator: Authenticator, issue: Issuer): void {
  const guards = createGuards({ authenticator, readCredentials: createCredentialReader(options.headers), turnAway: options.azureMobileServices === null ? turnAway : turnAwayInDialect })
  app.decorateRequest(kAuth, null)
  app.decorateRequest('auth', { getter () { return readAuth(this) } })
  app.decorate('requireLevel', guards.requireLevel)
  app.decorate('requirePermission', guards.requirePermission)
  app.decorate('requireAnyPermission', guards.requireAnyPermission)
  app.decorate('requireUser', guards.requireUser)
  app.decorate('tokenExchange', createAdministration(authenticator, issue))
  if (options.defaultLevel === null) return
  if (!isRoot(app)) throw new errors.OptionInvalidError('defaultLevel can only be set where the plugin is registered in the root scope')
  app.addHook('preParsing', defaultGuard(guards, options.defaultLevel))
}

// An encapsulated scope inherits from its parent; only the root inherits from nothing of Fastify's.
function isRoot (app: FastifyInstance): boolean {
  return Object.getPrototypeOf(app) === Object.prototype
}

function buildExchange ({ providers, permissions, providerTimeout, lookupTimeout, concurrency }: ResolvedOptions, { deadlines, issue, singleUse }: ExchangeTools): Exchange {
  const limits = { milliseconds: providerTimeout, concurrency, deadlines }
  const entry = (name: string, provider: IdentityProvider): ExchangeProvider => {
    const inquire = createInquiry(name, limits)
    const policies = { nonce: provider.nonce ?? 'if-present', replay: provider.replay ?? 'allow' }
    return { accepts: provider.accepts, ...policies, verify: createVerification(name, provider, inquire), redirection: createRedirection(name, provider, inquire) }
  }
  return createExchange({
    providers: new Map(Array.from(providers, ([name, provider]) => [name, entry(name, provider)])),
    lookup: createLookup(permissions, lookupTimeout, deadlines),
    issue,
    singleUse
  })
}

interface ExchangeTools { deadlines: Deadlines, issue: Issuer, singleUse: SingleUse }

interface RouteParts { exchange: Exchange, nonces: Nonces, isClosing: () => boolean }

async function registerRoutes (app: FastifyInstance, { prefix, rateLimit, providers, azureMobileServices: dialect }: ResolvedOptions, { exchange, nonces, isClosing }: RouteParts): Promise<void> {
  const config = { [kOwnRoute]: true, ...(rateLimit !== null && { rateLimit }) }
  await app.register(async scope => {
    prepareOwnRoutes(scope, isClosing)
    if (dialect !== null) renderErrors(scope, app)
    if (dialect === null) loginRoute(scope, exchange, config)
    else await registerDialect(scope, { exchange, names: providers.keys(), config })
    nonceRoute(scope, nonces, config)
  }, { prefix })
}

/** The plugin: `await app.register(tokenExchange, options)`. */
export const tokenExchange = fp(plugin, { name: 'fastify-token-exchange', fastify: '5.x' })
