/** Scripts of the suppression list: addresses by the end of their time, and what is known of each. */
import { paging } from './fragments.ts';
import type { Script } from './script.ts';

export const suppress: Script = {
  name: 'suppress',
  keys: 2,
  lua: `
-- Puts addresses on the list, or changes how long they stand there.
-- KEYS 1 suppressed, 2 suppressions
-- ARGV 1 now (ms), 2... address, its end (ms or +inf), the rest of it (JSON)
-- Returns nothing.
-- Invariant: an address stands in both or in none; some of those whose time is over leave with each call.
for _, address in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, 100)) do
  redis.call('ZREM', KEYS[1], address)
  redis.call('HDEL', KEYS[2], address)
end
for i = 2, #ARGV, 3 do
  redis.call('ZADD', KEYS[1], ARGV[i + 1], ARGV[i])
  redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 2])
end
`,
};

export const unsuppress: Script = {
  name: 'unsuppress',
  keys: 2,
  lua: `
-- Takes an address off the list.
-- KEYS 1 suppressed, 2 suppressions
-- ARGV 1 address
-- Returns 1; 0 when it was not there.
-- Invariant: an address stands in both or in none.
redis.call('HDEL', KEYS[2], ARGV[1])
return redis.call('ZREM', KEYS[1], ARGV[1])
`,
};

export const suppressionsPage: Script = {
  name: 'suppressions-page',
  keys: 2,
  lua: `
-- Reads a page of the list, in the order in which addresses leave it.
-- KEYS 1 suppressed, 2 suppressions
-- ARGV 1 most addresses, 2 and 3 end and address that the page before ended with, or ''
-- Returns { address, its end (ms), the rest of it (JSON) } of each.
-- Invariant: changes nothing.
${paging}
local found = page(KEYS[1], ARGV[2], ARGV[3], ARGV[1])
local list = {}
for i = 1, #found, 2 do
  list[#list + 1] = { found[i], found[i + 1], redis.call('HGET', KEYS[2], found[i]) or '{}' }
end
return list
`,
};
