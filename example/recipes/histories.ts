import assert from 'node:assert/strict'
import { checkHistory, type Operation, type Outcome, type StoreOutage } from 'fastify-token-exchange/testing'

export const operations: Operation[] = []
// While you stop the store, or cut a server off: { server: 'b', beganAt, endedAt }, or server: null for all.
export const outages: StoreOutage[] = []

interface Answer { readonly outcome: Outcome, readonly body: Record<string, unknown> }

async function ask (url: string, init: RequestInit): Promise<Answer> {
  const response = await fetch(url, init).catch(() => null)
  if (response === null) return { outcome: 'lost', body: {} }
  const outcome = response.ok ? 'done' : response.status === 503 ? 'unavailable' : 'refused'
  const body: unknown = await response.json()
  return { outcome, body: { ...(typeof body === 'object' && body) } }
}

export async function logIn (server: string, user: string, grant: object): Promise<Operation> {
  const [sentAt, headers] = [performance.now(), { 'content-type': 'application/json' }]
  const init = { method: 'POST', headers, body: JSON.stringify(grant) }
  const { outcome, body } = await ask(`${server}/login/own`, init)
  return record({ kind: 'login', user, identity: user, ...given(body), ...seen(server, sentAt, outcome) })
}

export async function refresh (server: string, refreshToken: string): Promise<Operation> {
  const sentAt = performance.now()
  const form = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: refreshToken })
  const { outcome, body } = await ask(`${server}/token`, { method: 'POST', body: form })
  return record({ kind: 'refresh', refreshToken, ...given(body), ...seen(server, sentAt, outcome) })
}

// A call, a logout and a revocation are recorded alike, with the members that `Operation` has for them.
export async function call (server: string, accessToken: string): Promise<Operation> {
  const sentAt = performance.now()
  const { outcome } = await ask(`${server}/me`, { headers: { authorization: `Bearer ${accessToken}` } })
  return record({ kind: 'call', accessToken, ...seen(server, sentAt, outcome) })
}

const seen = (server: string, sentAt: number, outcome: Outcome) =>
  ({ server, sentAt, answeredAt: performance.now(), outcome })

function given ({ access_token: accessToken, refresh_token: refreshToken }: Answer['body']): object {
  if (typeof accessToken !== 'string' || typeof refreshToken !== 'string') return {}
  return { tokens: { accessToken, refreshToken } }
}

function record (operation: Operation): Operation {
  operations.push(operation)
  return operation
}

export function check (): void {
  assert.deepEqual(checkHistory({ operations, outages }), [])
}
