/** Scripts of the operator's commands. Each works on one shard; a message may have parts on several. */
import { noting, paging, readingFields, retiring } from './fragments.ts';
import type { Script } from './script.ts';

export const listPage: Script = {
  name: 'list-page',
  keys: 1,
  lua: `
-- Reads a page of a queue for a listing.
-- KEYS 1 the queue's index
-- ARGV 1 prefix, 2 most messages, 3 and 4 score and id that the page before ended with, or ''
-- Returns { score, id, record's fields and values } of each message; a gone one has no fields, one with a long list of
-- recipients its record only.
-- Invariant: changes nothing.
${paging}${readingFields}
local found = page(KEYS[1], ARGV[3], ARGV[4], ARGV[2])
local messages = {}
for i = 1, #found, 2 do
  messages[#messages + 1] = { found[i + 1], found[i], fields_of(ARGV[1] .. 'm:' .. found[i]) }
end
return messages
`,
};

export const readMessage: Script = {
  name: 'read-message',
  keys: 1,
  lua: `
-- Reads a message for a listing.
-- KEYS 1 message
-- ARGV none
-- Returns the record's fields and values, of one with a long list of recipients its record only; nothing when it is gone.
-- Invariant: changes nothing.
${readingFields}
return fields_of(KEYS[1])
`,
};

export const hold: Script = {
  name: 'hold',
  keys: 7,
  lua: `
-- Puts a message on hold; one in active goes there at the end of its pass, and the leader hands out no more of it.
-- KEYS 1 incoming, 2 deferred, 3 active, 4 hold, 5 message, 6 inbox, 7 timeline
-- ARGV 1 queue id, 2 now (ms), 3 timeline entry or ''
-- Returns 1; 0 when it is in none of the first three, or marked already.
-- Invariant: a message is in one queue; its due time is kept for the release.
${noting}
if redis.call('EXISTS', KEYS[5]) == 0 then return 0 end
local due = redis.call('ZSCORE', KEYS[2], ARGV[1]) or ARGV[2]
if redis.call('ZREM', KEYS[1], ARGV[1]) + redis.call('ZREM', KEYS[2], ARGV[1]) > 0 then
  redis.call('ZADD', KEYS[4], ARGV[2], ARGV[1])
  redis.call('HSET', KEYS[5], 'due', due)
elseif redis.call('ZSCORE', KEYS[3], ARGV[1]) and redis.call('HSET', KEYS[5], 'held', '1') == 1 then
  redis.call('XADD', KEYS[6], '*', 'k', 'command', 'c', 'hold', 'q', ARGV[1])
else
  return 0
end
note(KEYS[7], ARGV[3])
return 1
`,
};

export const release: Script = {
  name: 'release',
  keys: 7,
  lua: `
-- Releases a message from hold or corrupt to deferred, due when it was due before; an expired one at once. The expiry index, which
-- lets go of what is held, gets it back.
-- KEYS 1 hold, 2 deferred, 3 expiry, 4 inbox, 5 message, 6 timeline, 7 corrupt
-- ARGV 1 queue id, 2 now (ms), 3 timeline entry or ''
-- Returns 1; 0 when it is in neither.
-- Invariant: a message is in one queue.
${noting}
if redis.call('EXISTS', KEYS[5]) == 0 then return 0 end
if redis.call('ZREM', KEYS[1], ARGV[1]) + redis.call('ZREM', KEYS[7], ARGV[1]) > 0 then
  local kept = redis.call('HMGET', KEYS[5], 'forced', 'due')
  redis.call('HDEL', KEYS[5], 'due', 'corrupt')
  redis.call('ZADD', KEYS[2], not kept[1] and kept[2] or ARGV[2], ARGV[1])
  redis.call('ZADD', KEYS[3], 'NX', ARGV[2], ARGV[1])
elseif redis.call('HDEL', KEYS[5], 'held') == 0 then
  return 0
end
redis.call('XADD', KEYS[4], '*', 'k', 'command', 'c', 'release', 'q', ARGV[1])
note(KEYS[6], ARGV[3])
return 1
`,
};

