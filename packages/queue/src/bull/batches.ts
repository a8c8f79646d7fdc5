/**
 * Batches as BullMQ jobs: queue `delivery` of each shard, the job id is the batch id, so adding a batch twice adds it once. A job is
 * finished when its batch ended; one whose worker died comes back within batch_lease_time, as often as needed. A batch that names its worker
 * is in that worker's own queue; own-batches.ts looks after the queues of the dead.
 */
import type { Batch } from '@mailfleet/smtp';
import { type Job, Queue, WaitingError, Worker } from 'bullmq';
import { deliveryQueueOf, type ShardKeys } from '../keys.ts';
import { LeaseLostError } from '../ports.ts';
import { type Connection, firstReady } from '../redis/connection.ts';
import { fairShare } from '../shard.ts';
import {
  type BullContext,
  EVENT_STREAM,
  KEPT_BATCHES,
  KEPT_FAILURES,
  lockTimes,
  reportError,
  STALLED_WITHOUT_LIMIT,
} from './connection.ts';
import { Takings, watchTakings } from './watch.ts';

const PAGE = 100;

type BatchQueue = Queue<Batch, unknown, string>;

/**
 * A job that this process holds; `lost` aborts when its lock is gone, or ran out by our own clock: cut off from Redis a renewal hangs
 * and never fails, and another worker gets the batch meanwhile.
 */
interface HeldBatch {
  readonly batch: Batch;
  readonly token: string;
  readonly handedOutBefore: number;
  readonly lost: AbortSignal;
}

interface Watch {
  readonly controller: AbortController;
  /** Runs out with the lock, unless a renewal is answered. */
  readonly timer: NodeJS.Timeout;
}

export interface Batches {
  /** The queue of all workers, or of one. */
  queue(shard: number, worker?: string): BatchQueue;
  add(batches: readonly Batch[]): Promise<void>;
  /** Those that wait or run in the queue of all workers, or of one. */
  outstanding(shard: number, worker?: string): Promise<readonly Batch[]>;
  /**
   * Removes batches that no worker ever had from the queue of all workers, or of one; answers which. One that ended within these
   * milliseconds may be among them.
   */
  recall(shard: number, batchIds: readonly string[], worker?: string): Promise<readonly string[]>;
  /** Of these ids, those that wait or run in no queue of all workers. */
  vanished(shard: number, batchIds: readonly string[]): Promise<readonly string[]>;
  /** Ends the connection to a worker's queue and removes what BullMQ keeps for it. */
  forget(shard: number, worker: string): Promise<void>;
  /**
   * Which worker has a batch of the queue of all, or of one, if any took it yet, and since when it has it or it waits; undefined when it
   * ended or is not there.
   */
  holder(
    shard: number,
    batchId: string,
    worker?: string,
  ): Promise<{ readonly worker?: string; readonly sinceMs: number } | undefined>;
  /**
   * Hands batches to `handle` until `signal` aborts and all handlers ended. `handle` must not throw; it answers `moved` when it took the
   * batch out of its queue itself.
   * @param options.ownBatches takes those that name this worker, too; they come on top of `sessions`, since each has a session waiting
   */
  work(
    options: {
      readonly sessions: number;
      readonly name: string;
      readonly signal: AbortSignal;
      readonly ownBatches: boolean;
      readonly progress?: () => void;
    },
    handle: (held: HeldBatch) => Promise<'ended' | 'moved'>,
  ): Promise<void>;
  close(): Promise<void>;
}

