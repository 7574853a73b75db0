import { errors } from '../../errors.js'
import { refused, type Reader } from '../../options/values.js'
import { isObject } from '../../strict-json.js'

/** Milliseconds that a command may wait for its answer before a client of node-redis is asked no more. */
const patience = 2000

/** What the store needs of ioredis, a node or a cluster, or of a client that is compatible with it. */
export interface IoredisClient {
  call (command: string, ...args: string[]): Promise<unknown>
}

/** What it needs of node-redis. */
export interface NodeRedisClient {
  sendCommand (args: string[]): Promise<unknown>
}

/** What it needs of a cluster of node-redis, which is told the key that decides on the node. */
export interface NodeRedisCluster {
  readonly masters: readonly unknown[]
  sendCommand (firstKey: string, isReadonly: boolean, args: string[]): Promise<unknown>
}

export type RedisClient = IoredisClient | NodeRedisClient | NodeRedisCluster

/** One command to the node of a key. */
type Send = (key: string, command: [string, ...string[]]) => Promise<unknown>

/** Sends through any of the clients; what an operator can mend rejects with words for it. */
export function senderOf (client: RedisClient, prefix: string): Send {
  const send = ofLibrary(client)
  return async (key, command) => {
    try {
      return await send(key, command)
    } catch (error) {
      const reason = remedyFor(error, prefix)
      throw reason === undefined ? error : new errors.StoreUnavailableError(reason)
    }
  }
}

// ioredis has a `sendCommand` too, for commands of its own making.
function ofLibrary (client: RedisClient): Send {
  if ('call' in client) return (_key, command) => client.call(...command)
  if ('masters' in client) return (key, command) => client.sendCommand(key, false, command)
  return patient(command => client.sendCommand(command))
}

// node-redis sees that its socket has timed out only while nothing is sent, so that one who goes on asking would never
// have an answer again.
function patient (send: (command: string[]) => Promise<unknown>): Send {
  const waiting = new Set<{ readonly since: number }>()
  return async (_key, command) => {
    const [oldest] = waiting
    const call = { since: performance.now() }
    if (oldest !== undefined && call.since - oldest.since > patience) {
      throw new errors.StoreUnavailableError('Redis does not answer: the client is left alone until its socketTimeout')
    }
    waiting.add(call)
    try {
      return await send(command)
    } finally {
      waiting.delete(call)
    }
  }
}

export const redisClient: Reader<RedisClient> = (value, path) => {
  if (!isRedisClient(value)) throw refused(path, 'must be a client of ioredis or node-redis, or a cluster of theirs')
  return value
}

function isRedisClient (value: unknown): value is RedisClient {
  return isObject(value) && (typeof value.call === 'function' || typeof value.sendCommand === 'function')
}

/** What Redis says first: the kind of error. */
export function wordOf (error: unknown): string | undefined {
  return error instanceof Error ? error.message.split(' ')[0] : undefined
}

function remedyFor (error: unknown, prefix: string): string | undefined {
  return new Map([
    ['NOPERM', `the user of the client may not do this: allow it the keys ${prefix}* and @read @write @scripting time`],
    ['READONLY', 'this Redis is a replica: connect the client to its primary'],
    ['OOM', 'Redis is full: give it more maxmemory, with the maxmemory-policy noeviction']
  ]).get(wordOf(error) ?? '')
}
