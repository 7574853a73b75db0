import type { FastifyInstance, FastifyRequest, LogLevel, RouteShorthandOptions } from 'fastify'
import { emptyPage, type Page } from './completion-page.js'

interface LoggedRequest { method?: string, url?: string }
interface LoggedReply { statusCode?: number }

/**
 * For routes that browsers are sent through, with codes and tokens in URLs: log lines hold no query, answers let no
 * address leak, and the popup keeps its opener. As hooks of the route they run after all hooks of the application.
 */
export function browserRoute (
  scope: FastifyInstance,
  config: object,
  page: (reply: object) => Page = () => emptyPage
): RouteShorthandOptions {
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
        'content-security-policy': page(reply).policy,
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

/** The query, read here: the application may have set a parser of its own. */
export function queryOf ({ url }: FastifyRequest): URLSearchParams {
  const start = url.indexOf('?')
  return new URLSearchParams(start === -1 ? '' : url.slice(start))
}
