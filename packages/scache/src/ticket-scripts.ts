/** State changes of the TLS sessions that the fleet shares. Times are Redis' own. */
import type { Script } from '@mailfleet/queue';
import { clock } from './scripts.ts';

export const ticketGet: Script = {
  name: 'ticket-get',
  keys: 1,
  lua: `
-- Reads an entry.
-- KEYS 1 entry
-- ARGV none
-- Returns its text; nil when there is none.
-- Invariant: nothing is changed.
return redis.call('GET', KEYS[1])
`,
};

export const ticketPut: Script = {
  name: 'ticket-put',
  keys: 2,
  lua: `
-- Keeps an entry for a time, in place of an earlier one of that name.
-- KEYS 1 entry, 2 names of the bucket's entries by the time (ms) that they end
-- ARGV 1 name, 2 text, 3 ms that it lives, 4 most entries of a bucket, 5 what an entry's key begins with
-- Returns how many others had to go for it.
-- Invariant: an entry that lives has a name on the list, and the list is no longer than allowed.
${clock}
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
redis.call('ZADD', KEYS[2], now + ARGV[3], ARGV[1])
if redis.call('PTTL', KEYS[2]) < ARGV[3] + 0 then redis.call('PEXPIRE', KEYS[2], ARGV[3]) end
local gone = 0
for _ = 1, redis.call('ZCARD', KEYS[2]) - ARGV[4] do
  redis.call('DEL', ARGV[5] .. redis.call('ZPOPMIN', KEYS[2])[1])
  gone = gone + 1
end
return gone
`,
};

export const ticketDelete: Script = {
  name: 'ticket-delete',
  keys: 2,
  lua: `
-- Forgets an entry.
-- KEYS 1 entry, 2 names of the bucket's entries
-- ARGV 1 name
-- Returns 1; 0 when there was none.
-- Invariant: see ticket-put.
redis.call('ZREM', KEYS[2], ARGV[1])
return redis.call('DEL', KEYS[1])
`,
};

export const ticketScripts: readonly Script[] = [ticketGet, ticketPut, ticketDelete];
