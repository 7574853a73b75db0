import type { FastifyInstance, FastifyPluginAsync, onRequestHookHandler } from 'fastify'
import fp from 'fastify-plugin'
import {
  dialectCors,
  prepareApplication,
  registerDialect,
  renderErrors,
  turnAway as turnAwayInDialect
} from './azure/dialect.js'
import { createDeadlines, type Deadlines } from './deadline.js'
import { errors } from './errors.js'
import { createExchange, type Exchange, type ExchangeProvider } from './login/login.js'
import { createMint } from './login/mint.js'
import { createNonces, type Nonces } from './login/nonces.js'
import { createRefresh, createRenewal, type Refresh, type Renewal } from './login/refresh.js'
import { createSingleUse, type SingleUse } from './login/single-use.js'
import { createInquiry, createRedirection, createVerification } from './login/ask-provider.js'
import { createAuthenticator, type Authenticator } from './guards/authenticate.js'
import { corsPolicy, registerCors } from './guards/cors.js'
import { createCredentialReader } from './guards/credentials.js'
import type { Auth } from './guards/decide.js'
import { createGuards, defaultGuard, kAuth, kOwnRoute, readAuth, type Guards } from './guards/guards.js'
import { createKeyMatcher } from './guards/keys.js'
import { turnAway } from './guards/refuse.js'
import type { IdentityProvider } from './identity.js'
import { resolveOptions, type ResolvedOptions, type TokenExchangeOptions } from './options/options.js'
import { createLookup } from './permissions/lookup.js'
import { loginRoute } from './routes/login.js'
import { logoutRoute } from './routes/logout.js'
import { nonceRoute } from './routes/nonce.js'
import { answerOAuthErrors } from './routes/oauth-errors.js'
import { followErrorHandler, prepareOwnRoutes } from './routes/own-routes.js'
import { revokeRoute } from './routes/revoke.js'
import { sessionListRoute } from './routes/session-list.js'
import { tokenRoute } from './routes/token.js'
import { wellKnownRoutes } from './routes/well-known.js'
import { createSessions, type Sessions } from './sessions/sessions.js'
import { memoryStore } from './sessions/stores/memory.js'
import { createAdministration, type TokenExchange } from './routes/app-api.js'
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

  const rules = {
    issuer: options.issuer,
    audience: options.audience,
    lifetime: options.accessTokenLifetime,
    tolerance: options.clockTolerance
  }
  const signatures = await registerSignatures(app, options.keys)
  const issue = createIssuer(signatures, rules)
  const sessions = await openSessions(app, options)
  const authenticator = createAuthenticator({
    verify: createVerifier(signatures, rules),
    sessions,
    tolerance: options.clockTolerance,
    matchApplication: createKeyMatcher(options.applicationKeys),
    matchMaster: createKeyMatcher(options.masterKeys)
  })

  decorate(app, options, { authenticator, issue, sessions })
  await registerWellKnown(app, options)
  if (options.providers.size === 0 && sessions === null && dialect === null) return
  const nonces = createNonces(options.keys.flatMap(({ signWith }) => signWith ?? []), options.issuer)
  const singleUse = createSingleUse(nonces, sessions?.spend ?? memoryStore({ limit: spentKeysInMemory }).spend)
  const exchanges = buildExchange(options, { deadlines, issue, singleUse, sessions })
  await registerRoutes(app, options, {
    ...exchanges,
    nonces,
    sessions,
    verify: authenticator.verify,
    isClosing: deadlines.isClosed
  })
}

async function openSessions (
  app: FastifyInstance,
  { sessions: chosen, ...context }: ResolvedOptions
): Promise<Sessions | null> {
  if (chosen === null) return null
  const report = (message: string, err?: unknown): void => app.log.warn(err === undefined ? {} : { err }, message)
  const sessions = createSessions(chosen, { ...context, report })
  app.addHook('preClose', done => {
    sessions.unfollow()
    done()
  })
  app.addHook('onClose', async () => {
    await sessions.close()
  })
  await sessions.open()
  return sessions
}

async function registerWellKnown (
  app: FastifyInstance,
  { issuer, keys, prefix, providers, sessions }: ResolvedOptions
): Promise<void> {
  await wellKnownRoutes(app, {
    issuer,
    keys,
    prefix,
    hasProviders: providers.size > 0,
    hasSessions: sessions !== null,
    config: { [kOwnRoute]: true }
  })
}

