import { createHash } from 'node:crypto'
import { errors } from '../../errors.js'
import {
  keptAfterExpiry,
  revocationsKept,
  type ListedSession,
  type Revocation,
  type RevocationPage,
  type Session,
  type SessionStore
} from '../store.js'
import { decodeRevocation, decodeSession, encodeRevocation, encodeSession } from './redis-values.js'
import { spendUntil } from './spend-until.js'
import { append, clock, index, replaceIf, spendAll, type Script } from './redis-scripts.js'

const PREFIX = /^[A-Za-z0-9][A-Za-z0-9:._-]{0,63}$/
const PAGE = 1000
const END_ATTEMPTS = 10

/** What the store needs of ioredis (a node or a cluster), or of a client that is compatible with it. */
export interface RedisClient {
  call (command: string, ...args: (string | number)[]): Promise<unknown>
}

export interface RedisStoreOptions {
  /** The application's own connection, which stays the application's: it is not closed here. */
  client: RedisClient
  /** Begins each key; an application of its own has one of its own. @default 'token-exchange:' */
  prefix?: string
}

/**
 * Sessions in Redis 6.2 or later, one node or a cluster: each script touches keys of one hash slot.
 * Revocations are a stream that servers read without blocking, so the connection may be shared.
 */
export function redisStore ({ client, prefix = 'token-exchange:' }: RedisStoreOptions): SessionStore {
  if (typeof client?.call !== 'function') {
    throw new errors.OptionInvalidError('redisStore: client must be an ioredis-compatible client')
  }
  if (!PREFIX.test(prefix)) {
    throw new errors.OptionInvalidError('redisStore: prefix must be 1 to 64 of A-Z a-z 0-9 : . _ -')
  }

  const sessionKey = (id: string): string => `${prefix}session:{${id}}`
  const userKey = (issuer: string, userId: string): string =>
    `${prefix}user:{${digest(JSON.stringify([issuer, userId]))}}`
  const spentKey = (key: string): string => `${prefix}{spent}:${digest(key)}`
  const stream = `${prefix}{revocations}`

  // EVALSHA first: Redis has forgotten its scripts after a restart, and a node of a cluster may not know them yet.
  async function run (
    script: Script,
    keys: readonly string[],
    args: readonly (string | number)[] = []
  ): Promise<unknown> {
    const rest = [keys.length, ...keys, ...args]
    try {
      return await client.call('EVALSHA', script.sha, ...rest)
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error
      return await client.call('EVAL', script.text, ...rest)
    }
  }

  async function read (id: string): Promise<Session | null> {
    return decodeSession(id, await client.call('GET', sessionKey(id)))
  }

  // The index before the row: a session that exists is always found through its user.
  async function remember (session: Session): Promise<void> {
    const now = Date.now()
    await run(index, [userKey(session.issuer, session.userId)], [session.id, keptUntil(session), now])
  }

  async function write (session: Session): Promise<boolean> {
    const value = encodeSession(session)
    const replaced = await run(
      replaceIf,
      [sessionKey(session.id)],
      [`${session.version - 1}:`, value, timeToLive(session)]
    )
    return replaced === 1
  }

  async function endOne (id: string): Promise<void> {
    for (let attempt = 0; attempt < END_ATTEMPTS; attempt++) {
      const session = await read(id)
      if (session === null) return
      if (session.ended || await write({ ...session, ended: true, identity: '', version: session.version + 1 })) {
        await client.call('ZREM', userKey(session.issuer, session.userId), id)
        return
      }
    }
    throw new errors.StoreUnavailableError('a session could not be ended: it kept changing')
  }

  async function list (issuer: string, userId: string, limit: number): Promise<ListedSession[]> {
    const key = userKey(issuer, userId)
    const ids = stringsOf(await client.call('ZRANGE', key, 0, -1))
    const sessions = await Promise.all(ids.map(read))
    const gone = ids.filter((_id, position) => sessions[position] === null)
    if (gone.length > 0) await client.call('ZREM', key, ...gone)
    return sessions.filter(session => session !== null)
      .filter(session => !session.ended && session.issuer === issuer && session.userId === userId)
      .sort((one, other) => one.createdAt - other.createdAt)
      .slice(0, limit).map(({ identity, ...listed }) => listed)
  }

  async function revoke (revocations: readonly Revocation[]): Promise<void> {
    if (revocations.length === 0) return
    await run(append, [stream], [revocationsKept, ...revocations.map(encodeRevocation)])
  }

  async function revocationsAfter (cursor: string | null): Promise<RevocationPage> {
    const found = listOf(await client.call('XRANGE', stream, cursor ?? '-', '+', 'COUNT', PAGE + 1)).map(listOf)
    const ids = stringsOf(found.map(([id]) => id))
    // The list does not hold the entry at the cursor: it is another list, or a long silence has gone by.
    if (cursor !== null && ids[0] !== cursor) return await revocationsAfter(null)
    const entries = cursor === null ? found : found.slice(1)
    const revocations = entries.map(([, fields]) => decodeRevocation(listOf(fields)[1])).filter(entry => entry !== null)
    return { revocations, cursor: ids.at(-1) ?? null }
  }

  return {
    async create (session) {
      await remember(session)
      const created = await client.call(
        'SET',
        sessionKey(session.id),
        encodeSession(session),
        'PX',
        timeToLive(session),
        'NX'
      )
      if (created !== 'OK') throw new errors.StoreUnavailableError('a session of this id exists')
    },
    read,
    async replace (session) {
      if (!session.ended) await remember(session)
      return await write(session)
    },
    list,
    async end (ids, revocations) {
      await revoke(revocations)
      await Promise.all(ids.map(endOne))
    },
    revoke,
    revocations: revocationsAfter,
    async spend (keys) {
      const names = keys.map(({ key }) => spentKey(key))
      if (names.length === 0) return true
      const until = await spendUntil(now)
      const spent = await run(spendAll, names, [
        until,
        ...keys.map(({ expiresAt }) => Math.max(1, expiresAt - Date.now()))
      ])
      if (spent === -1) throw new errors.StoreUnavailableError('the store was too late to spend a nonce')
      return spent === 1
    },
    // Redis expires its keys by itself.
    async sweep () {},
    now
  }

  async function now (): Promise<number> {
    return Number(await run(clock, [stream]))
  }
}

function keptUntil ({ expiresAt }: Session): number {
  return expiresAt + keptAfterExpiry
}

// Relative, so that a server whose clock is wrong does not make its rows vanish at once.
function timeToLive (session: Session): number {
  return Math.max(1000, keptUntil(session) - Date.now())
}

// Ids of users and tokens are free text of any length: as a key they are 32 characters without braces.
function digest (text: string): string {
  return createHash('sha256').update(text).digest('base64url').slice(0, 32)
}

function listOf (value: unknown): unknown[] {
  return Array.isArray(value) ? value : []
}

function stringsOf (value: unknown): string[] {
  return listOf(value).filter(item => typeof item === 'string')
}
