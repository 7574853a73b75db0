import { randomUUID } from 'node:crypto'
import type { FastifyInstance, RouteOptions } from 'fastify'
import type { Requirement } from '../guards/decide.js'
import { kOwnRoute, requirementOf } from '../guards/guards.js'
import { matcherOf, type DefaultLevel } from '../guards/route-guards.js'
import { isObject } from '../strict-json.js'
import type { Operation } from '../routes/operation.js'
import { operationsOf, type DocumentedDialect } from '../routes/operations.js'
import type { Server } from '../server.js'
import { announcer, type Document } from './announcer.js'
import { completeOperations, noteName, removeNotes, type Note } from './notes.js'
import { createSecurity, type Security } from './security.js'

/** A route, and the scope that it was declared in. */
interface Declared { readonly scope: FastifyInstance, readonly route: RouteOptions & { routePath: string } }

/**
 * Completes the document that @fastify/swagger makes of the routes: the plugin's own ones, the security of guarded ones
 * and its schemes. Does nothing where @fastify/swagger is not registered before.
 */
export async function documentRoutes (app: FastifyInstance, server: Server, dialect: DocumentedDialect): Promise<void> {
  if (!app.hasPlugin('@fastify/swagger')) return
  const declared: Declared[] = []
  app.addHook('onRoute', function (route) { declared.push({ scope: this, route }) })
  const announce = await announcer(app)
  // All hooks are there. Fastify has compiled the schemas: nothing that is written into them now is run.
  app.addHook('onReady', done => {
    const security = createSecurity(server.options)
    const notes = leaveNotes(declared.splice(0), notesBy(security, server, dialect))
    const unseen = noteOfUnseen(security, server.options.defaultLevel)
    const schemes = security.schemesFor([...notes.values(), unseen('')].flatMap(({ security }) => security ?? []))
    announce(document => {
      if (document.swagger !== undefined) return removeNotes(document)
      completeOperations(document, notes, unseen)
      addSchemes(document, schemes)
    })
    done()
  })
}

/** A scheme of the application's own with the same name stays. */
function addSchemes (document: Document, schemes: object): void {
  const { securitySchemes, ...others } = isObject(document.components) ? document.components : {}
  const theirs = isObject(securitySchemes) ? securitySchemes : {}
  document.components = { ...others, securitySchemes: { ...schemes, ...theirs } }
}

/** What is known of a route. */
type NoteOf = (declared: Declared) => Note

function notesBy (security: Security, server: Server, dialect: DocumentedDialect): NoteOf {
  const { defaultLevel } = server.options
  const operations = operationsOf(server, dialect)
  const isLeftOut = matcherOf(defaultLevel?.except ?? [])

  return ({ scope, route }) => {
    if (route.config?.[kOwnRoute] === true) {
      const operation = operations.get(`${String(route.method)} ${route.routePath}`) ?? null
      return { security: security.requirementsOf(guardsOf(scope, route)), operation }
    }
    const guards = guardsOf(scope, route)
    // It asks whether a guard of `onRequest` has run.
    const isFree = defaultLevel === null || isLeftOut(route.url) || guardsOf(scope, route, ['onRequest']).length > 0
    if (!isFree) guards.push(defaultLevel)
    return { security: guards.length === 0 ? null : security.requirementsOf(guards), operation: null }
  }
}

/** Of a route that was declared before the plugin: the default level is all that guards it. */
function noteOfUnseen (security: Security, defaultLevel: DefaultLevel | null): (path: string) => Note {
  const nothing = { security: null, operation: null }
  if (defaultLevel === null) return () => nothing
  const guarded = { security: security.requirementsOf([defaultLevel]), operation: null }
  // Its path as documents write it: `/users/{id}`.
  const isLeftOut = matcherOf(defaultLevel.except.map(pattern => pattern.replace(/:(\w+)/g, '{$1}')))
  return path => isLeftOut(path.replace('{*}', '*')) ? nothing : guarded
}

/** Where hooks stand that may be guards. */
const places = ['onRequest', 'preParsing', 'preValidation', 'preHandler'] as const

function guardsOf (
  scope: FastifyInstance,
  route: RouteOptions,
  among: ReadonlyArray<(typeof places)[number]> = places
): Requirement[] {
  const hooks = among.flatMap(place => [...hooksOf(scope, place), ...[route[place] ?? []].flat()])
  return hooks.flatMap(hook => requirementOf(hook) ?? [])
}

/** Of a scope, with those that it inherits. Fastify shows them nowhere but in a member of its own. */
function hooksOf (scope: FastifyInstance, place: (typeof places)[number]): readonly unknown[] {
  const symbol = Object.getOwnPropertySymbols(scope).find(({ description }) => description === 'fastify.hooks')
  const all: unknown = symbol === undefined ? undefined : Reflect.get(scope, symbol)
  const hooks: unknown = isObject(all) ? all[place] : []
  return Array.isArray(hooks) ? hooks : []
}

/** Writes the name of its note into the schema of each route, for the operation to be found by. */
function leaveNotes (declared: readonly Declared[], noteOf: NoteOf): ReadonlyMap<unknown, Note> {
  const notes = new Map<unknown, Note>()
  for (const one of declared) {
    const [name, note] = [randomUUID(), noteOf(one)]
    notes.set(name, note)
    const written: object = { ...headOf(note.operation), ...one.route.schema, [noteName]: name }
    one.route.schema = written
  }
  return notes
}

/** What may pass the application's `transform`: it may read other schemas than JSON Schema. */
function headOf (operation: Operation | null): object {
  if (operation === null) return {}
  const { parameters, requestBody, responses, ...head } = operation
  return head
}
