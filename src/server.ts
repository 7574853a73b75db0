import type { FastifyInstance } from 'fastify'
import { createDeadlines, type Deadlines } from './deadline.js'
import type { ProofNonces } from './dpop/proof-nonces.js'
import { createProofs, type Proofs } from './dpop/proofs.js'
import { errors } from './errors.js'
import { createEvents, type Events } from './events.js'
import { createAccessDecisions } from './guards/access.js'
import { createAttestations, type Attestations } from './guards/attestations.js'
import { createAuthenticator, type Authenticator } from './guards/authenticate.js'
import {
  corsHeaders, registerCors, type CorsHeaders, type CorsOptions, type CorsPolicy
} from './guards/cors.js'
import { credentialKinds } from './guards/credentials.js'
import type { TokenKind } from './guards/token-kinds.js'
import { createGuards, type Guards } from './guards/declaring.js'
import { createGuardMaker, kOwnRoute, type MakeGuard, type TurnAway } from './guards/guards.js'
import { createKeyMaterial, type KeyMaterial } from './key-material.js'
import { createAuthorizationCodes, type AuthorizationCodes } from './login/authorization-codes.js'
import { createProviders, createVerifierAsker, type ExchangeProvider } from './login/ask-provider.js'
import { createExchange, createMint, type Exchange } from './login/login.js'
import { createLoginEvents, type LoginEvents } from './login/login-events.js'
import { createPossession, type Possession } from './login/possession.js'
import { createProviderEvents, type ProviderEvents } from './login/provider-events.js'
import { createRefresh, createRenewal, type Refresh, type Renewal } from './login/refresh.js'
import { createSeals } from './login/seals.js'
import { createSingleUse, type SingleUse } from './login/single-use.js'
import type { SharedPlace } from './login/turns.js'
import { createLookup } from './permissions/lookup.js'
import type { ResolvedOptions } from './plugin-options.js'
import { resourceMetadataOf } from './public-address.js'
import { requireOperations } from './sessions/session-options.js'
import { createSessions, type Sessions } from './sessions/sessions.js'
import type { SessionStore } from './sessions/store.js'
import { memoryStore } from './sessions/stores/memory.js'
import { createIssuer, type Issuer } from './tokens/issuer.js'
import { registerSignatures } from './tokens/signatures.js'
import { createVerifier, type Verifier } from './tokens/verifier.js'

/** What a dialect decides for guards, and for the application's scope. */
export interface GuardDialect {
  /** What is asked of the application's scope. */
  prepare (app: FastifyInstance): void
  cors (options: CorsOptions, headers: CorsHeaders): CorsPolicy
  /** How guards turn callers away. */
  readonly turnAway: TurnAway
}

/** A running server, made once from its options. Routes and dialects take it whole. */
export interface Server {
  readonly options: ResolvedOptions
  /** Keys for other uses than access tokens, of the private parts of the server's keys. */
  readonly material: KeyMaterial
  readonly authenticator: Authenticator
  readonly makeGuard: MakeGuard
  readonly guards: Guards
  readonly issue: Issuer
  /** Null where logins start no session. */
  readonly sessions: Sessions | null
  readonly singleUse: SingleUse
  /** Null where `dpop` is off. */
  readonly proofs: Proofs | null
  readonly possession: Possession
  readonly events: Events
  readonly loginEvents: LoginEvents
  readonly providers: ReadonlyMap<string, ExchangeProvider>
  readonly exchange: Exchange
  /** The codes of logins by redirect. */
  readonly codes: AuthorizationCodes
  readonly providerEvents: ProviderEvents
  /** Null without sessions, as `renew`. */
  readonly refresh: Refresh | null
  readonly renew: Renewal | null
  /** Access tokens: how they are carried, and how a request without a good one is challenged. */
  readonly tokenKind: TokenKind
  /** `config` of the plugin's own routes. */
  readonly routeConfig: object
  /** Whether the server has begun to close. */
  isClosing (): boolean
}

/**
 * Nonces and ID tokens, logins that wait for their code to come, and events that are done, that are held at most
 * without a session store: beyond that logins, and events, are answered 503.
 */
