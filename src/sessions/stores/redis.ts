import { createHash } from 'node:crypto'
import { errors } from '../../errors.js'
import { open, refused, type Reader } from '../../options/values.js'
import {
  keptAfterExpiry,
  listLimit,
  revocationsKept,
  spendUntil,
  type ListedSession,
  type Revocation,
  type RevocationPage,
  type Session,
  type SessionStore,
  type SpentKey
} from '../store.js'
import {
  decodeRevocation,
  encodeKeys,
  encodeMembers,
  encodeRevocation,
  fieldsIn,
  listedOf,
  listOf,
  listedByIn,
  sessionOf,
  type ListedBy
} from './codec.js'
import { redisClient, senderOf, wordOf, type RedisClient } from './redis-client.js'
import * as scripts from './redis-scripts.js'

/** What sessions are listed by, in the names of keys. */
type Index = 'user' | 'identity' | 'provider-session'

/** Entries of the list of revocations that one call looks at. */
const pageSize = 5000

export interface RedisStoreOptions {
  /**
   * The application's own connection, of ioredis or node-redis: it is not closed here. With a `socketTimeout` it
   * notices that the network has dropped it (node-redis: and with a `reconnectStrategy`, where nothing else is sent);
   * without, it waits for as long as the kernel tries again, 15 minutes.
   */
  client: RedisClient
  /** Begins each key; an application of its own has one of its own. @default 'token-exchange:' */
  prefix?: string
}

/**
 * Sessions in Redis 6.2 or later, one node or a cluster: each script touches keys of one hash slot.
 * Revocations are a stream that servers read without blocking, so the connection may be shared.
 *
 * @example
 * ```ts
 * const store = redisStore({ client: redis, prefix: 'shop:' })
 * ```
 * @throws errors.OptionInvalidError
 */