export function makeBatches(context: BullContext, shards: readonly ShardKeys[], leaseMs: number): Batches {
  const queues = new Map<string, BatchQueue>();
  const addingQueues = new Map<string, BatchQueue>();

  const queue = (shard: number, worker?: string): BatchQueue =>
    openedIn(queues, shard, worker, () => context.connection);
  const addingQueue = (shard: number, worker: string | undefined): BatchQueue =>
    openedIn(addingQueues, shard, worker, context.adding);

  function openedIn(
    opened: Map<string, BatchQueue>,
    shard: number,
    worker: string | undefined,
    connection: () => Connection,
  ): BatchQueue {
    const name = deliveryQueueOf(worker);
    let found = opened.get(`${shard} ${name}`);
    if (found === undefined) {
      found = new Queue(name, {
        connection: connection(),
        prefix: shards[shard]?.bull ?? '',
        defaultJobOptions: { attempts: 1, removeOnComplete: KEPT_BATCHES, removeOnFail: KEPT_FAILURES },
        streams: EVENT_STREAM,
        ...context.telemetry,
      });
      found.on('error', reportError(context.log, 'batch queue'));
      opened.set(`${shard} ${name}`, found);
    }
    return found;
  }

  async function addOf(shard: number, worker: string | undefined, batches: readonly Batch[]): Promise<void> {
    // BullMQ asks the connection at once, each queue anew.
    await firstReady(context.adding());
    const target = addingQueue(shard, worker);
    await target.waitUntilReady();
    // A leader that stood still past its lease would add what the next one batches anew. What is left of that window is the time
    // between two commands.
    const fence = await context.adding().get(shards[shard]?.fence ?? '');
    if (batches.some((batch) => String(batch.fence) !== fence)) throw new LeaseLostError(shard);
    await target.addBulk(
      batches.map((batch) => ({ name: batch.nexthop, data: batch, opts: { jobId: batch.id } })),
    );
  }

  return {
    queue,
    async add(batches) {
      const places = Map.groupBy(batches, ({ shard, worker }) => `${shard} ${worker ?? ''}`);
      await Promise.all(
        [...places.values()].map(async (own) => {
          const [first] = own;
          if (first !== undefined) await addOf(first.shard, first.worker, own);
        }),
      );
    },
    async forget(shard, worker) {
      const key = `${shard} ${deliveryQueueOf(worker)}`;
      const reading = queue(shard, worker);
      const adding = addingQueues.get(key);
      queues.delete(key);
      addingQueues.delete(key);
      await reading.obliterate();
      await Promise.all([reading.close(), adding?.close()]);
    },
    async outstanding(shard, worker) {
      // The ids of all states in one script: a job that moves between pages would be missed.
      const ids = await queue(shard, worker).getRanges(['wait', 'prioritized', 'delayed', 'active'], 0, -1);
      const batches: Batch[] = [];
      for (let from = 0; from < ids.length; from += PAGE) {
        const jobs = await Promise.all(
          ids.slice(from, from + PAGE).map((id) => queue(shard, worker).getJob(id)),
        );
        for (const job of jobs) if (job !== undefined) batches.push(job.data);
      }
      return batches;
    },
    async recall(shard, batchIds, worker) {
      const removed = await Promise.all(
        batchIds.map(async (id) => {
          const job = await queue(shard, worker).getJob(id);
          // One that a worker had may be in doubt, which the next worker asks about because it was handed out before.
          const untouched = job?.attemptsStarted === 0 && job.data.handedOutBefore === undefined;
          if (!untouched || (await job.getState()) !== 'waiting') return false;
          // 0: a worker has its lock by now.
          return (await queue(shard, worker).remove(id)) === 1;
        }),
      );
      return batchIds.filter((_, i) => removed[i] === true);
    },
    async vanished(shard, batchIds) {
      const gone: string[] = [];
      for (let from = 0; from < batchIds.length; from += PAGE) {
        const page = batchIds.slice(from, from + PAGE);
        const states = await Promise.all(page.map((id) => queue(shard).getJobState(id)));
        gone.push(
          ...page.filter((_, i) => ['unknown', 'failed', 'completed'].includes(states[i] ?? 'unknown')),
        );
      }
      return gone;
    },
    async holder(shard, batchId, worker) {
      const job = await queue(shard, worker).getJob(batchId);
      if (job === undefined || job.finishedOn !== undefined) return undefined;
      if (job.processedOn === undefined) return { sinceMs: job.timestamp };
      return { worker: job.processedBy ?? 'a worker', sinceMs: job.processedOn };
    },
    async work({ sessions, name, signal, ownBatches, progress }, handle) {
      if (signal.aborted) return;
      const lost = new Map<string, Watch>();
      const { lockDuration } = lockTimes(leaseMs);
      const watched: Parameters<typeof watchTakings>[0][number][] = [];
      const open = (shard: number, keys: ShardKeys, own?: string): Worker<Batch> => {
        const concurrency = fairShare(sessions, shards.length, shard);
        const takings = new Takings(concurrency);
        watched.push({ takings, queue: queue(shard, own) });
        const worker = new Worker<Batch>(
          deliveryQueueOf(own),
          async (job: Job<Batch>, token = '') => {
            takings.begin();
            const controller = new AbortController();
            const timer = setTimeout(() => controller.abort(), lockDuration);
            lost.set(job.data.id, { controller, timer });
            try {
              const end = await handle({
                batch: job.data,
                token,
                handedOutBefore: Math.max(0, job.attemptsStarted - 1) + (job.data.handedOutBefore ?? 0),
                lost: controller.signal,
              });
              // To BullMQ this says that the job is in another place by now.
              if (end === 'moved') throw new WaitingError();
            } finally {
              takings.end();
              clearTimeout(timer);
              lost.delete(job.data.id);
            }
          },
          {
            connection: context.connection,
            prefix: keys.bull,
            name,
            concurrency,
            maxStalledCount: STALLED_WITHOUT_LIMIT,
            ...lockTimes(leaseMs),
            ...context.telemetry,
          },
        );
        worker.on('error', reportError(context.log, 'batch worker'));
        worker.on('lockRenewalFailed', (ids) => {
          for (const id of ids) lost.get(id)?.controller.abort();
        });
        worker.on('locksRenewed', ({ jobIds }) => {
          for (const id of jobIds) lost.get(id)?.timer.refresh();
        });
        return worker;
      };
      const workers = shards.flatMap((keys, shard) =>
        ownBatches ? [open(shard, keys), open(shard, keys, name)] : [open(shard, keys)],
      );
      const watching = progress === undefined ? undefined : watchTakings(watched, progress, signal);
      await aborted(signal);
      // It may wait for a Redis that is away.
      watching?.catch(() => undefined);
      await Promise.all(workers.map((worker) => worker.close()));
    },
    async close() {
      await Promise.all([...queues.values(), ...addingQueues.values()].map((each) => each.close()));
    },
  };
}

export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
