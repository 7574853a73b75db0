import type { LogLevel, RouteOptions } from 'fastify'
import { isObject } from '../strict-json.js'
import { callback, dictionary, oneOf, type Given } from './values.js'

/** How the plugin's own routes log. */
export interface RouteLogging {
  readonly logLevel: LogLevel | null
  readonly logSerializers: Readonly<Record<string, LogSerializer>>
}

type LogSerializer = (value: unknown) => unknown

/** What a route says of itself wins. */
export function applyLogging (route: RouteOptions, { logLevel, logSerializers }: RouteLogging): void {
  // Fastify has put an empty string where the route says nothing.
  if (logLevel !== null) route.logLevel ||= logLevel
  route.logSerializers ??= logSerializers
}

const readLogLevel = oneOf('fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent')
const readSerializers = dictionary(callback((value): value is LogSerializer => typeof value === 'function'))

/** Reads Fastify's own two options, which it does not apply to a plugin that shares its parent's scope. */
export function readLogging (given: Given<'logLevel' | 'logSerializers'>): RouteLogging {
  return {
    logLevel: given.read<LogLevel | null>('logLevel', readLogLevel, null),
    logSerializers: {
      req: requestWithoutQuery,
      ...Object.fromEntries(given.read('logSerializers', readSerializers, new Map()))
    }
  }
}

// A client that puts a grant into the query, where nobody reads it, would find it in Fastify's line of the request.
function requestWithoutQuery (request: unknown): unknown {
  if (!isObject(request)) return undefined
  const { method, url, host, ip } = request
  return { method, url: typeof url === 'string' ? url.split('?', 1)[0] : undefined, host, remoteAddress: ip }
}
