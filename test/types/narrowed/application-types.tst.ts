import Fastify from 'fastify'
import { expect, test } from 'tstyche'
import type { ExtraClaims, Permission, PermissionLookup, User } from '../../../src/index.js'

declare module '../../../src/index.js' {
  interface TokenExchangeTypes {
    permission: 'todo:read' | 'todo:write'
    claims: { plan: 'free' | 'gold' }
  }
}

const app = Fastify()

test('an application names its permissions', () => {
  expect<Permission>().type.toBe<'todo:read' | 'todo:write'>()
  expect<User['permissions']>().type.toBe<ReadonlyArray<'todo:read' | 'todo:write'>>()
  expect(app.requirePermission).type.toBeCallableWith('todo:read')
  expect(app.requirePermission).type.not.toBeCallableWith('todo:reed')
  expect(app.requireAnyPermission).type.not.toBeCallableWith('todo:read', 'x')
  expect(app.tokenExchange.issue).type.not.toBeCallableWith({ userId: 'ada', permissions: ['x'] })
})

test('an application names its claims', () => {
  expect<ExtraClaims>().type.toBe<{ plan: 'free' | 'gold' }>()
  app.get('/', request => { expect(request.auth.user?.claims.plan).type.toBe<'free' | 'gold' | undefined>() })
  expect(app.tokenExchange.issue).type.toBeCallableWith({ userId: 'ada', claims: { plan: 'gold' } })
  expect(app.tokenExchange.issue).type.not.toBeCallableWith({ userId: 'ada', claims: { plan: 'silver' } })
})

test('its lookup answers with these', () => {
  expect<PermissionLookup>().type.toBeAssignableFrom(() => ({
    permissions: ['todo:read' as const],
    claims: { plan: 'free' as const }
  }))
  expect<PermissionLookup>().type.not.toBeAssignableFrom(() => ({ permissions: ['x' as const] }))
})
