import type { FastifyInstance, preParsingHookHandler, RouteOptions } from 'fastify'
import { errors } from '../errors.js'
import { list, listOrEmpty, oneOf, open, refused, text, type Reader } from '../options/values.js'
import { isObject } from '../strict-json.js'
import { levels, type Level, type Permission } from '../permissions/permissions.js'
import type { Requirement } from './decide.js'
import type { Guards } from './declaring.js'
import { kOwnRoute, type Guard, type MakeGuard } from './guards.js'
import { kAuth } from './request-auth.js'

/** Guards of a route in its `config.tokenExchange`, for frameworks that set a route's config but no hooks. */
export interface RouteGuards {
  level?: Level
  /** All of these. */
  permissions?: readonly Permission[]
  /** At least one of these. */
  anyPermission?: readonly Permission[]
}

/** A guard for every route that has none of its own, but for some. */
export interface DefaultLevel {
  level: Level
  /** Patterns of routes as they were declared, prefixes included; `/docs/*` stands for all below `/docs/`. */
  except: readonly string[]
}

const level = oneOf(...levels)

/** A level alone leaves out no route. */
export const readDefaultLevel: Reader<DefaultLevel> = (value, path) => {
  if (!isObject(value)) return { level: level(value, path), except: [] }
  const given = open(value, path, ['level', 'except'])
  return Object.freeze({ level: given.read('level', level), except: given.read('except', listOrEmpty(routePattern)) })
}

const routePattern: Reader<string> = (value, path) => {
  if (typeof value !== 'string' || !value.startsWith('/')) {
    throw refused(path, "must be the pattern of a route as it was declared, such as '/users/:id', or '/docs/*'")
  }
  if (value === '/*') throw refused(path, 'would leave out every route')
  return value
}

/** @throws errors.OptionInvalidError for wrong values and unknown members */
function readRequirement (config: unknown): Requirement {
  const given = open(config, 'config.tokenExchange', ['level', 'permissions', 'anyPermission'])
  const requirement = {
    ...(given.has('level') && { level: given.read('level', level) }),
    ...(given.has('permissions') && { permissions: given.read('permissions', list(text)) }),
    ...(given.has('anyPermission') && { anyPermission: given.read('anyPermission', list(text)) })
  }
  if (Object.keys(requirement).length === 0) throw refused('config.tokenExchange', 'must ask for something')
  return requirement
}

/**
 * Puts on each route that is declared from now on what its config asks for, before its own hooks.
 *
 * @throws errors.OptionInvalidError from the declaration of a route whose config is wrong; from `ready`, where a route
 * has a guard that was not called
 */
export function guardDeclaredRoutes (app: FastifyInstance, guards: Guards, make: MakeGuard): void {
  const names = new Map<unknown, string>(Object.entries(guards).map(([name, guard]) => [guard, name]))
  const uncalled: string[] = []

  app.addHook('onRoute', route => {
    uncalled.push(...uncalledIn(route, names))
    const asked = route.config?.tokenExchange
    if (asked === undefined) return
    const own = route.onRequest ?? []
    route.onRequest = [make(readRequirement(asked)), ...(Array.isArray(own) ? own : [own])]
  })
  app.addHook('onReady', done => {
    const [first] = uncalled
    done(first === undefined ? undefined : new errors.OptionInvalidError(first))
  })
}

function uncalledIn (route: RouteOptions, names: ReadonlyMap<unknown, string>): string[] {
  return Object.entries(route).flatMap(([hook, value]) => [value].flat().flatMap(one => {
    const name = names.get(one)
    const where = `${String(route.method)} ${route.url}`
    return name === undefined ? [] : [`${where}: ${hook} has ${name}, which was not called: write ${name}(…)`]
  }))
}

/** Puts it on the whole application. @throws errors.OptionInvalidError in another scope than the root */
export function addDefaultGuard (app: FastifyInstance, make: MakeGuard, byDefault: DefaultLevel): void {
  if (!isRoot(app)) {
    throw new errors.OptionInvalidError(
      'defaultLevel guards the whole application: register the plugin in the root scope, or inside of a plugin of ' +
      'your own that fastify-plugin wraps'
    )
  }
  app.addHook('preParsing', defaultGuard(make, byDefault))
  app.addHook('onReady', done => {
    warnOfMiddleware(app)
    done()
  })
}

// An encapsulated scope inherits from its parent; only the root inherits from nothing of Fastify's.
function isRoot (app: FastifyInstance): boolean {
  return Object.getPrototypeOf(app) === Object.prototype
}

/** What answers before there is a route is guarded by nobody. */
function warnOfMiddleware (app: FastifyInstance): void {
  for (const name of ['@fastify/middie', '@fastify/express']) {
    if (!app.hasPlugin(name)) continue
    app.log.warn(`defaultLevel guards routes: middleware of ${name} that answers by itself is not guarded`)
  }
}

/**
 * Guards every route that no guard of its own has looked at: at what its config asks for, else at this level, unless it
 * is left out.
 *
 * It runs in `preParsing`: after all `onRequest` hooks, of whatever scope, so that it sees whether one of them was a
 * guard, and before the body is read. As a hook of the root it reaches routes declared before and after.
 */
function defaultGuard (make: MakeGuard, { level, except }: DefaultLevel): preParsingHookHandler {
  const isLeftOut = matcherOf(except)
  const byLevel = make({ level })
  const byConfig = new WeakMap<object, Guard>()

  function guardOf (asked: RouteGuards): Guard {
    const guard = byConfig.get(asked) ?? make(readRequirement(asked))
    byConfig.set(asked, guard)
    return guard
  }

  return function tokenExchangeDefaultGuard (request, reply, _payload, done) {
    if (request.is404) return done()
    const { url, config: { [kOwnRoute]: isOwn, tokenExchange: asked } } = request.routeOptions
    if (isOwn === true) return done()
    // A route declared before the plugin: other guards beside take nothing from it; what is wrong in it throws, here.
    if (asked !== undefined) return guardOf(asked)(request, reply, done)
    if (request[kAuth] != null || isLeftOut(url)) return done()
    byLevel(request, reply, done)
  }
}

/** By what was declared, never by the path of a request, which has many spellings. */
export function matcherOf (patterns: readonly string[]): (route: string | undefined) => boolean {
  const exact = new Set(patterns)
  const roots = patterns.filter(pattern => pattern.endsWith('/*')).map(pattern => pattern.slice(0, -1))
  return route => route !== undefined && (exact.has(route) || roots.some(root => route.startsWith(root)))
}
