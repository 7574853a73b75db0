import { errors } from '../../errors.js'
import { open, refused, type Reader } from '../../options/values.js'
import {
  revocationsKept, spendUntil, type Revocation, type RevocationPage, type SessionStore, type SpentKey
} from '../store.js'
import { decodeRevocation, encodeRevocation, listOf } from './codec.js'
import { redisClient, type RedisClient } from './redis-client.js'
import { redisCommands, stringsOf } from './redis-commands.js'
import * as scripts from './redis-scripts.js'
import { redisSessions } from './redis-sessions.js'

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
  const commands = redisCommands(given.read('client', redisClient), prefix)
  const { run, command, keys } = commands
  const { end: endRows, ...sessions } = redisSessions(commands)

  async function revoke (revocations: readonly Revocation[]): Promise<void> {
    if (revocations.length === 0) return
    await run(scripts.append, [keys.revocations], [revocationsKept, ...revocations.map(encodeRevocation)])
  }

  // The entry at the cursor comes again. Where it does not, this is another list, or it was silent for a day.
  async function revocations (cursor: string | null, since: number): Promise<RevocationPage> {
    const found = listOf(await run(scripts.readOn, [keys.revocations], [cursor ?? '-', since, pageSize])).map(listOf)
    const ids = stringsOf(found.map(([id]) => id))
    if (cursor !== null && ids[0] !== cursor) return await revocations(null, since)
    const entries = found.slice(cursor === null ? 0 : 1).map(([, fields]) => decodeRevocation(listOf(fields)[1]))
    return { revocations: entries.filter(entry => entry !== null), cursor: ids.at(-1) ?? null }
  }

  async function spend (all: readonly SpentKey[]): Promise<boolean> {
    const [first, ...names] = all.map(({ key }) => keys.spent(key))
    if (first === undefined) return true
    const until = await spendUntil(now)
    const lives = all.map(({ expiresAt }) => Math.max(1, expiresAt - Date.now()))
    const spent = await run(scripts.spendAll, [first, ...names], [until, ...lives])
    if (spent === -1) throw new errors.StoreUnavailableError('the store was too late to spend a nonce')
    return spent === 1
  }

  // By Redis' clock, which is the one that says when it has expired.
  async function keep (key: string, value: string, expiresAt: number): Promise<void> {
    await command('SET', keys.kept(key), value, 'PXAT', Math.max(1, expiresAt))
  }

  async function take (key: string): Promise<string | null> {
    const value = await command('GETDEL', keys.kept(key))
    return typeof value === 'string' ? value : null
  }

  async function now (): Promise<number> {
    return Number(await run(scripts.clock, [keys.revocations]))
  }

  // Redis expires its keys by itself.
  const sweep = async (): Promise<void> => {}

  return {
    ...sessions,
    // The list first: a session that is not listed is ended by nobody else.
    async end (ids, entries) {
      await revoke(entries)
      await endRows(ids)
    },
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
