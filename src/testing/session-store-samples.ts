import { randomBytes } from 'node:crypto'
import type { Revocation, Session, SessionStore } from '../sessions/store.js'

export const issuer = 'https://conformance.example'
/** Callers at once. */
export const racers = 20
const day = 86_400_000

export type StoreChecks = Record<string, (store: SessionStore) => Promise<void>>

export function newSession (different: Partial<Session> = {}): Session {
  const now = Date.now()
  const identity = JSON.stringify({ provider: 'conformance', subject: '1', claims: {} })
  const counted = { counter: 0, arrivedAt: null, ended: false, version: 0 }
  const timed = { createdAt: now, lastUsedAt: now, expiresAt: now + 30 * day }
  return {
    id: randomId(),
    issuer,
    userId: randomId(),
    identity,
    identityKey: JSON.stringify(['conformance', randomId()]),
    providerSession: null,
    secretId: 'secret',
    ...counted,
    ...timed,
    ...different
  }
}

export async function created (store: SessionStore, different: Partial<Session> = {}): Promise<Session> {
  const session = newSession(different)
  await store.create(session)
  return session
}

export function newRevocation (at = Date.now()): Revocation {
  return { kind: 'session', issuer, id: randomId(), at, expiresAt: Date.now() + day }
}

export function newKey (): { key: string, expiresAt: number } {
  return { key: `key ${randomId()}`, expiresAt: Date.now() + day }
}

export async function revocationsAfter (
  store: SessionStore,
  cursor: string | null
): Promise<{ found: Revocation[], cursor: string | null }> {
  const found: Revocation[] = []
  for (
    let page = await store.revocations(cursor, Date.now());
    page.revocations.length > 0;
    page = await store.revocations(cursor, Date.now())
  ) {
    found.push(...page.revocations)
    cursor = page.cursor
  }
  return { found, cursor }
}

export async function lastCursor (store: SessionStore): Promise<string | null> {
  return (await revocationsAfter(store, null)).cursor
}

export function idsOf (all: readonly { id: string }[]): string[] {
  return all.map(({ id }) => id).sort()
}

export function randomId (): string {
  return randomBytes(16).toString('base64url')
}