const spentKeysInMemory = 1_000_000
const keptLoginsInMemory = 10_000
const doneEventsInMemory = 100_000

/** Without it `config.rateLimit` of a route is read by nobody. @throws errors.OptionInvalidError */
function requireRateLimit (app: FastifyInstance): void {
  if (app.hasPlugin('@fastify/rate-limit')) return
  throw new errors.OptionInvalidError(
    'rateLimit needs @fastify/rate-limit: register it before this plugin, in the same scope or one above'
  )
}

/** Builds all parts, from the keys outwards, and ties them to the life of the application. */
export async function createServer (
  app: FastifyInstance,
  options: ResolvedOptions,
  dialect: GuardDialect
): Promise<Server> {
  const { cors, keys, rateLimit } = options
  if (rateLimit !== null) requireRateLimit(app)
  if (cors !== null) await registerCors(app, dialect.cors(cors, corsHeaders(options)))
  dialect.prepare(app)

  const events = createEvents(options.onEvent, app.log)
  const deadlines = createServerDeadlines(app)
  const tokens = await createTokens(app, options)
  const sessions = await openSessions(app, options, events)
  const material = createKeyMaterial(keys.flatMap(({ signWith }) => signWith ?? []), options.issuer)
  const proofs = createServerProofs(app, options, material)
  const base: Base = { options, events, deadlines, tokens, sessions, material, proofs }
  return Object.freeze({
    options,
    material,
    events,
    issue: tokens.issue,
    sessions,
    proofs,
    ...createGuarding(base, dialect.turnAway, app.prefix),
    ...createLogins(base),
    codes: createCodes(base),
    providerEvents: createIncoming(base),
    routeConfig: { [kOwnRoute]: true, ...(rateLimit !== null && { rateLimit }) },
    isClosing: deadlines.isClosed
  })
}

/** What guards and logins both stand on. */
interface Base extends Pick<Server, 'options' | 'material' | 'events' | 'sessions' | 'proofs'> {
  readonly deadlines: Deadlines
  readonly tokens: AccessTokens
}

/** The server's own access tokens. */
interface AccessTokens { readonly issue: Issuer, readonly verify: Verifier }

async function createTokens (
  app: FastifyInstance,
  { keys, issuer, audience, accessTokenLifetime: lifetime, clockTolerance: tolerance }: ResolvedOptions
): Promise<AccessTokens> {
  const rules = { issuer, audience, lifetime, tolerance }
  const signatures = await registerSignatures(app, keys)
  return { issue: createIssuer(signatures, rules), verify: createVerifier(signatures, rules) }
}

function createServerDeadlines (app: FastifyInstance): Deadlines {
  const deadlines = createDeadlines()
  app.addHook('preClose', done => { deadlines.close(); done() })
  return deadlines
}

function createServerProofs (
  app: FastifyInstance,
  { dpop, issuer }: ResolvedOptions,
  material: KeyMaterial
): Proofs | null {
  if (dpop === null) return null
  const proofs = createProofs({ options: dpop, issuer, material })
  if (proofs.nonces !== null) offerNonces(app, proofs.nonces)
  return proofs
}

/** Who calls, and whether that will do. @param scopePrefix of the plugin's scope */
function createGuarding (
  { options, events, deadlines, tokens, sessions, proofs }: Base,
  turnAway: TurnAway,
  scopePrefix: string
): Pick<Server, 'authenticator' | 'makeGuard' | 'guards' | 'tokenKind'> {
  const resourceMetadata = options.clients.size > 0 ? resourceMetadataOf(options.issuer, scopePrefix) : null
  const attestations = createServerAttestations(options, deadlines, events)
  const kinds = credentialKinds(options, attestations?.kinds ?? [], resourceMetadata)
  const authenticator = createAuthenticator({
    kinds,
    verify: tokens.verify,
    proofs: bindsAccess(options) ? proofs : null,
    sessions,
    tolerance: options.clockTolerance,
    cacheBytes: options.tokenCache
  })
  const access = createAccessDecisions(options.lookupTimeout, deadlines)
  const makeGuard = createGuardMaker({ authenticator, kinds, events, turnAway, access, attestations })
  return { authenticator, makeGuard, guards: createGuards(makeGuard), tokenKind: kinds.token }
}

