/**
 * Lua functions that several scripts share, put in front of their text. Each keeps to the shard of the prefix or keys it is
 * given.
 */

/** fenced(fenceKey, fence): true when another scheduler leads; the script then answers `return fenced_out`. */
export const fencing = `
local fenced_out = redis.error_reply('FENCED another scheduler leads this shard')
local function fenced(fence_key, fence)
  return redis.call('GET', fence_key) ~= fence
end
`;

/** too_late(latest): true when Redis' clock is past a time (ms), '' is no time; the script then answers `return too_late_out`. */
export const punctual = `
local too_late_out = redis.error_reply('TOOLATE the command reached Redis after its time; if that happens always, the clocks differ')
local function too_late(latest)
  if latest == '' then return false end
  local time = redis.call('TIME')
  return time[1] * 1000 + time[2] / 1000 > tonumber(latest)
end
`;

/**
 * enqueue(incoming, inbox, id, ms): into incoming; tells the leader only when incoming was empty, because a leader that was
 * told comes back by itself until incoming is empty.
 */
export const enqueueing = `
local function enqueue(incoming, inbox, id, ms)
  if redis.call('EXISTS', incoming) == 0 then redis.call('XADD', inbox, '*', 'k', 'mail') end
  redis.call('ZADD', incoming, ms, id)
end
`;

/**
 * enqueue_behind(deferred, inbox, id, ms): into deferred, due at once; tells the leader when it became the first, because a leader knows
 * when the first one is due and comes back by itself for the rest.
 */
export const enqueueingBehind = `
local function enqueue_behind(deferred, inbox, id, ms)
  redis.call('ZADD', deferred, ms, id)
  if redis.call('ZRANGE', deferred, 0, 0)[1] == id then redis.call('XADD', inbox, '*', 'k', 'mail', 'd', '1') end
end
`;

/** drop_content(content, files): deletes a content, answers the name of its file or ''. */
export const dropping = `
local function drop_content(content, files)
  local name = ''
  if redis.call('GETRANGE', content, 0, 0) == 'f' then
    name = string.sub(redis.call('GET', content), 2)
    redis.call('ZREM', files, name)
  end
  redis.call('DEL', content)
  return name
end
`;

/**
 * retire(id, o): deletes this shard's part of a message. Content goes with the last part: the home shard counts them in `p:`,
 * another shard leaves a mark in retired-parts until the home shard knows. Answers { file, home shard }, each or ''.
 * o: prefix, shard, now, timeline_ms, expiry, retired_parts, files.
 */
export const retiring = `${dropping}
local function retire(id, o)
  local message = o.prefix .. 'm:' .. id
  local home = redis.call('HGET', message, 'h')
  redis.call('UNLINK', message)
  redis.call('ZREM', o.expiry, id)
  redis.call('PEXPIRE', o.prefix .. 't:' .. id, o.timeline_ms)
  if home then
    redis.call('ZADD', o.retired_parts, o.now, home .. ':' .. id)
    return { '', home }
  end
  local parts = o.prefix .. 'p:' .. id
  redis.call('SREM', parts, o.shard)
  if redis.call('EXISTS', parts) == 1 then return { '', '' } end
  return { drop_content(o.prefix .. 'c:' .. id, o.files), '' }
end
`;

/**
 * keep(key, first, pages): stores the pages of a long list of recipients, ARGV from `first` on, beside the record. `n` says that there are
 * some, since marks of all its recipients are too many for one answer.
 */
export const keepingPages = `
local function keep(key, first, pages)
  if pages == 0 then return end
  for i = 0, pages - 1 do redis.call('HSET', key, 'r' .. i, ARGV[first + i]) end
  redis.call('HSET', key, 'n', pages)
end
`;

/** view(prefix, id, ms): what the leader needs of a message: { record, pass, warned, ms, marks, held, forced, id }; false when it is gone. */
export const viewing = `
local function view(prefix, id, ms)
  local key = prefix .. 'm:' .. id
  local fixed = redis.call('HMGET', key, 'e', 'p', 'w', 'n', 'held', 'forced')
  if not fixed[1] then return false end
  local marks = {}
  if not fixed[4] then
    for _, field in ipairs(redis.call('HKEYS', key)) do
      if string.sub(field, 1, 1) == 'x' then
        marks[#marks + 1] = field
        marks[#marks + 1] = redis.call('HGET', key, field)
      end
    end
  end
  return { fixed[1], fixed[2] or '0', fixed[3] or '', ms, marks, fixed[5] or '', fixed[6] or '', id }
end
`;

/** fields_of(key): fields and values of a message, but not the states of a long list of recipients. */
export const readingFields = `
local function fields_of(key)
  if redis.call('HEXISTS', key, 'n') == 0 then return redis.call('HGETALL', key) end
  return { 'e', redis.call('HGET', key, 'e') }
end
`;

/** page(zset, score, member, limit): ids and scores after a position; a member that left meanwhile may repeat its equals. */
export const paging = `
local function page(zset, score, member, limit)
  local from = 0
  if member ~= '' then
    if redis.call('ZSCORE', zset, member) == score then
      from = redis.call('ZRANK', zset, member) + 1
    else
      from = redis.call('ZCOUNT', zset, '-inf', '(' .. score)
    end
  end
  return redis.call('ZRANGE', zset, from, from + limit - 1, 'WITHSCORES')
end
`;

/** note(timeline, entry): appends to a timeline and bounds it. */
export const noting = `
local function note(timeline, entry)
  if entry == '' or redis.call('LINDEX', timeline, -1) == entry then return end
  if redis.call('RPUSH', timeline, entry) > 1000 then redis.call('LTRIM', timeline, -1000, -1) end
end
`;
