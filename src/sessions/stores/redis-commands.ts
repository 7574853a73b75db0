import { createHash } from 'node:crypto'
import { listOf } from './codec.js'
import { senderOf, wordOf, type RedisClient } from './redis-client.js'
import type { Script } from './redis-scripts.js'

/** What sessions are listed by, in the names of keys. */
export type Index = 'user' | 'identity' | 'provider-session'

/** The commands of a store, and its keys, which all begin with its prefix. */
export interface RedisCommands {
  run (script: Script, keys: readonly [string, ...string[]], args?: readonly (string | number)[]): Promise<unknown>
  command (name: string, key: string, ...args: (string | number)[]): Promise<unknown>
  readonly keys: {
    session (id: string): string
    index (kind: Index, issuer: string, name: string): string
    spent (key: string): string
    kept (key: string): string
    /** The stream of revocations. */
    readonly revocations: string
  }
}

export function redisCommands (client: RedisClient, prefix: string): RedisCommands {
  const send = senderOf(client, prefix)

  // EVALSHA first: Redis has forgotten its scripts after a restart, and a node of a cluster may not know them yet.
  async function run (
    { sha, text }: Script,
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

  return {
    run,
    command: async (name, key, ...args) => await send(key, [name, key, ...args.map(String)]),
    keys: {
      // As JSON, because UTF-8 would write the same for different halves of a pair. An id of ours stays what it is.
      session: id => `${prefix}session:{${JSON.stringify(id).slice(1, -1)}}`,
      index: (kind, issuer, name) => `${prefix}${kind}:{${digest(JSON.stringify([issuer, name]))}}`,
      spent: key => `${prefix}{spent}:${digest(wellFormed(key))}`,
      kept: key => `${prefix}kept:{${digest(wellFormed(key))}}`,
      revocations: `${prefix}{revocations}`
    }
  }
}

export function stringsOf (value: unknown): string[] {
  return listOf(value).filter(item => typeof item === 'string')
}

function wellFormed (key: string): string {
  return key.isWellFormed() ? key : JSON.stringify(key)
}

// Ids of users and tokens are free text of any length: as a key they are 32 characters without braces.
function digest (text: string): string {
  return createHash('sha256').update(text).digest('base64url').slice(0, 32)
}
