import type { LogLevel, RouteOptions } from 'fastify'
import { isObject } from './strict-json.js'
import { refused } from './option-values.js'

/** How the plugin's own routes log. */
export interface RouteLogging {
  readonly logLevel?: LogLevel
  readonly logSerializers: Readonly<Record<string, (value: unknown) => unknown>>
}

const levels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const

/** What a route says of itself wins. */
export function applyLogging (route: RouteOptions, { logLevel, logSerializers }: RouteLogging): void {
  // Fastify has put an empty string where the route says nothing.
  if (logLevel !== undefined) route.logLevel ||= logLevel
  route.logSerializers ??= logSerializers
}

/**
 * Reads Fastify's own two options, which it does not apply to a plugin that shares its parent's scope.
 *
 * @throws errors.OptionInvalidError
 */
export function readLogging (logLevel: unknown, logSerializers: unknown = {}): RouteLogging {
  if (!isObject(logSerializers)) throw refused('logSerializers', 'must be an object of functions')
  const serializers = Object.entries(logSerializers).map(
    ([name, serialize]) => [name, readSerializer(serialize, `logSerializers.${name}`)] as const
  )
  return {
    ...(logLevel !== undefined && { logLevel: readLogLevel(logLevel) }),
    logSerializers: { req: requestWithoutQuery, ...Object.fromEntries(serializers) }
  }
}

function readLogLevel (value: unknown): LogLevel {
  const found = levels.find(level => level === value)
  if (found === undefined) throw refused('logLevel', 'must be a level of pino')
  return found
}

function readSerializer (value: unknown, path: string): (value: unknown) => unknown {
  if (typeof value !== 'function') throw refused(path, 'must be a function')
  return subject => Reflect.apply(value, undefined, [subject])
}

// A client that puts a grant into the query, where nobody reads it, would find it in Fastify's line of incoming requests.
function requestWithoutQuery (request: unknown): unknown {
  if (!isObject(request)) return undefined
  const { method, url, host, ip } = request
  return { method, url: typeof url === 'string' ? url.split('?', 1)[0] : undefined, host, remoteAddress: ip }
}
