/** State changes of the counted TLS results (RFC 8460). Times are Redis' own unless given. */
import type { Script } from '@mailfleet/queue';
import { clock } from './scripts.ts';

export const tlsrptCount: Script = {
  name: 'tlsrpt-count',
  keys: 2,
  lua: `
-- Adds to the counts of one domain and day.
-- KEYS 1 counts by result, 2 names of reports ("day domain") by the time (ms) that they are due
-- ARGV 1 "day domain", 2 ms when its report is due, 3 most results, 4 most reports, 5 ms that counts live, then result, coarser result, count …
-- Returns 1; 0 when there are too many reports already.
-- Invariant: counts that live are listed, and neither list grows beyond its limit.
if not redis.call('ZSCORE', KEYS[2], ARGV[1]) then
  if redis.call('ZCARD', KEYS[2]) >= ARGV[4] + 0 then return 0 end
  redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
end
local room = ARGV[3] - redis.call('HLEN', KEYS[1])
for i = 6, #ARGV, 3 do
  local result = ARGV[i]
  if redis.call('HEXISTS', KEYS[1], result) == 0 then
    if room <= 0 then result = ARGV[i + 1] end
    room = room - 1
  end
  redis.call('HINCRBY', KEYS[1], result, ARGV[i + 2])
end
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return 1
`,
};

export const tlsrptTake: Script = {
  name: 'tlsrpt-take',
  keys: 1,
  lua: `
-- Takes a report that is due; whoever takes it has it until it is done, or for a time.
-- KEYS 1 names of reports ("day domain") by the time (ms) that they are due
-- ARGV 1 ms that nobody else gets it
-- Returns "day domain"; nil when none is due.
-- Invariant: it stays on the list until it is done.
${clock}
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 1)[1]
if due then redis.call('ZADD', KEYS[1], now + ARGV[1], due) end
return due
`,
};

export const tlsrptRead: Script = {
  name: 'tlsrpt-read',
  keys: 1,
  lua: `
-- Reads the counts of one domain and day.
-- KEYS 1 counts by result
-- ARGV none
-- Returns result, count, …
-- Invariant: nothing is changed; there are no more than tlsrpt-count allows.
return redis.call('HGETALL', KEYS[1])
`,
};

export const tlsrptDone: Script = {
  name: 'tlsrpt-done',
  keys: 2,
  lua: `
-- Forgets the counts of a report that is out, or that nobody wants.
-- KEYS 1 counts by result, 2 names of reports ("day domain") by the time (ms) that they are due
-- ARGV 1 "day domain"
-- Returns 1; 0 when it was gone.
-- Invariant: see tlsrpt-count.
redis.call('DEL', KEYS[1])
return redis.call('ZREM', KEYS[2], ARGV[1])
`,
};

export const tlsrptHurry: Script = {
  name: 'tlsrpt-hurry',
  keys: 1,
  lua: `
-- Makes a report due now.
-- KEYS 1 names of reports ("day domain") by the time (ms) that they are due
-- ARGV 1 "day domain"
-- Returns 1; 0 when it is not on the list or due already.
-- Invariant: nothing comes on the list.
${clock}
return redis.call('ZADD', KEYS[1], 'XX', 'LT', 'CH', now, ARGV[1])
`,
};

export const tlsrptPage: Script = {
  name: 'tlsrpt-page',
  keys: 1,
  lua: `
-- Lists reports, those that are due first.
-- KEYS 1 names of reports ("day domain") by the time (ms) that they are due
-- ARGV 1 first position, 2 last position
-- Returns "day domain", ms when it is due, …
-- Invariant: nothing is changed.
return redis.call('ZRANGE', KEYS[1], ARGV[1], ARGV[2], 'WITHSCORES')
`,
};

export const tlsrptScripts: readonly Script[] = [
  tlsrptCount,
  tlsrptTake,
  tlsrptRead,
  tlsrptDone,
  tlsrptHurry,
  tlsrptPage,
];
