import type { Operation } from '../routes/operation.js'
import { isObject } from '../strict-json.js'
import type { Document } from './announcer.js'
import type { SecurityRequirement } from './security.js'

/** What the plugin knows of an operation. */
export interface Note {
  /** Empty where everyone passes, null for a route of the application's without a guard. */
  readonly security: readonly SecurityRequirement[] | null
  /** Of the plugin's own routes. */
  readonly operation: Operation | null
}

/** A member of a route's schema that @fastify/swagger copies into the operation, and no `transform` knows. */
export const noteName = 'x-fastify-token-exchange'

type Members = Record<string, unknown>

/** Completes each operation by its note, and takes that out. @param unseen of a path without one */
export function completeOperations (
  document: Document,
  notes: ReadonlyMap<unknown, Note>,
  unseen: (path: string) => Note
): void {
  for (const { path, operation, name } of operationsIn(document)) {
    const note = name === undefined ? unseen(path) : notes.get(name)
    // Another server of this application has left it, and takes it.
    if (note !== undefined) complete(operation, note, document.security !== undefined)
  }
}

/** Takes the notes out of a document that nothing else is done to. */
export function removeNotes (document: Document): void {
  for (const { operation } of operationsIn(document)) delete operation[noteName]
}

/** @yields each operation once, with the name of its note */
function * operationsIn ({ paths }: Document): Generator<{ path: string, operation: Members, name: unknown }> {
  // One operation may stand for several methods.
  const found = new Set<unknown>()
  for (const [path, item] of Object.entries(isObject(paths) ? paths : {})) {
    const ofMethods: Members = isObject(item) ? item : {}
    // A HEAD may stand in the document by a copy of the route of its GET.
    const ofGet = isObject(ofMethods.get) ? ofMethods.get[noteName] : undefined
    // Whatever its name: Fastify knows methods that OpenAPI 3.0 does not, such as QUERY.
    for (const [method, operation] of Object.entries(ofMethods)) {
      if (!isObject(operation) || found.has(operation)) continue
      found.add(operation)
      yield { path, operation, name: operation[noteName] ?? (method === 'head' ? ofGet : undefined) }
    }
  }
}

/** @param hasDefault whether the document asks for something where an operation says nothing */
function complete (operation: Members, { security, operation: own }: Note, hasDefault: boolean): void {
  delete operation[noteName]
  if (own !== null) {
    const { parameters = [], requestBody, responses } = structuredClone(own)
    if (parameters.length > 0) operation.parameters = parameters
    if (requestBody !== undefined) operation.requestBody = requestBody
    operation.responses = responses
  }
  // What the application says itself stands.
  if (security === null || operation.security !== undefined) return
  if (security.length > 0 || hasDefault) operation.security = structuredClone(security)
}
