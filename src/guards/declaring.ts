import { callback, integer, list, oneOf, open, refused, text, type Reader } from '../options/values.js'
import { levels, type Level, type Permission } from '../permissions/permissions.js'
import type { AccessCheck, PermissionOf, RecentLogin } from './decide.js'
import type { Guard, MakeGuard } from './guards.js'

/** The guards that an application puts on its routes; each makes an `onRequest` hook. */
export interface Guards {
  /**
   * @throws errors.OptionInvalidError where the route is declared, for an unknown level
   *
   * @example
   * ```ts
   * app.get('/todos', { onRequest: app.requireLevel('authenticated') }, ({ auth }) => ({ owner: auth.user?.id }))
   * ```
   */
  requireLevel (level: Level): Guard
  /**
   * All of these; a function says which one a request needs. @throws errors.OptionInvalidError without a name
   *
   * @example
   * ```ts
   * app.get<{ Params: { id: string } }>('/lists/:id', {
   *   onRequest: app.requirePermission('todo:read', ({ params: { id } }) => `list:${id}:read`)
   * }, request => ({ list: request.params.id }))
   * ```
   */
  requirePermission (...permissions: Array<Permission | PermissionOf>): Guard
  /**
   * At least one of these, likewise. @throws errors.OptionInvalidError without a name
   *
   * @example
   * ```ts
   * const onRequest = app.requireAnyPermission('report:read', 'report:write')
   * app.get('/reports', { onRequest }, () => ({ reports: [] }))
   * ```
   */
  requireAnyPermission (...permissions: Array<Permission | PermissionOf>): Guard
  /**
   * A user's token: a master key alone does not do.
   *
   * @example
   * ```ts
   * app.get('/me', { onRequest: app.requireUser() }, request => ({ id: userOf(request).id }))
   * ```
   */
  requireUser (): Guard
  /**
   * A user who has logged in at the provider lately, and in one of these ways; a master key passes. Else 401, with what
   * would do in its challenge (RFC 9470).
   *
   * @example
   * ```ts
   * app.delete('/account', { onRequest: app.requireRecentLogin({ maxAge: 300 }) }, async (_request, reply) => {
   *   return await reply.code(204).send()
   * })
   * ```
   * @throws errors.OptionInvalidError where the route is declared
   */
  requireRecentLogin (login: RecentLogin): Guard
  /**
   * Whoever the application itself lets in, within `lookupTimeout`; a master key passes unasked. What the check throws
   * goes to the error handler.
   *
   * @example
   * ```ts
   * const isOwner = app.requireAccess(({ user }, { params }) => Object(params).owner === user?.id)
   * app.get('/users/:owner/todos', { onRequest: isOwner }, () => ({ todos: [] }))
   * ```
   * @throws errors.OptionInvalidError where the route is declared
   */
  requireAccess (check: AccessCheck): Guard
}

export function createGuards (make: MakeGuard): Guards {
  return {
    requireLevel: level => make({ level: oneOf(...levels)(level, 'requireLevel') }),
    requirePermission: (...names) => make({ permissions: neededPermissions(names, 'requirePermission') }),
    requireAnyPermission: (...names) => make({ anyPermission: neededPermissions(names, 'requireAnyPermission') }),
    // Put on a route without being called, it would be called for each request, and never answer.
    requireUser: (...given: unknown[]) => {
      if (given.length > 0) {
        throw refused('requireUser', 'takes nothing: write requireUser(), with brackets, on the route')
      }
      return make({ user: true })
    },
    requireRecentLogin: login => make({ recentLogin: readRecentLogin(login, 'requireRecentLogin') }),
    requireAccess: check => make({ access: accessCheck(check, 'requireAccess') })
  }
}

const accessCheck = callback((value: unknown): value is AccessCheck => typeof value === 'function')
const permissionOf = callback((value: unknown): value is PermissionOf => typeof value === 'function')
const neededPermissions = list<string | PermissionOf>((value, path) =>
  (typeof value === 'function' ? permissionOf : text)(value, path))

const readRecentLogin: Reader<RecentLogin> = (value, path) => {
  const given = open(value, path, ['maxAge', 'acr'])
  return Object.freeze({
    maxAge: given.read('maxAge', integer(1, Number.MAX_SAFE_INTEGER)),
    ...(given.has('acr') && { acr: given.read('acr', list(acrValue)) })
  })
}

// They stand in a header, with blanks between (RFC 6749, 3.3: what a word there is made of).
const acrValue: Reader<string> = (value, path) => {
  if (typeof value !== 'string' || !/^[!#-[\]-~]+$/.test(value)) {
    throw refused(path, 'must be visible ASCII without blanks, quotation marks and backslashes')
  }
  return value
}
