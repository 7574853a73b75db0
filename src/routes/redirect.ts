import type {
  FastifyBaseLogger, FastifyInstance, FastifyReply, FastifyRequest, LogLevel, RouteShorthandOptions
} from 'fastify'
import { errors, isOurs } from '../errors.js'
import type { AuthorizationHints } from '../identity.js'
import type { RedirectProvider } from '../login/ask-provider.js'
import type { FlowCookies } from '../login/flow-cookies.js'
import type { Exchange } from '../login/login.js'
import { createRedirectFlows } from '../login/redirect-flow.js'
import { createSeals } from '../login/seals.js'
import type { Vouched } from '../login/verified-identity.js'
import type { Server } from '../server.js'

/** Where one kind of login by redirect lands. The way there is the same for all. */
export interface Landing<Asked> {
  /** What was asked for at the start, as it came back with the browser. */
  restore (value: unknown): Asked
  /** Answers a browser whose user the provider has vouched for. */
  succeed (asked: Asked, vouched: Vouched, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply>
  /** Answers one that has failed; `asked` is null for an answer that belongs to no login of this browser. */
  fail (asked: Asked | null, thrown: unknown, reply: FastifyReply): FastifyReply
}

/** What one kind of login by redirect has of its own. */
export interface Way<Asked> {
  /** The public address to which a provider sends browsers back. */
  callbackOf (provider: string): string
  cookies: FlowCookies
  landing: Landing<Asked>
  /** Whether a browser may come back without its cookie. */
  ridesInState (asked: Asked): boolean
}

/** What a browser is sent to a provider for. */
export interface Departure<Asked> extends AuthorizationHints {
  provider: string
  /** What JSON can say. */
  asked: Asked
}

/** The two visits of a browser: it is sent to the provider, and it comes back. */
export interface RedirectLogin<Asked> {
  /** @throws errors.ProviderUnknownError */
  begin (departure: Departure<Asked>, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply>
  /** @param answer the provider's parameters. @throws errors.ProviderUnknownError */
  comeBack (
    provider: string,
    answer: URLSearchParams,
    request: FastifyRequest,
    reply: FastifyReply
  ): Promise<FastifyReply>
}

export function redirectLogin<Asked> (
  { exchange, loginEvents, singleUse, material }: Server,
  { callbackOf, cookies, landing, ridesInState }: Way<Asked>
): RedirectLogin<Asked> {
  const flows = createRedirectFlows(createSeals(material))
  return {
    async begin ({ provider: name, asked, ...hints }, request, reply) {
      const { redirection } = redirecting(exchange, name)
      const startedAt = performance.now()
      try {
        const at = { provider: name, redirectUri: callbackOf(name) }
        const { nonce } = singleUse.issueNonce()
        const flow = await flows.begin({ ...at, ...hints, asked, nonce, ridesInState: ridesInState(asked) })
        const location = await redirection.authorizationUrl(flow.request, request)
        return reply.header('set-cookie', cookies.keep(flow.request.state, flow.sealed)).redirect(location, 302)
      } catch (thrown) {
        loginEvents.failed(name, thrown, request, startedAt, openLog(request))
        return landing.fail(asked, logged(thrown, request), reply)
      }
    },

    async comeBack (name, answer, request, reply) {
      const provider = redirecting(exchange, name)
      const startedAt = performance.now()
      const { headers: { cookie } } = request
      const state = answer.get('state') ?? ''
      for (const ended of cookies.end(state, cookie)) reply.header('set-cookie', ended)
      let asked: Asked | null = null
      try {
        const at = { provider: name, redirectUri: callbackOf(name) }
        const flow = await flows.resume(cookies.read(state, cookie), at, answer)
        asked = landing.restore(flow.asked)
        const vouched = await exchange.redeem(provider, flow.answer(), request)
        return await landing.succeed(asked, vouched, request, reply)
      } catch (thrown) {
        if (asked !== null) loginEvents.failed(name, thrown, request, startedAt, openLog(request))
        return landing.fail(asked, logged(thrown, request), reply)
      }
    }
  }
}

function redirecting (exchange: Exchange, name: string): RedirectProvider {
  const { redirection, ...policy } = exchange.provider(name)
  if (redirection === null) throw new errors.ProviderUnknownError('no login by redirect')
  return { ...policy, redirection }
}

/** These routes log nothing below warnings; why a login was refused is to be seen all the same. */
function openLog ({ server, id }: FastifyRequest): FastifyBaseLogger {
  return server.log.child({ reqId: id })
}

function logged (thrown: unknown, { log }: FastifyRequest): unknown {
  if (!isOurs(thrown)) log.error({ err: thrown }, 'the login by redirect failed')
  return thrown
}

/** The query, read here: the application may have set a parser of its own. */
export function queryOf ({ url }: FastifyRequest): URLSearchParams {
  const start = url.indexOf('?')
  return new URLSearchParams(start === -1 ? '' : url.slice(start))
}

/** A page, and the policy of its answer. */
export interface Page { html: string, policy: string }

const policies = new WeakMap<object, string>()

export function sendPage ({ html, policy }: Page, reply: FastifyReply): FastifyReply {
  policies.set(reply, policy)
  return reply.type('text/html; charset=utf-8').send(html)
}

/** A policy under which `scripts` may run, and nothing else. */
export function policyWith (scripts: string): string {
  return `default-src 'none'; script-src ${scripts}; base-uri 'none'; frame-ancestors 'none'; form-action 'none'`
}

const closedPolicy = policyWith("'none'")

interface LoggedRequest { method?: string, url?: string }
interface LoggedReply { statusCode?: number }

/**
 * For routes that browsers are sent through, with codes and tokens in URLs: log lines hold no query, answers let no
 * address leak, and the popup keeps its opener. As hooks of the route they run after all hooks of the application.
 */
export function browserRoute (scope: FastifyInstance, config: object): RouteShorthandOptions {
  return {
    config,
    exposeHeadRoute: false,
    // Fastify logs URLs: here from warnings on, and then the path.
    logLevel: quiet(scope.log.level),
    logSerializers: {
      req: ({ method, url }: LoggedRequest) => ({ method, url: url?.split('?')[0] }),
      res: ({ statusCode }: LoggedReply) => ({ statusCode })
    },
    onSend: (_request, reply, _payload, done) => {
      reply.headers({
        'content-security-policy': policies.get(reply) ?? closedPolicy,
        'cross-origin-opener-policy': 'unsafe-none',
        'referrer-policy': 'no-referrer',
        'x-content-type-options': 'nosniff'
      })
      done()
    }
  }
}

function quiet (level: string): LogLevel {
  return level === 'error' || level === 'fatal' || level === 'silent' ? level : 'warn'
}
