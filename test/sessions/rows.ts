import { randomBytes } from 'node:crypto'
import type { Revocation, Session } from '../../src/sessions/store.js'

/** Rows of tests, each of an id of its own. */
export function newSession (different: Partial<Session> = {}): Session {
  const now = Date.now()
  return {
    id: randomBytes(16).toString('base64url'),
    issuer: 'https://api.example',
    userId: 'test:1',
    identity: '{"provider":"test","subject":"1","claims":{}}',
    identityKey: '["test","1"]',
    providerSession: null,
    secretId: 's',
    counter: 0,
    arrivedAt: null,
    createdAt: now,
    lastUsedAt: now,
    expiresAt: now + 60_000,
    ended: false,
    version: 0,
    ...different
  }
}

export function newRevocation (different: Partial<Revocation> = {}): Revocation {
  const { id, issuer, createdAt: at } = newSession()
  return { kind: 'session', issuer, id, at, expiresAt: at + 60_000, ...different }
}
