import { createHash } from 'node:crypto'

/** A Lua script that Redis runs in one atomic step; all its keys are of one hash slot. */
export interface Script { readonly text: string, readonly sha: string }

function script ({ raw: [text = ''] }: TemplateStringsArray): Script {
  return { text, sha: createHash('sha1').update(text).digest('hex') }
}

// A session's value is `version:ended:indexed until:members as JSON`, a line feed, and the identity. The indexes of its
// user, its identity and its session at the provider hold it until that time, by the clock of the session's node: no
// refresh before it has to write to them, who may be on other nodes.

/**
 * KEYS: session. ARGV: version that it must have, or none; version, how the members of this user begin, ended, members,
 * identity, time to live, milliseconds for which it is indexed, or 0 where that is not known, how the members name its
 * identity and its session at the provider.
 * Answers 1 (written); 0 (the row has another version); -1 (not indexed, or not for long enough: nothing is written);
 * or, written too, the former members where the user, the identity or the session at the provider has changed.
 */
export const write = script`
local before = redis.call('GET', KEYS[1])
if (before and string.match(before, '^%d+') or '') ~= ARGV[1] then return 0 end
local indexed, members = string.match(before or '', '^%d+:[01]:(%d+):([^\n]*)')
local same = members and string.sub(members, 1, #ARGV[3]) == ARGV[3] and string.find(members, ARGV[9], 1, true)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[8] ~= '0' then indexed = now + ARGV[8]
elseif ARGV[4] == '0' and not (same and tonumber(indexed) >= now + ARGV[7]) then return -1 end
local head = string.format('%s:%s:%.0f:', ARGV[2], ARGV[4], indexed or 0)
redis.call('SET', KEYS[1], head .. ARGV[5] .. '\n' .. ARGV[6], 'PX', ARGV[7])
return members and not same and members or 1`

/** KEYS: session. Its members, or nil where there is none or it has ended before. 0: its value is of an older form. */
export const end = script`
local value = redis.call('GET', KEYS[1])
if not value then return nil end
local version, ended, members = string.match(value, '^(%d+):([01]):%d+:([^\n]*)')
if not version then return 0 end
if ended == '1' then return nil end
redis.call('SET', KEYS[1], string.format('%.0f:1:0:', version + 1) .. members .. '\n', 'KEEPTTL')
return members`

/** KEYS: session. Its value without the identity. */
export const readHead = script`
local value = redis.call('GET', KEYS[1])
return value and string.match(value, '^[^\n]*')`

/**
 * KEYS: the sessions of a user, an identity, or a session at the provider. ARGV: session id, when it was created, for
 * how long the index holds it at least.
 */
export const index = script`
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return 1`

/** KEYS: the stream. ARGV: milliseconds that entries are kept, entries. By Redis' clock, which makes their ids. */
export const append = script`
local time = redis.call('TIME')
local oldest = string.format('%.0f', time[1] * 1000 - ARGV[1])
for i = 2, #ARGV do redis.call('XADD', KEYS[1], 'MINID', '~', oldest, '*', 'r', ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1`

/**
 * KEYS: the stream. ARGV: where to begin, since when, how many to look at. Of those the ones that had not expired then,
 * and the first and the last, which say where the caller is.
 */
export const readOn = script`
local found = {}
local entries = redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', ARGV[3])
for i, entry in ipairs(entries) do
  local expiresAt = tonumber(string.match(entry[2][2], '(%d+)%]$')) or 0
  if i == 1 or i == #entries or expiresAt > tonumber(ARGV[2]) then found[#found + 1] = entry end
end
return found`

/** KEYS: all keys to spend. ARGV: the latest time for it, time to live of each. 1, 0 (one was spent), -1 (too late). */
export const spendAll = script`
local time = redis.call('TIME')
if time[1] * 1000 + math.floor(time[2] / 1000) > tonumber(ARGV[1]) then return -1 end
for i = 1, #KEYS do if redis.call('EXISTS', KEYS[i]) == 1 then return 0 end end
for i = 1, #KEYS do redis.call('SET', KEYS[i], '', 'PX', ARGV[i + 1]) end
return 1`

/** KEYS: any, to choose the node. Milliseconds since the epoch. */
export const clock = script`
local time = redis.call('TIME')
return string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))`
