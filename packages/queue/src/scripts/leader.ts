/** Scripts of the scheduler that leads a shard. All but the lease's own compare the fence and refuse a former leader. */
import { enqueueing, fencing, noting, paging, retiring, viewing } from './fragments.ts';
import type { Script } from './script.ts';

export const acquireLease: Script = {
  name: 'acquire-lease',
  keys: 2,
  lua: `
-- Makes a scheduler the leader of a shard when nobody leads it.
-- KEYS 1 lease, 2 fence
-- ARGV 1 holder, 2 lifetime (ms)
-- Returns the fence, or 0 when another holds the lease.
-- Invariant: each change of leader raises the fence, so that writes of the one before are refused.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
if holder then return tonumber(redis.call('GET', KEYS[2])) end
return redis.call('INCR', KEYS[2])
`,
};

export const renewLease: Script = {
  name: 'renew-lease',
  keys: 2,
  lua: `
-- Prolongs a lease; one that ran out comes back when nobody took it.
-- KEYS 1 lease, 2 fence
-- ARGV 1 holder, 2 lifetime (ms), 3 fence
-- Returns 1, or 0 when the lease is lost.
-- Invariant: the fence is the holder's.
if redis.call('GET', KEYS[2]) ~= ARGV[3] then return 0 end
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
`,
};

export const releaseLease: Script = {
  name: 'release-lease',
  keys: 1,
  lua: `
-- Gives a lease back, so that a standby need not wait for its end.
-- KEYS 1 lease
-- ARGV 1 holder
-- Returns 1, or 0 when another holds it.
-- Invariant: the fence stays; the next leader raises it.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
`,
};

export const activate: Script = {
  name: 'activate',
  keys: 3,
  lua: `
-- Moves due messages to active.
-- KEYS 1 incoming or deferred, 2 active, 3 fence
-- ARGV 1 fence, 2 most messages, 3 now (ms), 4 prefix, 5 'all' for incoming or 'due' for deferred
-- Returns { number of ids taken, views of the messages, oldest first }.
-- Invariant: a message is in one queue; an id without a record leaves the index.
${fencing}${viewing}
if fenced(KEYS[3], ARGV[1]) then return fenced_out end
local ids
if ARGV[5] == 'due' then
  ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[3], 'LIMIT', 0, ARGV[2])
else
  ids = redis.call('ZRANGE', KEYS[1], 0, ARGV[2] - 1)
end
local views = {}
for _, id in ipairs(ids) do
  redis.call('ZREM', KEYS[1], id)
  local seen = view(ARGV[4], id, ARGV[3])
  if seen then
    redis.call('ZADD', KEYS[2], ARGV[3], id)
    views[#views + 1] = seen
  end
end
return { #ids, views }
`,
};

export const activePage: Script = {
  name: 'active-page',
  keys: 2,
  lua: `
-- Reads a page of active, for recovery.
-- KEYS 1 active, 2 fence
-- ARGV 1 fence, 2 prefix, 3 most messages, 4 and 5 score and id that the page before ended with, or ''
-- Returns { score and id of the page's end or '' after the last, views }.
-- Invariant: an id without a record leaves the index; a message that stays is seen at least once.
${fencing}${viewing}${paging}
if fenced(KEYS[2], ARGV[1]) then return fenced_out end
local found = page(KEYS[1], ARGV[4], ARGV[5], ARGV[3])
local views = {}
for i = 1, #found, 2 do
  local seen = view(ARGV[2], found[i], found[i + 1])
  if seen then views[#views + 1] = seen else redis.call('ZREM', KEYS[1], found[i]) end
end
if #found == 0 then return { '', '', views } end
return { found[#found], found[#found - 1], views }
`,
};

export const quarantine: Script = {
  name: 'quarantine',
  keys: 6,
  lua: `
-- Sets a message aside whose record cannot be read.
-- KEYS 1 active, 2 corrupt, 3 expiry, 4 fence, 5 message, 6 timeline
-- ARGV 1 fence, 2 queue id, 3 now (ms), 4 what is wrong, 5 timeline entry or ''
-- Returns 1; 0 when it is not in active.
-- Invariant: a message is in one queue; its record and content stay as they are.
${fencing}${noting}
if fenced(KEYS[4], ARGV[1]) then return fenced_out end
if redis.call('ZREM', KEYS[1], ARGV[2]) == 0 then return 0 end
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[2])
redis.call('ZREM', KEYS[3], ARGV[2])
redis.call('HSET', KEYS[5], 'corrupt', ARGV[4])
note(KEYS[6], ARGV[5])
return 1
`,
};

export const conclude: Script = {
  name: 'conclude',
  keys: 10,
  lua: `
-- Ends passes and forgets the inbox entries that led to it.
-- KEYS 1 active, 2 incoming, 3 deferred, 4 hold, 5 expiry, 6 inbox, 7 fence, 8 retired-parts, 9 files,
--      10 corrupt
-- ARGV 1 fence, 2 prefix, 3 first inbox id to keep or '', 4 now (ms), 5 shard, 6 ms that a timeline lives on,
--      7... kind, queue id, due time (ms) of each conclusion
-- Returns, for retired messages that left one: content file or '', home shard or '', queue id.
-- Invariant: only a message in active is touched, so that repeating a conclusion changes nothing.
${fencing}${enqueueing}${retiring}
if fenced(KEYS[7], ARGV[1]) then return fenced_out end
local shard = { prefix = ARGV[2], shard = ARGV[5], now = ARGV[4], timeline_ms = ARGV[6], expiry = KEYS[5],
  retired_parts = KEYS[8], files = KEYS[9] }
local left = {}
for i = 7, #ARGV, 3 do
  local kind, id, due = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if redis.call('ZREM', KEYS[1], id) == 1 then
    local message = ARGV[2] .. 'm:' .. id
    if kind == 'retire' then
      local rest = retire(id, shard)
      if rest[1] ~= '' or rest[2] ~= '' then left[#left + 1] = { rest[1], rest[2], id } end
    elseif redis.call('EXISTS', message) == 1 then
      redis.call('HINCRBY', message, 'p', 1)
      if redis.call('HEXISTS', message, 'corrupt') == 1 then
        redis.call('ZADD', KEYS[10], ARGV[4], id)
        redis.call('ZREM', KEYS[5], id)
      elseif redis.call('HDEL', message, 'held') == 1 then
        redis.call('ZADD', KEYS[4], ARGV[4], id)
        redis.call('HSET', message, 'due', kind == 'defer' and due or ARGV[4])
      elseif kind == 'defer' then
        redis.call('ZADD', KEYS[3], due, id)
      else
        enqueue(KEYS[2], KEYS[6], id, ARGV[4])
      end
    end
  end
end
if ARGV[3] ~= '' then redis.call('XTRIM', KEYS[6], 'MINID', '=', ARGV[3]) end
return left
`,
};
