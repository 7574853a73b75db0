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

const methods = ['get', 'head', 'post', 'put', 'patch', 'delete', 'options', 'trace'] as const

type Members = Record<string, unknown>

/** Completes each operation by its note, and takes that out. @param unseen of a path without one */
export function completeOperations (
  document: Document,
  notes: ReadonlyMap<unknown, Note>,
  unseen: (path: string) => Note
): void {
  // One operation may stand for several methods.
  const completed = new Set<unknown>()
  for (const [path, item] of Object.entries(isObject(document.paths) ? document.paths : {})) {
    const found: Members = isObject(item) ? item : {}
    // A HEAD may stand in the document by a copy of the route of its GET.
    const ofGet = isObject(found.get) ? found.get[noteName] : undefined
    for (const method of methods) {
      const operation = found[method]
      if (!isObject(operation) || completed.has(operation)) continue
      completed.add(operation)
      const name = operation[noteName] ?? (method === 'head' ? ofGet : undefined)
      const note = name === undefined ? unseen(path) : notes.get(name)
      // Another server of this application has left it, and takes it.
      if (note !== undefined) complete(operation, note, document.security !== undefined)
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