export const expire: Script = {
  name: 'expire',
  keys: 5,
  lua: `
-- Marks a message as expired. A deferred one is due at once; one on hold keeps until it is released.
-- KEYS 1 deferred, 2 active, 3 inbox, 4 message, 5 timeline
-- ARGV 1 queue id, 2 now (ms), 3 timeline entry or ''
-- Returns 1; 0 when it is not here, or marked already.
-- Invariant: the mark stays until the message leaves.
${noting}
if redis.call('EXISTS', KEYS[4]) == 0 or redis.call('HSET', KEYS[4], 'forced', '1') == 0 then return 0 end
local due = redis.call('ZSCORE', KEYS[1], ARGV[1])
if due and tonumber(due) > tonumber(ARGV[2]) then redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1]) end
if due or redis.call('ZSCORE', KEYS[2], ARGV[1]) then
  redis.call('XADD', KEYS[3], '*', 'k', 'command', 'c', 'expire', 'q', ARGV[1])
end
note(KEYS[5], ARGV[3])
return 1
`,
};

export const remove: Script = {
  name: 'remove',
  keys: 11,
  lua: `
-- Deletes a message, wherever it is; a transaction in flight goes on and its outcome changes nothing.
-- KEYS 1 incoming, 2 deferred, 3 active, 4 hold, 5 expiry, 6 retired-parts, 7 files, 8 message, 9 timeline, 10 inbox,
--      11 corrupt
-- ARGV 1 queue id, 2 now (ms), 3 timeline entry or '', 4 prefix, 5 shard, 6 ms that a timeline lives on
-- Returns { content file or '', home shard or '' }; an empty list when the message is not here.
-- Invariant: no index names a message without a record, and no part is copied any more.
${noting}${retiring}
if redis.call('EXISTS', KEYS[8]) == 0 then return {} end
if redis.call('ZSCORE', KEYS[3], ARGV[1]) then
  redis.call('XADD', KEYS[10], '*', 'k', 'command', 'c', 'delete', 'q', ARGV[1])
end
for i = 1, 4 do redis.call('ZREM', KEYS[i], ARGV[1]) end
redis.call('ZREM', KEYS[11], ARGV[1])
redis.call('DEL', ARGV[4] .. 'f:' .. ARGV[1])
redis.call('ZREM', ARGV[4] .. 'fanout', ARGV[1])
note(KEYS[9], ARGV[3])
return retire(ARGV[1], { prefix = ARGV[4], shard = ARGV[5], now = ARGV[2], timeline_ms = ARGV[6], expiry = KEYS[5],
  retired_parts = KEYS[6], files = KEYS[7] })
`,
};

export const flushPage: Script = {
  name: 'flush-page',
  keys: 2,
  lua: `
-- Makes deferred messages due, some at a time.
-- KEYS 1 deferred, 2 inbox
-- ARGV 1 now (ms), 2 most messages
-- Returns how many it made due; the leader is told when none is left.
-- Invariant: order of the queue stays: what was due before comes first.
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. ARGV[1], '+inf', 'LIMIT', 0, ARGV[2])
for _, id in ipairs(ids) do redis.call('ZADD', KEYS[1], ARGV[1], id) end
if #ids < tonumber(ARGV[2]) then redis.call('XADD', KEYS[2], '*', 'k', 'command', 'c', 'flush') end
return #ids
`,
};

export const flushOne: Script = {
  name: 'flush-one',
  keys: 2,
  lua: `
-- Makes one deferred message due.
-- KEYS 1 deferred, 2 inbox
-- ARGV 1 queue id, 2 now (ms)
-- Returns 1; 0 when it is not deferred.
-- Invariant: a message is in one queue; what is due before now keeps its place.
local due = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not due then return 0 end
if tonumber(due) > tonumber(ARGV[2]) then redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1]) end
redis.call('XADD', KEYS[2], '*', 'k', 'command', 'c', 'flush', 'q', ARGV[1])
return 1
`,
};

export const flushSites: Script = {
  name: 'flush-sites',
  keys: 2,
  lua: `
-- Makes some deferred messages due and has the leader revive the destinations that they wait for.
-- KEYS 1 deferred, 2 inbox
-- ARGV 1 now (ms), 2 nexthops (JSON), 3... queue ids
-- Returns the queue ids that are deferred.
-- Invariant: a message is in one queue; what is due before now keeps its place.
local found = {}
for i = 3, #ARGV do
  local due = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if due then
    found[#found + 1] = ARGV[i]
    if tonumber(due) > tonumber(ARGV[1]) then redis.call('ZADD', KEYS[1], ARGV[1], ARGV[i]) end
  end
end
redis.call('XADD', KEYS[2], '*', 'k', 'command', 'c', 'flush', 's', ARGV[2])
return found
`,
};