/** What makes logins, and renews them. */
function createLogins (
  { options, events, deadlines, tokens, sessions, material, proofs }: Base
): Pick<Server, 'loginEvents' | 'singleUse' | 'possession' | 'providers' | 'exchange' | 'refresh' | 'renew'> {
  const loginEvents = createLoginEvents(events)
  const possession = createPossession(proofs, options.dpop?.required ?? false)
  const singleUse = createSingleUse(material, sessions?.spend ?? memoryStore({ limit: spentKeysInMemory }).spend)
  const providers = createProviders(options, deadlines, events)
  const tools = {
    lookup: createLookup(options.permissions, options.lookupTimeout, deadlines),
    mint: createMint(tokens.issue, bindsAccess(options)),
    possession
  }
  return {
    loginEvents,
    singleUse,
    possession,
    providers,
    exchange: createExchange({ ...tools, events: loginEvents, providers, sessions, singleUse }),
    refresh: sessions === null ? null : createRefresh({ ...tools, events, sessions }),
    renew: sessions === null ? null : createRenewal({ ...tools, events, sessions })
  }
}

/** Whether access tokens are bound to the client's key, and not only refresh tokens. */
function bindsAccess ({ dpop }: ResolvedOptions): boolean {
  return dpop?.mode === 'all'
}

function createServerAttestations (
  options: ResolvedOptions,
  deadlines: Deadlines,
  events: Events
): Attestations | null {
  const { applications: verifiers, tokenCache: bytes } = options
  if (verifiers.size === 0) return null
  return createAttestations({ verifiers, bytes, askerOf: createVerifierAsker(options, deadlines, events) })
}

/**
 * RFC 9449, 8.2: whoever proves something is told the newest nonce, so that the next proof need not come twice. An
 * answer out of a cache would tell an old one.
 */
function offerNonces (app: FastifyInstance, nonces: ProofNonces): void {
  app.addHook('onRequest', (request, reply, done) => {
    if (request.headers.dpop !== undefined) {
      reply.headers({ 'dpop-nonce': nonces.current(), 'cache-control': 'no-store' })
    }
    done()
  })
}

function createCodes ({ options: { clients, sessions: settings }, material, sessions }: Base): AuthorizationCodes {
  if (clients.size > 0 && settings !== null) requireOperations(settings.store, ['keep', 'take'], 'clients')
  return createAuthorizationCodes({
    material,
    seals: createSeals(material),
    shelf: sessions ?? placeOf(memoryStore({ limit: keptLoginsInMemory })),
    endSession: async (id, request) => await sessions?.revokeSession(id, { cause: 'code-reused', request })
  })
}

function createIncoming ({ options, events, deadlines, sessions }: Base): ProviderEvents {
  const { providers, sessions: settings, onProviderEvent: listener, lookupTimeout: milliseconds } = options
  const isSent = [...providers.values()].some(({ readEvents }) => readEvents !== undefined)
  const needed = ['keep', 'take', 'listByIdentity', 'listByProviderSession'] as const
  if (isSent && settings !== null) requireOperations(settings.store, needed, 'events of a provider')
  const place = sessions ?? placeOf(memoryStore({ limit: doneEventsInMemory }))
  return createProviderEvents({ events, deadlines, sessions, place, listener, milliseconds })
}

function placeOf (store: SessionStore): SharedPlace {
  return {
    now: Date.now,
    spend: store.spend,
    keep: (key, value, milliseconds) => store.keep(key, value, Date.now() + milliseconds),
    take: store.take
  }
}

async function openSessions (
  app: FastifyInstance,
  options: ResolvedOptions,
  events: Events
): Promise<Sessions | null> {
  if (options.sessions === null) return null
  const report = (message: string, err?: unknown): void => app.log.warn(err === undefined ? {} : { err }, message)
  const sessions = createSessions(options.sessions, { ...options, report, events })
  app.addHook('preClose', done => { sessions.unfollow(); done() })
  app.addHook('onClose', async () => { await sessions.close() })
  await sessions.open()
  return sessions
}