function decorate (
  app: FastifyInstance,
  options: ResolvedOptions,
  { authenticator, issue, sessions }: { authenticator: Authenticator, issue: Issuer, sessions: Sessions | null }
): void {
  const guards = createGuards({
    authenticator,
    readCredentials: createCredentialReader(options.headers),
    turnAway: options.azureMobileServices === null ? turnAway : turnAwayInDialect
  })
  app.decorateRequest(kAuth, null)
  app.decorateRequest('auth', {
    getter () {
      return readAuth(this)
    }
  })
  app.decorate('requireLevel', guards.requireLevel)
  app.decorate('requirePermission', guards.requirePermission)
  app.decorate('requireAnyPermission', guards.requireAnyPermission)
  app.decorate('requireUser', guards.requireUser)
  app.decorate('tokenExchange', createAdministration(authenticator, issue, sessions))
  if (options.defaultLevel === null) return
  if (!isRoot(app)) {
    throw new errors.OptionInvalidError('defaultLevel can only be set where the plugin is registered in the root scope')
  }
  app.addHook('preParsing', defaultGuard(guards, options.defaultLevel))
}

// An encapsulated scope inherits from its parent; only the root inherits from nothing of Fastify's.
function isRoot (app: FastifyInstance): boolean {
  return Object.getPrototypeOf(app) === Object.prototype
}

function buildExchange (
  { providers, permissions, providerTimeout, lookupTimeout, concurrency }: ResolvedOptions,
  { deadlines, issue, singleUse, sessions }: ExchangeTools
): Exchanges {
  const limits = { milliseconds: providerTimeout, concurrency, deadlines }
  const entry = (name: string, provider: IdentityProvider): ExchangeProvider => {
    const inquire = createInquiry(name, limits)
    const policies = { nonce: provider.nonce ?? 'if-present', replay: provider.replay ?? 'allow' }
    return {
      accepts: provider.accepts,
      ...policies,
      verify: createVerification(name, provider, inquire),
      redirection: createRedirection(name, provider, inquire)
    }
  }
  const tools = { lookup: createLookup(permissions, lookupTimeout, deadlines), mint: createMint(issue) }
  const entries = new Map(Array.from(providers, ([name, provider]) => [name, entry(name, provider)]))
  return {
    exchange: createExchange({ providers: entries, ...tools, sessions, singleUse }),
    refresh: sessions === null ? null : createRefresh({ ...tools, sessions }),
    renew: sessions === null ? null : createRenewal({ ...tools, sessions })
  }
}

interface ExchangeTools { deadlines: Deadlines, issue: Issuer, singleUse: SingleUse, sessions: Sessions | null }

interface Exchanges { exchange: Exchange, refresh: Refresh | null, renew: Renewal | null }

interface RouteParts extends Exchanges {
  nonces: Nonces
  sessions: Sessions | null
  verify: Authenticator['verify']
  isClosing: () => boolean
}

async function registerRoutes (
  app: FastifyInstance,
  { prefix, rateLimit, providers, issuer, keys, headers, azureMobileServices: dialect, logging }: ResolvedOptions,
  parts: RouteParts
): Promise<void> {
  const { exchange, nonces, sessions, isClosing } = parts
  const config = { [kOwnRoute]: true, ...(rateLimit !== null && { rateLimit }) }
  await app.register(
    async scope => {
      prepareOwnRoutes(scope, { isClosing, logging })
      await scope.register(async oauth => {
        registerOAuthRoutes(oauth, parts, providers.size > 0, config)
      })
      if (dialect === null) followErrorHandler(scope, app)
      else renderErrors(scope, app)
      if (dialect !== null) {
        await registerDialect(scope, {
          ...parts,
          destinations: dialect,
          issuer,
          keys,
          names: [...providers.keys()],
          requireUser: app.requireUser(),
          readCredentials: createCredentialReader(headers),
          config
        })
      }
      if (sessions !== null) registerSessionRoutes(scope, sessions, app.requireUser(), config)
      if (providers.size === 0) return
      if (dialect === null) loginRoute(scope, exchange, config)
      nonceRoute(scope, nonces, config)
    },
    { prefix }
  )
}

function registerSessionRoutes (
  scope: FastifyInstance,
  sessions: Sessions,
  requireUser: onRequestHookHandler,
  config: object
): void {
  logoutRoute(scope, { sessions, requireUser, config })
  sessionListRoute(scope, { sessions, requireUser, config })
}

function registerOAuthRoutes (
  scope: FastifyInstance,
  { exchange, refresh, sessions, verify }: RouteParts,
  hasProviders: boolean,
  config: object
): void {
  answerOAuthErrors(scope)
  if (hasProviders) tokenRoute(scope, { exchange, refresh, config })
  if (sessions !== null) revokeRoute(scope, { sessions, verify, config })
}

/** The plugin: `await app.register(tokenExchange, options)`. */
export const tokenExchange = fp(plugin, { name: 'fastify-token-exchange', fastify: '5.x' })
