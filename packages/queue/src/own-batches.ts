/**
 * Batches that were given to one worker: who may get them, and the leader's look at all queues of its shard.
 *
 * A worker says every second that it lives; the leader takes back the batches of one that was silent for `ALIVE_MS`, those that wait and
 * those whose lock ran out, and gives them to all. Whoever is given a batch stands on the list of workers first, so that no queue is
 * overlooked.
 */
import type { Batch } from '@mailfleet/smtp';
import type { Batches } from './bull/batches.ts';
import { keysOfShard, type QueueContext } from './context.ts';
import type { Lease } from './ports.ts';
import {
  deadWorkers,
  expectWorker,
  forgetWorker,
  handOver,
  takeBack,
  workerLives,
} from './scripts/workers.ts';

const BEAT_MS = 1_000;
/** How long a worker is believed to live after a word of it. */
const ALIVE_MS = 3_000;
/** Dead workers looked after in one turn, and workers read at once. */
const PAGE = 100;

/** Tells the leaders that this worker takes batches of its own, until it does not: then what is left of them goes to the others. */
export async function keepAlive(context: QueueContext, worker: string, stop: AbortSignal): Promise<void> {
  const say = async (ms: number): Promise<void> => {
    await Promise.all(
      context.shards.map(({ workers }) => context.run(workerLives, [workers], [worker, ms])),
    ).catch((error: unknown) => context.log.warn(`worker ${worker} is not on the list: ${String(error)}`));
  };
  while (!stop.aborted) {
    await say(ALIVE_MS);
    await new Promise<void>((resolve) => {
      const timer = setTimeout(end, BEAT_MS);
      function end(): void {
        clearTimeout(timer);
        stop.removeEventListener('abort', end);
        resolve();
      }
      stop.addEventListener('abort', end);
    });
  }
  await say(0);
}

/** Adds batches, those of one worker and those of all. */
export async function addBatches(
  context: QueueContext,
  bull: Batches,
  batches: readonly Batch[],
): Promise<void> {
  const own = Map.groupBy(
    batches.filter(({ worker }) => worker !== undefined),
    ({ shard }) => shard,
  );
  await Promise.all(
    [...own].map(([shard, each]) => {
      const workers = new Set(each.flatMap(({ worker }) => worker ?? []));
      return context.runOnce(expectWorker, [keysOfShard(context, shard).workers], [...workers]);
    }),
  );
  await bull.add(batches);
}

/**
 * Batches in any queue of the shard. A batch may move from an own queue to that of all, when its worker died, or once the other way, handed
 * over: own queues are read before the queue of all and after it, so that none is missed.
 */
export async function outstandingBatches(
  context: QueueContext,
  bull: Batches,
  shard: number,
): Promise<readonly Batch[]> {
  const batches = new Map<string, Batch>();
  const add = (found: readonly Batch[]): void => {
    for (const batch of found) batches.set(batch.id, batch);
  };
  const addOwn = async (): Promise<void> => {
    for (const worker of await workersOf(context, shard)) add(await bull.outstanding(shard, worker));
  };
  await addOwn();
  add(await bull.outstanding(shard));
  await addOwn();
  return [...batches.values()];
}

/**
 * Gives a batch of the queue of all, which its worker did not begin, to another worker. May be repeated.
 * @returns whether it is the caller's no more
 */
export async function handOverBatch(
  context: QueueContext,
  batch: Batch,
  token: string,
  worker: string,
): Promise<boolean> {
  const keys = keysOfShard(context, batch.shard);
  const theirs = { ...batch, worker };
  const answer = await context.run(
    handOver,
    [
      keys.batchLock(batch),
      keys.batchJob(batch),
      keys.batchList('active', undefined),
      keys.batchList('stalled', undefined),
      keys.batchJob(theirs),
      keys.batchList('wait', worker),
      keys.batchList('marker', worker),
      keys.batchList('meta', worker),
      keys.workers,
    ],
    [token, batch.id, worker, JSON.stringify(theirs)],
  );
  return answer !== 'kept';
}

export async function vanishedBatches(
  context: QueueContext,
  bull: Batches,
  shard: number,
  batchIds: readonly string[],
): Promise<readonly string[]> {
  const gone = await bull.vanished(shard, batchIds);
  if (gone.length === 0) return gone;
  const own = new Set<string>();
  for (const worker of await workersOf(context, shard)) {
    for (const { id } of await bull.outstanding(shard, worker)) own.add(id);
  }
  return gone.filter((id) => !own.has(id));
}

/** Which of these were taken back from BullMQ before any worker had them. */
export async function recallBatches(
  context: QueueContext,
  bull: Batches,
  shard: number,
  batchIds: readonly string[],
): Promise<readonly string[]> {
  const recalled = new Set(await bull.recall(shard, batchIds));
  for (const worker of recalled.size < batchIds.length ? await workersOf(context, shard) : []) {
    const left = batchIds.filter((id) => !recalled.has(id));
    for (const id of await bull.recall(shard, left, worker)) recalled.add(id);
  }
  return batchIds.filter((id) => recalled.has(id));
}

/** See Batches.holder, in whatever queue the batch is. */
export async function holderOf(
  context: QueueContext,
  bull: Batches,
  shard: number,
  batchId: string,
): ReturnType<Batches['holder']> {
  for (const worker of [undefined, ...(await workersOf(context, shard))]) {
    const holder = await bull.holder(shard, batchId, worker);
    if (holder !== undefined) return holder;
  }
  return undefined;
}

/** @returns how many batches went back to the queue of all */
export async function takeBackBatches(context: QueueContext, bull: Batches, lease: Lease): Promise<number> {
  const { shard } = lease;
  const keys = keysOfShard(context, shard);
  const dead = (await context.run(deadWorkers, [keys.workers], [PAGE])) as string[];
  let moved = 0;
  for (const worker of dead) {
    for (const batch of await bull.outstanding(shard, worker)) {
      const lists = [keys.batchList('wait', worker), keys.batchList('active', worker)];
      const taken = await context.runOnce(
        takeBack,
        [keys.batchLock(batch), ...lists, keys.batchJob(batch)],
        [batch.id],
      );
      if (taken !== 1) continue;
      const { worker: _, ...rest } = batch;
      // Begun or not is not known for sure: whoever gets it looks what is left of it.
      const handedOutBefore = (batch.handedOutBefore ?? 0) + 1;
      await bull.add([{ ...rest, fence: lease.fence, handedOutBefore }]);
      moved += 1;
    }
    const forgotten = await context.run(
      forgetWorker,
      [keys.workers, keys.batchList('wait', worker), keys.batchList('active', worker)],
      [worker],
    );
    if (forgotten === 1) await bull.forget(shard, worker);
  }
  return moved;
}

async function workersOf(context: QueueContext, shard: number): Promise<string[]> {
  const { workers } = keysOfShard(context, shard);
  const names: string[] = [];
  for (let from = 0; ; from += PAGE) {
    const page = await context.redis.zrange(workers, from, `${from + PAGE - 1}`);
    names.push(...page);
    if (page.length < PAGE) return names;
  }
}
