/** Scripts of the way in. */
import { dropping, enqueueing, enqueueingBehind, keepingPages, noting, punctual } from './fragments.ts';
import type { Script } from './script.ts';

export const accept: Script = {
  name: 'accept',
  keys: 11,
  lua: `
-- Takes in a message on its home shard; the commit point of accept.
-- KEYS 1 message, 2 content, 3 incoming, deferred or hold, 4 expiry, 5 inbox, 6 timeline, 7 parts, 8 copies, 9 fanout,
--      10 remembered, 11 files
-- ARGV 1 queue id, 2 record (JSON), 3 'i' inline or 'f' file, 4 content or file name, 5 now (ms), 6 end of
--      lifetime (ms), 7 timeline entry or '', 8 ms to remember the id or 0, 9 which of the three KEYS 3 is: 'i', 'd' or 'h', 10 records of the parts of
--      other shards (JSON) or '', 11 latest time to accept (ms) or '', 12 number of pages of recipients, then the pages,
--      then all shards that hold a part, when there are several
-- Returns 1; 0 when the id is there or remembered, and then nothing changed; an error when it is too late, the same.
-- Invariant: a message that is indexed has a record and a content; parts to copy are on disk before the client hears.
${enqueueing}${enqueueingBehind}${noting}${punctual}${keepingPages}
if redis.call('EXISTS', KEYS[1], KEYS[7], KEYS[10]) > 0 then return 0 end
if too_late(ARGV[11]) then return too_late_out end
redis.call('HSET', KEYS[1], 'e', ARGV[2])
local pages = tonumber(ARGV[12])
keep(KEYS[1], 13, pages)
redis.call('SET', KEYS[2], ARGV[3] .. ARGV[4])
if ARGV[3] == 'f' then redis.call('ZADD', KEYS[11], ARGV[5], ARGV[4]) end
if ARGV[9] == 'h' then
  redis.call('ZADD', KEYS[3], ARGV[5], ARGV[1])
elseif ARGV[9] == 'd' then
  enqueue_behind(KEYS[3], KEYS[5], ARGV[1], ARGV[5])
else
  enqueue(KEYS[3], KEYS[5], ARGV[1], ARGV[5])
end
redis.call('ZADD', KEYS[4], ARGV[6], ARGV[1])
note(KEYS[6], ARGV[7])
if ARGV[8] ~= '0' then redis.call('SET', KEYS[10], '', 'PX', ARGV[8]) end
if ARGV[10] ~= '' then
  redis.call('SET', KEYS[8], ARGV[10])
  redis.call('ZADD', KEYS[9], ARGV[5], ARGV[1])
  redis.call('SADD', KEYS[7], unpack(ARGV, 13 + pages))
end
return 1
`,
};

export const copyPart: Script = {
  name: 'copy-part',
  keys: 5,
  lua: `
-- Copies a part of a message to the shard that delivers it.
-- KEYS 1 message, 2 incoming or hold, 3 expiry, 4 inbox, 5 retired-parts
-- ARGV 1 queue id, 2 record (JSON), 3 now (ms), 4 end of lifetime (ms), 5 home shard, 6 '1' for hold, 7 latest time (ms),
--      8... pages of recipients
-- Returns 1; 0 when the part is there or was retired lately; an error when it is too late.
-- Invariant: copying again changes nothing, so that a part is delivered once; no copy comes when the mark of a retired part is gone.
${enqueueing}${punctual}${keepingPages}
if too_late(ARGV[7]) then return too_late_out end
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
if redis.call('ZSCORE', KEYS[5], ARGV[5] .. ':' .. ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'e', ARGV[2], 'h', ARGV[5])
keep(KEYS[1], 8, #ARGV - 7)
if ARGV[6] == '1' then
  redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
else
  enqueue(KEYS[2], KEYS[4], ARGV[1], ARGV[3])
end
redis.call('ZADD', KEYS[3], ARGV[4], ARGV[1])
return 1
`,
};

export const partsCopied: Script = {
  name: 'parts-copied',
  keys: 2,
  lua: `
-- Notes on the home shard that all parts are copied.
-- KEYS 1 copies, 2 fanout
-- ARGV 1 queue id
-- Returns nothing.
-- Invariant: runs only after every copy-part answered.
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
`,
};

export const partRetired: Script = {
  name: 'part-retired',
  keys: 4,
  lua: `
-- Tells the home shard that another shard retired its part.
-- KEYS 1 parts, 2 content, 3 copies, 4 files
-- ARGV 1 the other shard
-- Returns { 1 while a copy may still be repeated else 0, file to delete or '' }.
-- Invariant: the content lives exactly as long as some shard holds a part.
${dropping}
redis.call('SREM', KEYS[1], ARGV[1])
local file = ''
if redis.call('EXISTS', KEYS[1]) == 0 then file = drop_content(KEYS[2], KEYS[4]) end
return { redis.call('EXISTS', KEYS[3]), file }
`,
};

export const claimKey: Script = {
  name: 'claim-key',
  keys: 1,
  lua: `
-- Binds an idempotency key to the first queue id that claims it.
-- KEYS 1 the key
-- ARGV 1 queue id, 2 lifetime (ms)
-- Returns the queue id that is bound.
-- Invariant: one key, one id, until the lifetime ends.
local bound = redis.call('GET', KEYS[1])
if bound then return bound end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
`,
};
