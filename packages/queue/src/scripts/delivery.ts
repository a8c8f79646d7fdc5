/** Scripts of those who deliver: workers, and the bounce daemon. */
import { fencing, noting } from './fragments.ts';
import type { Script } from './script.ts';

export const record: Script = {
  name: 'record',
  keys: 5,
  lua: `
-- Records the outcomes of one delivery request.
-- KEYS 1 message, 2 timeline, 3 inbox, 4 fence, 5 events
-- ARGV 1 fence, or '' for a worker, 2 batch id, or '' when the leader itself decided, 3 queue id, 4 whole-destination
--      report (JSON) or '', 5 reason, 6 timeline entry or '', 7 ms that a finished timeline lives on, 8 why the message goes to
--      the corrupt queue at the end of its pass, or '', 9 events for webhooks (JSON) or '',
--      10... recipient, 'd' delivered / 's' delivered and a success notice is due / 'b' bounced / 'f' deferred / 'u' deferred
--      unless there is an outcome, outcome to keep (JSON) or ''
-- Returns the number of recipients that were final before.
-- Invariant: a final recipient stays as it is; what the leader reads is what the record holds.
${fencing}${noting}
if ARGV[1] ~= '' and fenced(KEYS[4], ARGV[1]) then return fenced_out end
local live = redis.call('EXISTS', KEYS[1]) == 1
local duplicates, kinds = 0, {}
for i = 10, #ARGV, 3 do
  local n, kind, outcome = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if kind == 'u' then
    kind = 'f'
    outcome = live and redis.call('HGET', KEYS[1], 'o' .. n) or outcome
  end
  local final = live and redis.call('HGET', KEYS[1], 'x' .. n)
  if final then
    duplicates = duplicates + 1
    kind = final
  elseif not live then
    if kind ~= 'f' then duplicates = duplicates + 1 end
  else
    if kind ~= 'f' then redis.call('HSET', KEYS[1], 'x' .. n, kind) end
    if outcome ~= '' then
      redis.call('HSET', KEYS[1], 'o' .. n, outcome)
      redis.call('HDEL', KEYS[1], 'i' .. n)
    else
      redis.call('HDEL', KEYS[1], 'o' .. n, 'i' .. n)
    end
  end
  kinds[#kinds + 1] = n .. kind
end
if ARGV[9] ~= '' then redis.call('XADD', KEYS[5], '*', 'e', ARGV[9]) end
note(KEYS[2], ARGV[6])
if live and ARGV[8] ~= '' then redis.call('HSET', KEYS[1], 'corrupt', ARGV[8]) end
if not live then redis.call('PEXPIRE', KEYS[2], ARGV[7]) end
if ARGV[2] ~= '' then
  redis.call('XADD', KEYS[3], '*', 'k', 'result', 'b', ARGV[2], 'q', ARGV[3], 'o', table.concat(kinds, ','),
    'h', ARGV[4], 'r', ARGV[5])
end
return duplicates
`,
};

export const markInDoubt: Script = {
  name: 'mark-in-doubt',
  keys: 1,
  lua: `
-- Marks recipients whose message is about to be handed over for good.
-- KEYS 1 message
-- ARGV recipients
-- Returns nothing.
-- Invariant: a retired message does not come back.
if redis.call('EXISTS', KEYS[1]) == 0 then return end
for _, n in ipairs(ARGV) do redis.call('HSET', KEYS[1], 'i' .. n, '1') end
`,
};

export const endBatch: Script = {
  name: 'end-batch',
  keys: 2,
  lua: `
-- Tells the leader that a worker is done with a batch.
-- KEYS 1 inbox, 2 BullMQ's lock of the job
-- ARGV 1 token of the lock, 2 batch id, 3 queue ids that were never tried (JSON)
-- Returns 1; 0 when the lock is lost: the batch is another worker's, who will tell.
-- Invariant: only the owner of a batch ends it.
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('XADD', KEYS[1], '*', 'k', 'batch-end', 'b', ARGV[2], 'l', ARGV[3])
return 1
`,
};

export const noticePosted: Script = {
  name: 'notice-posted',
  keys: 3,
  lua: `
-- Takes reported recipients out of the bounce log and tells the leader.
-- KEYS 1 message, 2 timeline, 3 inbox
-- ARGV 1 failure, expiry, delay or success, 2 queue id, 3 pass, 4 term of the leader that asked, 5 timeline entry or '',
--      6... recipients
-- Returns the number of recipients that changed.
-- Invariant: reporting again changes nothing; recipients are final once reported (but for delay).
${noting}
local from = { failure = 'b', success = 's', expiry = false }
local to = { failure = 'n', success = 'd', expiry = 'n' }
local changed = 0
if redis.call('EXISTS', KEYS[1]) == 1 then
  if ARGV[1] == 'delay' then
    changed = redis.call('HSET', KEYS[1], 'w', '1')
  else
    for i = 6, #ARGV do
      if redis.call('HGET', KEYS[1], 'x' .. ARGV[i]) == from[ARGV[1]] then
        redis.call('HSET', KEYS[1], 'x' .. ARGV[i], to[ARGV[1]])
        redis.call('HDEL', KEYS[1], 'o' .. ARGV[i], 'i' .. ARGV[i])
        changed = changed + 1
      end
    end
  end
  if changed > 0 then note(KEYS[2], ARGV[5]) end
end
redis.call('XADD', KEYS[3], '*', 'k', 'notified', 'q', ARGV[2], 'n', ARGV[1], 'p', ARGV[3], 't', ARGV[4])
return changed
`,
};
