/** Scripts about destinations: what operators set on them, and questions to the leader. */
import { fencing, paging } from './fragments.ts';
import type { Script } from './script.ts';

export const setControl: Script = {
  name: 'set-control',
  keys: 3,
  lua: `
-- Sets or replaces what an operator wants of a destination, and tells the leader.
-- KEYS 1 controls, 2 controlled, 3 inbox
-- ARGV 1 member, 2 its end (ms), 3 the rest of it (JSON), 4 now (ms)
-- Returns nothing.
-- Invariant: a member stands in both or in none; some of those that ended leave with each call.
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[4], 'LIMIT', 0, 100)) do
  redis.call('ZREM', KEYS[1], member)
  redis.call('HDEL', KEYS[2], member)
end
local before = redis.call('ZSCORE', KEYS[1], ARGV[1]) or ''
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
redis.call('XADD', KEYS[3], '*', 'k', 'control', 'm', ARGV[1], 'v', ARGV[2] .. ' ' .. ARGV[3], 'u', before)
`,
};

export const liftControl: Script = {
  name: 'lift-control',
  keys: 3,
  lua: `
-- Takes back what an operator set on a destination, and tells the leader.
-- KEYS 1 controls, 2 controlled, 3 inbox
-- ARGV 1 member, 2 now (ms)
-- Returns 1; 0 when there was none, or its time is over.
-- Invariant: a member stands in both or in none.
local before = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not before then return 0 end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
if tonumber(before) <= tonumber(ARGV[2]) then return 0 end
redis.call('XADD', KEYS[3], '*', 'k', 'control', 'm', ARGV[1], 'v', '', 'u', before)
return 1
`,
};

export const controlsPage: Script = {
  name: 'controls-page',
  keys: 2,
  lua: `
-- Reads a page of what operators have set on destinations.
-- KEYS 1 controls, 2 controlled
-- ARGV 1 most, 2 and 3 score and member that the page before ended with, or ''
-- Returns { member, end (ms), the rest of it (JSON) } of each, first to end first.
-- Invariant: changes nothing.
${paging}
local found = page(KEYS[1], ARGV[2], ARGV[3], ARGV[1])
local controls = {}
for i = 1, #found, 2 do
  controls[#controls + 1] = { found[i], found[i + 1], redis.call('HGET', KEYS[2], found[i]) }
end
return controls
`,
};

export const wake: Script = {
  name: 'wake',
  keys: 2,
  lua: `
-- Makes those deferred messages due that would be at a given time, some at a time.
-- KEYS 1 deferred, 2 fence
-- ARGV 1 fence, 2 that time (ms), 3 now (ms), earlier than that, 4 most messages
-- Returns how many it made due.
-- Invariant: a message is in one queue.
${fencing}
if fenced(KEYS[2], ARGV[1]) then return fenced_out end
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[2], ARGV[2], 'LIMIT', 0, ARGV[4])
for _, id in ipairs(ids) do redis.call('ZADD', KEYS[1], ARGV[3], id) end
return #ids
`,
};

export const ask: Script = {
  name: 'ask',
  keys: 2,
  lua: `
-- Asks the leader about a message or a destination.
-- KEYS 1 inbox, 2 lease
-- ARGV 1 name of the question, 2 queue id or '', 3 destination or ''
-- Returns 1; 0 when nobody leads the shard, and then nothing is asked.
-- Invariant: questions do not pile up where nobody reads.
if redis.call('EXISTS', KEYS[2]) == 0 then return 0 end
redis.call('XADD', KEYS[1], '*', 'k', 'ask', 'i', ARGV[1], 'q', ARGV[2], 'd', ARGV[3])
return 1
`,
};

export const answer: Script = {
  name: 'answer',
  keys: 2,
  lua: `
-- Answers a question; it is forgotten in a minute if nobody fetches it.
-- KEYS 1 the answer, 2 fence
-- ARGV 1 fence, 2 the answer (JSON)
-- Returns nothing.
-- Invariant: only the leader answers, and once.
${fencing}
if fenced(KEYS[2], ARGV[1]) then return fenced_out end
if redis.call('EXISTS', KEYS[1]) == 1 then return end
redis.call('RPUSH', KEYS[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], 60000)
`,
};
