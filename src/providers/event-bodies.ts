import { rejected } from '../errors.js'
import type { EventRequest } from '../identity.js'
import { decodeUtf8, parseJson, isObject, type JsonObject } from '../strict-json.js'

/** What a body may hold at most in depth: these come from a server that is known by then, or hold one text. */
const deepestNesting = 32

/** The body as text, of that content type. @throws errors.GrantRejectedError */
export function bodyText ({ headers, body }: EventRequest, contentType: string): string {
  const [given = ''] = (headers['content-type'] ?? '').split(';', 1)
  if (given.trim().toLowerCase() !== contentType) {
    throw rejected('form', 'content type', { expected: contentType, got: given.slice(0, 100) })
  }
  try {
    return decodeUtf8(body)
  } catch {
    throw rejected('form', 'not UTF-8')
  }
}

/** The members of a JSON object, their integers exact. @throws errors.GrantRejectedError */
export function jsonMembers (text: string): JsonObject {
  try {
    const { exact } = parseJson(text, deepestNesting)
    if (isObject(exact)) return exact
  } catch { /* refused below, like all that is not an object */ }
  throw rejected('form', 'no JSON object')
}

/** The one parameter of that name in a form. @throws errors.GrantRejectedError */
export function formMember (request: EventRequest, name: string): string {
  const [value, another] = new URLSearchParams(bodyText(request, 'application/x-www-form-urlencoded')).getAll(name)
  if (value === undefined || another !== undefined) throw rejected('form', name)
  return value
}
