import type { FastifyInstance, FastifyReply, FastifyRequest, LogLevel, RouteShorthandOptions } from 'fastify'
import { codeOf, errors } from '../errors.js'
import type { RedirectProvider } from '../login/ask-provider.js'
import type { Exchange } from '../login/login.js'
import type { SingleUse } from '../login/single-use.js'
import type { FlowCookie, RedirectFlows } from '../login/redirect-flow.js'
import type { Verified } from '../login/verified-identity.js'

/** How one kind of login by redirect ends. The way there is the same for all. */
export interface Ending<Asked> {
  /** What the query of the start asks for. @throws to refuse it: the browser then goes nowhere */
  read (query: URLSearchParams): Asked
  /** The same, of what came back with the browser. */
  restore (value: unknown): Asked
  /** Answers a browser whose user the provider has vouched for. */
  succeed (asked: Asked, verified: Verified, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply>
  /** Answers one that has failed; `asked` is null for an answer that belongs to no login of this browser. */
  fail (asked: Asked | null, thrown: unknown, reply: FastifyReply): FastifyReply
}

export interface RedirectParts {
  exchange: Exchange
  singleUse: SingleUse
  flows: RedirectFlows
  cookie: FlowCookie
}

type Visit = (provider: string, request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply>

/** The two visits of a browser: it is sent to the provider, and it comes back. */
export interface RedirectLogin { begin: Visit, comeBack: Visit }

/** @param callbackOf the public address to which a provider sends browsers back */
export function redirectLogin<Asked> (
  { exchange, singleUse, flows, cookie }: RedirectParts,
  callbackOf: (provider: string) => string,
  ending: Ending<Asked>
): RedirectLogin {
  const begin: Visit = async (name, request, reply) => {
    const { redirection } = redirecting(exchange, name)
    const asked = ending.read(queryOf(request))
    try {
      const start = { provider: name, redirectUri: callbackOf(name), asked, nonce: singleUse.issueNonce().nonce }
      const flow = await flows.begin(start)
      const location = await redirection.authorizationUrl(flow.request, request)
      return reply.header('set-cookie', cookie.keep(flow.sealed)).redirect(location, 302)
    } catch (thrown) {
      return ending.fail(asked, logged(thrown, request), reply)
    }
  }

  const comeBack: Visit = async (name, request, reply) => {
    const provider = redirecting(exchange, name)
    reply.header('set-cookie', cookie.end)
    let asked: Asked | null = null
    try {
      const at = { provider: name, redirectUri: callbackOf(name) }
      const flow = await flows.resume(cookie.read(request.headers.cookie), at, queryOf(request))
      asked = ending.restore(flow.asked)
      const verified = await exchange.redeem(provider, flow.answer(), request)
      return await ending.succeed(asked, verified, request, reply)
    } catch (thrown) {
      return ending.fail(asked, logged(thrown, request), reply)
    }
  }

  return { begin, comeBack }
}

function redirecting (exchange: Exchange, name: string): RedirectProvider {
  const { redirection, ...policy } = exchange.provider(name)
  if (redirection === null) throw new errors.ProviderUnknownError('no login by redirect')
  return { ...policy, redirection }
}

function logged (thrown: unknown, { log }: FastifyRequest): unknown {
  const isKnown = codeOf(thrown)?.startsWith('AUTH_ERR_') === true
  log[isKnown ? 'info' : 'error']({ err: thrown }, 'the login by redirect failed')
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
