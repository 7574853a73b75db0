import type { Test } from 'tap'
import { errors } from '../../src/errors.js'
import type { Identity } from '../../src/identity.js'
import { resolveSessionOptions } from '../../src/sessions/session-options.js'
import type { SessionGrant } from '../../src/sessions/chain.js'
import type { SessionStore } from '../../src/sessions/store.js'
import { createSessions, type Sessions } from '../../src/sessions/sessions.js'
import { memoryStore } from '../../src/sessions/stores/memory.js'
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

type Lookup<Granted> = (identity: Identity) => Promise<Granted | null>

/** A login that nothing comes between. */
export async function logIn (sessions: Sessions, userId = 'test:1', who = identity): Promise<SessionGrant> {
  const mark = sessions.mark()
  const grant = await sessions.begin(who, userId, mark)
  await sessions.evict(userId)
  try {
    sessions.confirm(who, userId, mark)
  } catch (refusal) {
    await sessions.discard(grant.sessionId)
    throw refusal
  }
  return grant
}

/** The user of a grant's access token, as a guard sees it. */
export function userOf ({ tokenId, sessionId }: { tokenId: string, sessionId: string }, id = 'test:1', who = identity) {
  const { provider, subject } = who
  return { id, tokenId, sessionId, issuedAt: Math.floor(Date.now() / 1000), provider, subject }
}

/** Until a server that learns of it by itself refuses; the test's time limit ends the wait. */
export async function refusing (check: () => void, code: string = errors.TokenRevokedError.code): Promise<void> {
  await until(() => {
    try {
      check()
      return false
    } catch (error) {
      return error instanceof Error && Reflect.get(error, 'code') === code
    }
  })
}

export async function until (isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!await isSo()) await new Promise(resolve => setImmediate(resolve))
}

/**
 * A store that counts how often a server has begun to read its list of revocations. `hasEnded` waits until a row has
 * ended, but for no more than five readings from now on: what a server ends by itself it ends behind the first ones.
 */
export function counted (store: SessionStore) {
  let readings = 0
  return {
    store: {
      ...store,
      revocations: async (...asked: Parameters<SessionStore['revocations']>) => {
        readings++
        return await store.revocations(...asked)
      }
    },
    hasEnded: async (sessionId: string): Promise<boolean> => {
      const last = readings + 5
      const isEnded = async () => (await store.read(sessionId))?.ended === true
      await until(async () => readings > last || await isEnded())
      return await isEnded()
    }
  }
}

/** A refresh, as the route does it. */
export async function refresh<Granted extends { userId: string }> (
  sessions: Sessions,
  refreshToken: string,
  lookup: Lookup<Granted>
): Promise<SessionGrant & { granted: Granted }> {
  const claim = await sessions.present(refreshToken)
  const granted = await lookup(claim.identity).catch(error => {
    claim.postpone()
    throw error
  })
  if (granted === null) {
    await claim.end()
    throw new errors.AccessDeniedError()
  }
  return { ...await claim.advance(granted.userId), granted }
}

const unheard = { report: () => {}, events: { isHeard: () => false, publish: () => {} } }

/** One server's sessions on a store. */
export function sessionsOn (store: SessionStore, options: object = {}, tokenLifetime = 3600): Sessions {
  const defaults = { keyMaterial: [], makeStore: memoryStore }
  const resolved = resolveSessionOptions({ store, secrets: [secret], ...options }, defaults)
  return createSessions(resolved, { issuer, accessTokenLifetime: tokenLifetime, clockTolerance: 5, ...unheard })
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
