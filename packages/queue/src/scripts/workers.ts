/** Scripts about workers that get batches of their own: who lives, and what becomes of a dead one's batches. */
import type { Script } from './script.ts';

export const workerLives: Script = {
  name: 'worker-lives',
  keys: 1,
  lua: `
-- A worker says that it takes batches of its own, or, with no time, that it does not any more.
-- KEYS 1 workers
-- ARGV 1 worker, 2 ms that it counts as alive from now
-- Returns nothing.
-- Invariant: a worker stays on the list until forget-worker found its queue empty.
local time = redis.call('TIME')
redis.call('ZADD', KEYS[1], time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2], ARGV[1])
`,
};

export const expectWorker: Script = {
  name: 'expect-worker',
  keys: 1,
  lua: `
-- Puts workers that are about to get a batch on the list, as dead ones unless they say otherwise.
-- KEYS 1 workers
-- ARGV workers
-- Returns nothing.
-- Invariant: whoever has a batch of its own is on the list, so that someone looks after it.
for _, worker in ipairs(ARGV) do redis.call('ZADD', KEYS[1], 'NX', 0, worker) end
`,
};

export const deadWorkers: Script = {
  name: 'dead-workers',
  keys: 1,
  lua: `
-- Workers that have not been heard of in time.
-- KEYS 1 workers
-- ARGV 1 most to name
-- Returns their names.
-- Invariant: nothing is changed.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
`,
};

export const forgetWorker: Script = {
  name: 'forget-worker',
  keys: 3,
  lua: `
-- Takes a dead worker off the list.
-- KEYS 1 workers, 2 waiting list of its queue, 3 active list of its queue
-- ARGV 1 worker
-- Returns 1; 0 when it lives again or still has a batch.
-- Invariant: see worker-lives.
local time = redis.call('TIME')
local alive = redis.call('ZSCORE', KEYS[1], ARGV[1])
if alive and tonumber(alive) > time[1] * 1000 + math.floor(time[2] / 1000) then return 0 end
if redis.call('EXISTS', KEYS[2], KEYS[3]) > 0 then return 0 end
redis.call('ZREM', KEYS[1], ARGV[1])
return 1
`,
};

export const takeBack: Script = {
  name: 'take-back',
  keys: 4,
  lua: `
-- Takes a batch out of a worker's queue.
-- KEYS 1 BullMQ's lock of the job, 2 waiting list, 3 active list, 4 the job
-- ARGV 1 batch id
-- Returns 1; 0 when somebody works on it, or it is finished or gone.
-- Invariant: a batch that was taken back is handed out by that queue no more, and was not finished there.
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local taken = redis.call('LREM', KEYS[2], 1, ARGV[1]) + redis.call('LREM', KEYS[3], 1, ARGV[1])
if taken == 0 then return 0 end
redis.call('DEL', KEYS[4])
return 1
`,
};

export const handOver: Script = {
  name: 'hand-over',
  keys: 9,
  lua: `
-- Moves a batch that a worker has and did not begin from the queue of all to another worker's own.
-- KEYS 1 BullMQ's lock of the job, 2 the job, 3 active list, 4 stalled jobs; of the other queue: 5 the job, 6 waiting list,
--      7 marker, 8 its settings; 9 workers
-- ARGV 1 token of the lock, 2 batch id, 3 the other worker, 4 the batch as that one gets it (JSON)
-- Returns 'moved'; 'lost' when the lock is not the caller's, after an earlier call too; 'kept' when the other one does not take it.
-- Invariant: the batch is in one queue, and only the owner of its lock moves it. As in BullMQ the marker wakes the worker.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'lost' end
local time = redis.call('TIME')
local alive = redis.call('ZSCORE', KEYS[9], ARGV[3])
if not alive or alive + 0 <= time[1] * 1000 + math.floor(time[2] / 1000) then return 'kept' end
if redis.call('HEXISTS', KEYS[8], 'paused') == 1 or redis.call('EXISTS', KEYS[5]) == 1 then return 'kept' end
redis.call('DEL', KEYS[1])
redis.call('LREM', KEYS[3], 1, ARGV[2])
redis.call('SREM', KEYS[4], ARGV[2])
redis.call('RENAME', KEYS[2], KEYS[5])
redis.call('HDEL', KEYS[5], 'processedOn', 'pb', 'ats')
redis.call('HSET', KEYS[5], 'data', ARGV[4])
redis.call('RPUSH', KEYS[6], ARGV[2])
redis.call('ZADD', KEYS[7], 0, '0')
return 'moved'
`,
};
