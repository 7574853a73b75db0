import type { Test } from 'tap'
import type { Identity } from '../../src/identity.js'
import { resolveSessionOptions } from '../../src/sessions/session-options.js'
import type { SessionStore } from '../../src/sessions/store.js'
import { createSessions, type Sessions } from '../../src/sessions/sessions.js'
import type { PrivateStore, StoreClient } from './private-stores.js'

export const issuer = 'https://api.example.com'
export const secret = 'a secret of the session tests, more than 32 bytes'

export const identity: Identity = Object.freeze({
  provider: 'test',
  subject: '1',
  clientId: 'ios',
  email: 'ada@example.com',
  emailVerified: true,
  name: 'Ada',
  picture: null,
  locale: 'en',
  claims: { groups: ['a', { b: 1 }] }
})

/** What a lookup that has no doubts answers. */
export const welcome = async () => ({ userId: 'test:1' })

/** One server's sessions on a store. */
export function sessionsOn (store: SessionStore, options: object = {}, tokenLifetime = 3600): Sessions {
  const resolved = resolveSessionOptions({ store, secrets: [secret], ...options }, [])
  return createSessions(resolved, { issuer, accessTokenLifetime: tokenLifetime, clockTolerance: 5, report: () => {} })
}

/** Two servers of one application: two clients of one store. */
export async function twoServers (t: Test, started: PrivateStore, options: object = {}): Promise<[Sessions, Sessions]> {
  return [await serverOn(t, started.connect(), options), await serverOn(t, started.connect(), options)]
}

async function serverOn (t: Test, client: StoreClient, options: object): Promise<Sessions> {
  const sessions = sessionsOn(client.store, options)
  await sessions.open()
  t.teardown(async () => {
    await sessions.close()
    await client.close()
  })
  return sessions
}
