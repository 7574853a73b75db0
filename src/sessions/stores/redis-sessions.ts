import { errors } from '../../errors.js'
import {
  keptAfterExpiry, listLimit, type ListedSession, type Session, type SessionStore
} from '../store.js'
import {
  encodeKeys, encodeMembers, fieldsIn, listedByIn, listedOf, sessionOf, type ListedBy
} from './codec.js'
import { stringsOf, type RedisCommands } from './redis-commands.js'
import * as scripts from './redis-scripts.js'

/** The rows of sessions, and the indexes that they are found by. */
export interface RedisSessions extends Pick<
  SessionStore, 'create' | 'read' | 'replace' | 'list' | 'listByIdentity' | 'listByProviderSession'
> {
  /** The rows only: whoever calls it has written the list of revocations. */
  end (ids: readonly string[]): Promise<void>
}

export function redisSessions ({ run, command, keys }: RedisCommands): RedisSessions {
  // The row first: it is nobody's before its refresh token is handed out, and `list` forgets ids that have no row.
  async function create (session: Session): Promise<void> {
    if (await write(session, '', indexedFor(session)) !== 1) {
      throw new errors.StoreUnavailableError('a session of this id exists')
    }
    await remember(session)
  }

  async function read (id: string): Promise<Session | null> {
    return sessionOf(fieldsIn(id, await command('GET', keys.session(id))))
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
    return await run(scripts.write, [keys.session(session.id)], [expected, ...row, indexed, encodeKeys(session)])
  }

  async function remember (session: Session): Promise<void> {
    const entry = [session.id, session.createdAt, indexedFor(session)]
    await Promise.all(indexesOf(session).map(async key => await run(scripts.index, [key], entry)))
  }

  function indexesOf ({ issuer, userId, identityKey, providerSession }: ListedBy): string[] {
    return [
      keys.index('user', issuer, userId),
      ...(identityKey === null ? [] : [keys.index('identity', issuer, identityKey)]),
      ...(providerSession === null ? [] : [keys.index('provider-session', issuer, providerSession)])
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
    return listedOf(fieldsIn(id, await run(scripts.readHead, [keys.session(id)])))
  }

  async function end (ids: readonly string[]): Promise<void> {
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
    const members = await run(scripts.end, [keys.session(id)])
    if (members !== 0) return members
    const session = await read(id)
    if (session === null) return null
    await replace({ ...session, version: session.version + 1 })
    return await endRow(id)
  }

  return {
    create,
    read,
    replace,
    list: (issuer, userId, limit) =>
      listIn(keys.index('user', issuer, userId), limit, row => row.issuer === issuer && row.userId === userId),
    listByIdentity: (issuer, identityKey, limit = listLimit) =>
      listIn(keys.index('identity', issuer, identityKey), limit, row =>
        row.issuer === issuer && row.identityKey === identityKey),
    listByProviderSession: (issuer, providerSession, limit = listLimit) =>
      listIn(keys.index('provider-session', issuer, providerSession), limit, row =>
        row.issuer === issuer && row.providerSession === providerSession),
    end
  }
}

// Relative, so that a server whose clock is wrong does not make its rows vanish at once.
function timeToLive ({ expiresAt }: Session): number {
  return Math.max(1000, expiresAt + keptAfterExpiry - Date.now())
}

// For longer than the row lives, so that few of the session's refreshes have to write to the index.
function indexedFor (session: Session): number {
  return 2 * timeToLive(session)
}
