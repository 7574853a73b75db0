import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { codeOf, errors } from '../errors.js'
import type { Exchange, ExchangeProvider } from '../exchange/exchange.js'
import type { Proven } from '../exchange/mint.js'
import type { Nonces } from '../exchange/nonces.js'
import type { Redirection } from '../exchange/verification.js'
import type { Flows, ReturnedFlow } from '../redirect/flow.js'
import { browserRoute, queryOf } from './browser-route.js'
import { readCompletion, restoreCompletion, type Completion } from './completion.js'
import { createEndings, type Outcome } from './endings.js'
import type { FlowCookie } from './flow-cookie.js'
import type { OneTimeCodes } from './one-time-codes.js'
import { ownPaths } from './paths.js'
import { asRefusal, textOf } from './refusals.js'
import type { Dialect } from './settings.js'

export interface RedirectLoginParts {
  dialect: Dialect
  /** The public address of this server. */
  issuer: string
  exchange: Exchange
  nonces: Nonces
  flows: Flows
  codes: OneTimeCodes
  cookie: FlowCookie
  config: object
}

type NamedRequest = FastifyRequest<{ Params: { provider: string } }>

/** One generation of paths: where a login begins, and where the provider sends the browser back to. */
interface Generation { base: string, callback: (provider: string) => string }

const v1: Generation = { base: '/login', callback: provider => `/login/${provider}` }
const v2: Generation = { base: '/.auth/login', callback: provider => `/.auth/login/${provider}/callback` }

/** Service-directed login: the browser is sent to the provider and comes back. */
export function serviceDirectedLogin (scope: FastifyInstance, parts: RedirectLoginParts): void {
  const { dialect, issuer, exchange, nonces, flows, codes, cookie, config } = parts
  const publicUrl = `${issuer}${scope.prefix}`
  const endings = createEndings()

  async function begin (generation: Generation, request: NamedRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { name, redirection } = redirecting(exchange, request.params.provider)
    const completion = readCompletion(queryOf(request), dialect)
    try {
      const redirectUri = `${publicUrl}${generation.callback(name)}`
      const begun = await flows.begin({ provider: name, redirectUri, completion, nonce: nonces.issue().nonce })
      const url = await redirection.authorizationUrl(begun.request, request.log)
      return reply.header('set-cookie', cookie.keep(begun.sealed)).redirect(url, 302)
    } catch (thrown) {
      return end(generation, completion, failure(thrown, request), reply)
    }
  }

  async function comeBack (generation: Generation, request: NamedRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { name, provider } = redirecting(exchange, request.params.provider)
    reply.header('set-cookie', cookie.end)
    let completion: Completion = { form: 'done' }
    try {
      const at = { provider: name, redirectUri: `${publicUrl}${generation.callback(name)}` }
      const returned = await flows.resume(cookie.read(request.headers.cookie), at, queryOf(request))
      completion = restoreCompletion(returned.completion, dialect)
      const proven = await redeem(provider, returned, request)
      return end(generation, completion, await success(completion, name, proven, request), reply)
    } catch (thrown) {
      return end(generation, completion, failure(thrown, request), reply)
    }
  }

  async function redeem (
    provider: ExchangeProvider,
    { answer, error }: ReturnedFlow,
    request: FastifyRequest
  ): Promise<Proven> {
    if (answer === null) throw new ProviderError(error)
    return await exchange.redeem(provider, answer, request)
  }

  async function success (
    completion: Completion,
    name: string,
    proven: Proven,
    request: FastifyRequest
  ): Promise<Outcome> {
    if (completion.form === 'code') return { code: await codes.make(name, completion.challenge, proven) }
    return { token: await exchange.issue(proven, request) }
  }

  function end ({ base }: Generation, completion: Completion, outcome: Outcome, reply: FastifyReply): FastifyReply {
    return endings.end(completion, outcome, `${publicUrl}${base}/done`, reply)
  }

  async function redeemCode (request: NamedRequest): Promise<object> {
    try {
      const { name } = redirecting(exchange, request.params.provider)
      const query = queryOf(request)
      const [code, verifier] = [only(query, 'authorization_code'), only(query, 'code_verifier')]
      return await codes.redeem(code, { provider: name, verifier }, proven => exchange.issue(proven, request))
    } catch (thrown) {
      throw asRefusal(thrown)
    }
  }

  const route = browserRoute(scope, config, endings.policyOf)
  for (const url of ownPaths(scope, '/login/:provider')) {
    scope.get<{ Params: { provider: string } }>(url, route, (request, reply) =>
      isAnswer(queryOf(request)) ? comeBack(v1, request, reply) : begin(v1, request, reply)
    )
  }
  for (const url of ownPaths(scope, '/.auth/login/:provider')) {
    scope.get<{ Params: { provider: string } }>(url, route, (request, reply) => begin(v2, request, reply))
  }
  for (const url of ownPaths(scope, '/.auth/login/:provider/callback')) {
    scope.get<{ Params: { provider: string } }>(url, route, (request, reply) => comeBack(v2, request, reply))
  }
  for (const url of ownPaths(scope, '/.auth/login/:provider/token')) {
    scope.get<{ Params: { provider: string } }>(url, route, redeemCode)
  }
  for (const base of [v1.base, v2.base]) {
    for (const url of ownPaths(scope, `${base}/done`)) scope.get(url, route, (_request, reply) => endings.done(reply))
  }
}

/** What the provider said instead of a code. Only a word of the protocol is repeated. */
class ProviderError extends Error {
  constructor (error: string | null) {
    super(error !== null && /^[a-z_]{1,40}$/.test(error) ? `The login was refused: ${error}` : 'The login was refused')
  }
}

function failure (thrown: unknown, request: FastifyRequest): Outcome {
  if (thrown instanceof ProviderError) return { error: `Error: ${thrown.message}.` }
  const isKnown = codeOf(thrown)?.startsWith('AUTH_ERR_') === true
  request.log[isKnown ? 'info' : 'error']({ err: thrown }, 'the login by redirect failed')
  return { error: textOf(thrown) }
}

function redirecting (
  exchange: Exchange,
  given: string
): { name: string, provider: ExchangeProvider, redirection: Redirection } {
  const name = given.toLowerCase()
  try {
    const provider = exchange.provider(name)
    if (provider.redirection === null) throw new errors.ProviderUnknownError('no login by redirect')
    return { name, provider, redirection: provider.redirection }
  } catch (thrown) {
    throw asRefusal(thrown)
  }
}

function isAnswer (query: URLSearchParams): boolean {
  return query.has('code') || query.has('error')
}

function only (query: URLSearchParams, name: string): string {
  const [value, another] = query.getAll(name)
  if (value === undefined || value === '' || another !== undefined) {
    throw new errors.GrantRejectedError(`${name} must be given once`)
  }
  return value
}