export function redisStore (options: RedisStoreOptions): SessionStore {
  const given = open(options, 'redisStore', ['client', 'prefix'])
  const prefix = given.read('prefix', keyPrefix, 'token-exchange:')
  const send = senderOf(given.read('client', redisClient), prefix)

  // As JSON, because UTF-8 would write the same for different halves of a pair. An id of ours stays what it is.
  const sessionKey = (id: string): string => `${prefix}session:{${JSON.stringify(id).slice(1, -1)}}`
  const indexKey = (kind: Index, issuer: string, name: string): string =>
    `${prefix}${kind}:{${digest(JSON.stringify([issuer, name]))}}`
  const spentKey = (key: string): string => `${prefix}{spent}:${digest(key.isWellFormed() ? key : JSON.stringify(key))}`
  const keptKey = (key: string): string => `${prefix}kept:{${digest(key.isWellFormed() ? key : JSON.stringify(key))}}`
  const stream = `${prefix}{revocations}`

  // EVALSHA first: Redis has forgotten its scripts after a restart, and a node of a cluster may not know them yet.
  async function run (
    { sha, text }: scripts.Script,
    keys: readonly [string, ...string[]],
    args: readonly (string | number)[] = []
  ): Promise<unknown> {
    const rest = [keys.length, ...keys, ...args].map(String)
    try {
      return await send(keys[0], ['EVALSHA', sha, ...rest])
    } catch (error) {
      if (wordOf(error) !== 'NOSCRIPT') throw error
      return await send(keys[0], ['EVAL', text, ...rest])
    }
  }

  async function command (name: string, key: string, ...args: (string | number)[]): Promise<unknown> {
    return await send(key, [name, key, ...args.map(String)])
  }

  // The row first: it is nobody's before its refresh token is handed out, and `list` forgets ids that have no row.
  async function create (session: Session): Promise<void> {
    if (await write(session, '', indexedFor(session)) !== 1) {
      throw new errors.StoreUnavailableError('a session of this id exists')
    }
    await remember(session)
  }

  async function read (id: string): Promise<Session | null> {
    return sessionOf(fieldsIn(id, await command('GET', sessionKey(id))))
  }

  // The index before the row: a session that goes on is always found through its user.
  async function replace (session: Session): Promise<boolean> {
    const expected = String(session.version - 1)
    const first = await write(session, expected, 0)
    if (first !== -1) return first !== 0
    await remember(session)
    const before = await write(session, expected, indexedFor(session))
    const kept = indexesOf(session)
    const left = indexesIn(before).filter(key => !kept.includes(key))
    await Promise.all(left.map(async key => await command('ZREM', key, session.id)))
    return before !== 0
  }

  async function write (session: Session, expected: string, indexed: number): Promise<unknown> {
    const { version, issuer, userId, ended, identity } = session
    const owner = JSON.stringify([issuer, userId]).slice(0, -1)
    const row = [version, owner, ended ? 1 : 0, encodeMembers(session), identity, timeToLive(session)]
    return await run(scripts.write, [sessionKey(session.id)], [expected, ...row, indexed, encodeKeys(session)])
  }

  async function remember (session: Session): Promise<void> {
    const entry = [session.id, session.createdAt, indexedFor(session)]
    await Promise.all(indexesOf(session).map(async key => await run(scripts.index, [key], entry)))
  }

  function indexesOf ({ issuer, userId, identityKey, providerSession }: ListedBy): string[] {
    return [
      indexKey('user', issuer, userId),
      ...(identityKey === null ? [] : [indexKey('identity', issuer, identityKey)]),
      ...(providerSession === null ? [] : [indexKey('provider-session', issuer, providerSession)])
    ]
  }

  function indexesIn (members: unknown): string[] {
    const listedBy = listedByIn(members)
    return listedBy === null ? [] : indexesOf(listedBy)
  }

  async function listIn (
    key: string,
    limit: number,
    isMeant: (row: ListedSession) => boolean
  ): Promise<ListedSession[]> {
    const found: ListedSession[] = []
    for (let from = 0; found.length < limit;) {
      const ids = stringsOf(await command('ZRANGE', key, from, from + limit - found.length - 1))
      if (ids.length === 0) break
      const rows = await Promise.all(ids.map(readListed))
      const gone = ids.filter((_id, position) => rows[position]?.ended !== false)
      if (gone.length > 0) await command('ZREM', key, ...gone)
      from += ids.length - gone.length
      const goingOn = rows.filter(row => row !== null).filter(({ ended }) => !ended)
      found.push(...goingOn.filter(isMeant))
    }
    return found
  }

  async function readListed (id: string): Promise<ListedSession | null> {
    return listedOf(fieldsIn(id, await run(scripts.readHead, [sessionKey(id)])))
  }

  // The list first: a session that is not listed is ended by nobody else.
  async function end (ids: readonly string[], revocations: readonly Revocation[]): Promise<void> {
    await revoke(revocations)
    const indexed = new Map<string, string[]>()
    await Promise.all(ids.map(async id => {
      for (const key of indexesIn(await endRow(id))) {
        const ended = indexed.get(key)
        if (ended === undefined) indexed.set(key, [id])
        else ended.push(id)
      }
    }))
    await Promise.all([...indexed].map(async ([key, ended]) => await command('ZREM', key, ...ended)))
  }

  async function endRow (id: string): Promise<unknown> {
    const members = await run(scripts.end, [sessionKey(id)])
    if (members !== 0) return members
    const session = await read(id)
    if (session === null) return null
    await replace({ ...session, version: session.version + 1 })
    return await endRow(id)
  }

  async function revoke (revocations: readonly Revocation[]): Promise<void> {
    if (revocations.length === 0) return
    await run(scripts.append, [stream], [revocationsKept, ...revocations.map(encodeRevocation)])
  }

  // The entry at the cursor comes again. Where it does not, this is another list, or it was silent for a day.
  async function revocations (cursor: string | null, since: number): Promise<RevocationPage> {
    const found = listOf(await run(scripts.readOn, [stream], [cursor ?? '-', since, pageSize])).map(listOf)
    const ids = stringsOf(found.map(([id]) => id))
    if (cursor !== null && ids[0] !== cursor) return await revocations(null, since)
    const entries = found.slice(cursor === null ? 0 : 1).map(([, fields]) => decodeRevocation(listOf(fields)[1]))
    return { revocations: entries.filter(entry => entry !== null), cursor: ids.at(-1) ?? null }
  }

  async function spend (keys: readonly SpentKey[]): Promise<boolean> {
    const [first, ...names] = keys.map(({ key }) => spentKey(key))
    if (first === undefined) return true
    const until = await spendUntil(now)
    const lives = keys.map(({ expiresAt }) => Math.max(1, expiresAt - Date.now()))
    const spent = await run(scripts.spendAll, [first, ...names], [until, ...lives])
    if (spent === -1) throw new errors.StoreUnavailableError('the store was too late to spend a nonce')
    return spent === 1
  }

  // By Redis' clock, which is the one that says when it has expired.
  async function keep (key: string, value: string, expiresAt: number): Promise<void> {
    await command('SET', keptKey(key), value, 'PXAT', Math.max(1, expiresAt))
  }

  async function take (key: string): Promise<string | null> {
    const value = await command('GETDEL', keptKey(key))
    return typeof value === 'string' ? value : null
  }

  async function now (): Promise<number> {
    return Number(await run(scripts.clock, [stream]))
  }

  // Redis expires its keys by itself.
  const sweep = async (): Promise<void> => {}

  return {
    create,
    read,
    replace,
    list: (issuer, userId, limit) =>
      listIn(indexKey('user', issuer, userId), limit, row => row.issuer === issuer && row.userId === userId),
    listByIdentity: (issuer, identityKey, limit = listLimit) =>
      listIn(indexKey('identity', issuer, identityKey), limit, row =>
        row.issuer === issuer && row.identityKey === identityKey),
    listByProviderSession: (issuer, providerSession, limit = listLimit) =>
      listIn(indexKey('provider-session', issuer, providerSession), limit, row =>
        row.issuer === issuer && row.providerSession === providerSession),
    end,
    revoke,
    revocations,
    spend,
    keep,
    take,
    sweep,
    now
  }
}

const keyPrefix: Reader<string> = (value, path) => {
  if (typeof value !== 'string' || !/^[A-Za-z0-9][A-Za-z0-9:._-]{0,63}$/.test(value)) {
    throw refused(path, 'must be 1 to 64 of A-Z a-z 0-9 : . _ -, the first one a letter or a digit')
  }
  return value
}

// Relative, so that a server whose clock is wrong does not make its rows vanish at once.
function timeToLive ({ expiresAt }: Session): number {
  return Math.max(1000, expiresAt + keptAfterExpiry - Date.now())
}

// For longer than the row lives, so that few of the session's refreshes have to write to the index.
function indexedFor (session: Session): number {
  return 2 * timeToLive(session)
}

// Ids of users and tokens are free text of any length: as a key they are 32 characters without braces.
function digest (text: string): string {
  return createHash('sha256').update(text).digest('base64url').slice(0, 32)
}

function stringsOf (value: unknown): string[] {
  return listOf(value).filter(item => typeof item === 'string')
}
