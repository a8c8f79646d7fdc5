/** The script that looks at messages whose lifetime may have ended. */
import { fencing, viewing } from './fragments.ts';
import type { Script } from './script.ts';

export const takeExpired: Script = {
  name: 'take-expired',
  keys: 6,
  lua: `
-- Moves messages whose lifetime ended to active, so that the leader returns them; one on hold leaves the index until its release.
-- KEYS 1 expiry, 2 incoming, 3 deferred, 4 active, 5 hold, 6 fence
-- ARGV 1 fence, 2 prefix, 3 now (ms), 4 when to look again at what is in active (ms), 5... queue id, and '' when its lifetime ended
--      or the time (ms) that it ends
-- Returns { views of messages moved to active, ids that were there, ids on hold }.
-- Invariant: a message is in one queue; none but held ones leave the index before they are gone.
${fencing}${viewing}
if fenced(KEYS[6], ARGV[1]) then return fenced_out end
local views, active, held = {}, {}, {}
for i = 5, #ARGV, 2 do
  local id, ends = ARGV[i], ARGV[i + 1]
  if ends ~= '' then
    redis.call('ZADD', KEYS[1], 'XX', ends, id)
  elseif redis.call('ZREM', KEYS[2], id) + redis.call('ZREM', KEYS[3], id) > 0 then
    local seen = view(ARGV[2], id, ARGV[3])
    if seen then
      redis.call('ZADD', KEYS[4], ARGV[3], id)
      redis.call('ZADD', KEYS[1], 'XX', ARGV[4], id)
      views[#views + 1] = seen
    else
      redis.call('ZREM', KEYS[1], id)
    end
  elseif redis.call('ZSCORE', KEYS[4], id) then
    redis.call('ZADD', KEYS[1], 'XX', ARGV[4], id)
    active[#active + 1] = id
  else
    redis.call('ZREM', KEYS[1], id)
    if redis.call('ZSCORE', KEYS[5], id) then held[#held + 1] = id end
  end
end
return { views, active, held }
`,
};
