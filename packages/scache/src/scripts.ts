/**
 * The registry's state changes. Times are Redis' own, so that the clocks of the fleet do not matter. The registry is a hint: a worker's own
 * pool decides who gets a session, and what is missing or too much here costs a connection, never a message.
 */
import type { Script } from '@mailfleet/queue';

/** now: milliseconds since the epoch. */
export const clock = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`;

export const park: Script = {
  name: 'session-park',
  keys: 3,
  lua: `
-- Lists a session that waits for a batch; said again, it waits from now on.
-- KEYS 1 all sessions, 2 records, 3 sessions of the destination
-- ARGV 1 session, 2 record (JSON), 3 ms that it may be claimed
-- Returns nothing.
-- Invariant: a session has a record as long as it is listed, and nothing outlives the last session by more than a minute.
${clock}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 100)) do
  redis.call('ZREM', KEYS[1], id)
  redis.call('HDEL', KEYS[2], id)
end
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now)
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[3], now + ARGV[3], ARGV[1])
for i = 1, 3 do
  if redis.call('PTTL', KEYS[i]) < ARGV[3] + 0 then redis.call('PEXPIRE', KEYS[i], ARGV[3] + 60000) end
end
`,
};

export const drop: Script = {
  name: 'session-drop',
  keys: 3,
  lua: `
-- Takes a session off the list: it ended, or its worker uses it.
-- KEYS 1 all sessions, 2 records, 3 sessions of the destination
-- ARGV 1 session
-- Returns 1; 0 when it was claimed or its time was over.
-- Invariant: see session-park.
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
return redis.call('ZREM', KEYS[1], ARGV[1])
`,
};

export const claim: Script = {
  name: 'session-claim',
  keys: 4,
  lua: `
-- Takes the oldest sessions of a destination off the list, for as many batches.
-- KEYS 1 all sessions, 2 records, 3 sessions of the destination, 4 workers by the time up to which they count as alive
-- ARGV 1 most to take
-- Returns the workers that hold them; one may be named several times.
-- Invariant: a session is claimed once, in time, and of a worker that lives.
${clock}
local owners = {}
while #owners < ARGV[1] + 0 do
  local first = redis.call('ZPOPMIN', KEYS[3])
  if #first == 0 then break end
  local record = redis.call('HGET', KEYS[2], first[1])
  redis.call('HDEL', KEYS[2], first[1])
  redis.call('ZREM', KEYS[1], first[1])
  if record and first[2] + 0 > now then
    local owner = cjson.decode(record).worker
    local alive = redis.call('ZSCORE', KEYS[4], owner)
    if alive and alive + 0 > now then owners[#owners + 1] = owner end
  end
end
return owners
`,
};

export const parkAt: Script = {
  name: 'session-park-at',
  keys: 1,
  lua: `
-- Lists a session of a server that several destinations share.
-- KEYS 1 sessions of the endpoint
-- ARGV 1 session and its worker, 2 ms that it may be claimed
-- Returns nothing.
-- Invariant: the list ends with its last session.
${clock}
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
if redis.call('PTTL', KEYS[1]) < ARGV[2] + 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
`,
};

export const dropAt: Script = {
  name: 'session-drop-at',
  keys: 1,
  lua: `
-- Takes a session off the list: it ended, or its worker uses it.
-- KEYS 1 sessions of the endpoint
-- ARGV 1 session and its worker
-- Returns 1; 0 when it was claimed or its time was over.
-- Invariant: see session-park-at.
return redis.call('ZREM', KEYS[1], ARGV[1])
`,
};

export const claimAt: Script = {
  name: 'session-claim-at',
  keys: 1,
  lua: `
-- Takes the oldest session of an endpoint that another worker has off the list. One more than a page of the caller's own hides the rest.
-- KEYS 1 sessions of the endpoint
-- ARGV 1 the worker that asks
-- Returns session and worker; nil when there is none.
-- Invariant: a session is claimed once here, and in time.
${clock}
for _, listed in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf', 'LIMIT', 0, 100)) do
  if string.sub(listed, string.find(listed, ' ', 1, true) + 1) ~= ARGV[1] then
    redis.call('ZREM', KEYS[1], listed)
    return listed
  end
end
return false
`,
};

export const list: Script = {
  name: 'session-list',
  keys: 2,
  lua: `
-- One page of the sessions that may be claimed, the one whose time is over first in front.
-- KEYS 1 all sessions, 2 records
-- ARGV 1 how many to leave out, 2 how many to show
-- Returns the time (ms), then record and end of its time (ms) of each.
-- Invariant: nothing is changed.
${clock}
local page = { tostring(now) }
local from = redis.call('ZCOUNT', KEYS[1], '-inf', now) + ARGV[1]
local ids = redis.call('ZRANGE', KEYS[1], from, from + ARGV[2] - 1, 'WITHSCORES')
for i = 1, #ids, 2 do
  local record = redis.call('HGET', KEYS[2], ids[i])
  if record then
    page[#page + 1] = record
    page[#page + 1] = ids[i + 1]
  end
end
return page
`,
};

export const allScripts: readonly Script[] = [park, drop, claim, parkAt, dropAt, claimAt, list];
