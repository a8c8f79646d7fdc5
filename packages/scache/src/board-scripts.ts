/** State changes of the board where workers tell of sessions that no list names. Times are Redis' own. */
import type { Script } from '@mailfleet/queue';
import { clock } from './scripts.ts';

export const askForSessions: Script = {
  name: 'sessions-ask',
  keys: 1,
  lua: `
-- Asks all workers for their sessions.
-- KEYS 1 question
-- ARGV 1 ms that it stands
-- Returns the time (ms).
-- Invariant: a question runs out.
${clock}
redis.call('SET', KEYS[1], now, 'PX', ARGV[1])
return now
`,
};

export const questionStands: Script = {
  name: 'sessions-asked',
  keys: 1,
  lua: `
-- Whether somebody asks.
-- KEYS 1 question
-- ARGV none
-- Returns 1 or 0.
-- Invariant: nothing is changed.
return redis.call('EXISTS', KEYS[1])
`,
};

export const tellSessions: Script = {
  name: 'sessions-tell',
  keys: 2,
  lua: `
-- A worker's answer, in place of an earlier one.
-- KEYS 1 workers by the time (ms) of their answer, 2 the answer
-- ARGV 1 worker, 2 ms that it may be read, 3... sessions (JSON)
-- Returns nothing.
-- Invariant: both run out.
${clock}
redis.call('DEL', KEYS[2])
for i = 3, #ARGV do redis.call('RPUSH', KEYS[2], ARGV[i]) end
redis.call('PEXPIRE', KEYS[2], ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
`,
};

export const answersTo: Script = {
  name: 'sessions-answers',
  keys: 2,
  lua: `
-- Who answered, a page of them.
-- KEYS 1 workers by the time (ms) of their answer, 2 workers by the time up to which they count as alive
-- ARGV 1 time of the question, 2 how many to leave out, 3 how many to name
-- Returns how many workers live, how many answered since, and names.
-- Invariant: nothing is changed.
${clock}
local alive = redis.call('ZCOUNT', KEYS[2], '(' .. now, '+inf')
local page = { tostring(alive), tostring(redis.call('ZCOUNT', KEYS[1], ARGV[1], '+inf')) }
for _, worker in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[1], '+inf', 'LIMIT', ARGV[2], ARGV[3])) do
  page[#page + 1] = worker
end
return page
`,
};

export const readAnswer: Script = {
  name: 'sessions-answer',
  keys: 1,
  lua: `
-- A page of a worker's answer.
-- KEYS 1 the answer
-- ARGV 1 first, 2 last to read
-- Returns sessions (JSON).
-- Invariant: nothing is changed.
return redis.call('LRANGE', KEYS[1], ARGV[1], ARGV[2])
`,
};

export const boardScripts: readonly Script[] = [
  askForSessions,
  questionStands,
  tellSessions,
  answersTo,
  readAnswer,
];
