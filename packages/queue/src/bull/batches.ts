/**
 * Batches as BullMQ jobs: queue `delivery` of each shard, the job id is the batch id, so adding a batch twice adds it once. A job is
 * finished when its batch ended; one whose worker died comes back within batch_lease_time, as often as needed. A batch that names its worker
 * is in that worker's own queue; own-batches.ts looks after the queues of the dead.
 */
import type { Batch } from '@mailfleet/smtp';
import { type Job, Queue, Worker } from 'bullmq';
import { deliveryQueueOf, type ShardKeys } from '../keys.ts';
import { LeaseLostError } from '../ports.ts';
import type { Connection } from '../redis/connection.ts';
import {
  type BullContext,
  EVENT_STREAM,
  KEPT_BATCHES,
  KEPT_FAILURES,
  lockTimes,
  reportError,
  STALLED_WITHOUT_LIMIT,
} from './connection.ts';

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
  /** Of these ids, those that wait or run in no queue of all workers. */
  vanished(shard: number, batchIds: readonly string[]): Promise<readonly string[]>;
  /** Ends the connection to a worker's queue and removes what BullMQ keeps for it. */
  forget(shard: number, worker: string): Promise<void>;
  /**
   * Hands batches to `handle` until `signal` aborts and all handlers ended. `handle` must not throw.
   * @param options.ownBatches takes those that name this worker, too; they come on top of `sessions`, since each has a session waiting
   */
  work(
    options: {
      readonly sessions: number;
      readonly name: string;
      readonly signal: AbortSignal;
      readonly ownBatches: boolean;
    },
    handle: (held: HeldBatch) => Promise<void>,
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
    async work({ sessions, name, signal, ownBatches }, handle) {
      if (signal.aborted) return;
      const lost = new Map<string, Watch>();
      const { lockDuration } = lockTimes(leaseMs);
      const open = (queueName: string, keys: ShardKeys, concurrency: number): Worker<Batch> => {
        const worker = new Worker<Batch>(
          queueName,
          async (job: Job<Batch>, token = '') => {
            const controller = new AbortController();
            const timer = setTimeout(() => controller.abort(), lockDuration);
            lost.set(job.data.id, { controller, timer });
            try {
              await handle({
                batch: job.data,
                token,
                handedOutBefore: Math.max(0, job.attemptsStarted - 1) + (job.data.handedOutBefore ?? 0),
                lost: controller.signal,
              });
            } finally {
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
      const workers = shards.flatMap((keys, shard) => {
        const share = fairShare(sessions, shards.length, shard);
        const shared = open(deliveryQueueOf(undefined), keys, share);
        return ownBatches ? [shared, open(deliveryQueueOf(name), keys, share)] : [shared];
      });
      await aborted(signal);
      await Promise.all(workers.map((worker) => worker.close()));
    },
    async close() {
      await Promise.all([...queues.values(), ...addingQueues.values()].map((each) => each.close()));
    },
  };
}

/** Sessions of one shard's worker: the remainder goes to the first shards, and no shard is left without. */
export function fairShare(sessions: number, shards: number, shard: number): number {
  return Math.max(1, Math.floor(sessions / shards) + (shard < sessions % shards ? 1 : 0));
}

export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
