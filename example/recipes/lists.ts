import type { FastifyInstance } from 'fastify'
import { userOf, type PermissionLookup } from 'fastify-token-exchange'

// A table of yours: who may do what with which list. A map stands in for it here.
export const shares = new Map<string, readonly string[]>() // user → `list:7:read`, …

export const permissions: PermissionLookup = ({ provider, subject }) => ({
  permissions: shares.get(`${provider}:${subject}`) ?? []
})

/** Each list has permissions of its own: the guard makes their names from the request. */
export async function listRoutes (app: FastifyInstance): Promise<void> {
  const of = (right: string) => (request: { params: unknown }) => `list:${idOf(request.params)}:${right}`

  app.get('/lists/:id', { onRequest: app.requirePermission(of('read')) }, request => ({
    id: idOf(request.params), reader: userOf(request).id
  }))
  app.delete('/lists/:id', { onRequest: app.requirePermission(of('read'), of('write')) }, (_request, reply) =>
    reply.code(204).send())
}

function idOf (params: unknown): string {
  return String(Reflect.get(Object(params), 'id'))
}
