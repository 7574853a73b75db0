import { createHash } from 'node:crypto'

/** A Lua script that Redis runs in one atomic step; all its keys are of one hash slot. */
export interface Script { readonly text: string, readonly sha: string }

function script (text: string): Script {
  return { text, sha: createHash('sha1').update(text).digest('hex') }
}

/** KEYS: session. ARGV: how the stored value must begin (its version), new value, time to live. 1 or 0. */
export const replaceIf = script(`
local value = redis.call('GET', KEYS[1])
if not value or string.sub(value, 1, #ARGV[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1`)

/** KEYS: a user's sessions. ARGV: session id, until when it is kept, now. The set lives as long as its longest member. */
export const index = script(`
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[3])
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
if last[2] then redis.call('PEXPIRE', KEYS[1], math.max(1000, string.format('%.0f', last[2] - ARGV[3]))) end
return 1`)

/** KEYS: the stream. ARGV: milliseconds that entries are kept, entries. By the clock of Redis, which makes their ids. */
export const append = script(`
local time = redis.call('TIME')
local oldest = string.format('%.0f', time[1] * 1000 - ARGV[1])
for i = 2, #ARGV do redis.call('XADD', KEYS[1], 'MINID', '~', oldest, '*', 'r', ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1`)

/** KEYS: all keys to spend. ARGV: latest time by the clock of Redis, time to live of each. 1, 0 (one was spent), -1 (late). */
export const spendAll = script(`
local time = redis.call('TIME')
if time[1] * 1000 + math.floor(time[2] / 1000) > tonumber(ARGV[1]) then return -1 end
for i = 1, #KEYS do if redis.call('EXISTS', KEYS[i]) == 1 then return 0 end end
for i = 1, #KEYS do redis.call('SET', KEYS[i], '', 'PX', ARGV[i + 1]) end
return 1`)

/** KEYS: any, to choose the node. Milliseconds since the epoch. */
export const clock = script(`
local time = redis.call('TIME')
return string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))`)
