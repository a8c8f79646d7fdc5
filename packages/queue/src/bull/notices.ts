/**
 * Notice requests as BullMQ jobs: queue `notice` of each shard, one job per message, pass, notice and leader. A request that fails is repeated
 * until it succeeds, since its message waits for it.
 */
import { type Job, Queue, Worker } from 'bullmq';
import { NOTICE_QUEUE, type ShardKeys } from '../keys.ts';
import type { NoticeRequest, TranscriptNotice } from '../ports.ts';
import { aborted } from './batches.ts';
import {
  type BullContext,
  EVENT_STREAM,
  KEPT_FAILURES,
  lockTimes,
  reportError,
  STALLED_WITHOUT_LIMIT,
} from './connection.ts';
import { Takings, watchTakings } from './watch.ts';

const RETRY_MS = 5_000;
const TRIES_WITHOUT_LIMIT = 1_000_000_000;
/** Notices of one shard built at once by a process: each may hold a returned content. */
const CONCURRENCY = 8;

/** A transcript that cannot be posted by then is given up: nobody waits for it. */
const TRANSCRIPT_TRIES = 5;

type Request = NoticeRequest | TranscriptNotice;
type NoticeQueue = Queue<Request, unknown, string>;

export interface Notices {
  queue(shard: number): NoticeQueue;
  add(requests: readonly NoticeRequest[]): Promise<void>;
  addTranscript(notice: TranscriptNotice): Promise<void>;
  /** Hands requests to `handle` until `signal` aborts and all handlers ended. */
  work(
    options: { readonly name: string; readonly signal: AbortSignal; readonly progress?: () => void },
    handle: (request: NoticeRequest) => Promise<void>,
    handleTranscript?: (notice: TranscriptNotice) => Promise<void>,
  ): Promise<void>;
  close(): Promise<void>;
}

export function makeNotices(context: BullContext, shards: readonly ShardKeys[], leaseMs: number): Notices {
  const queues = new Map<number, NoticeQueue>();

  const queue = (shard: number): NoticeQueue => {
    let found = queues.get(shard);
    if (found === undefined) {
      found = new Queue(NOTICE_QUEUE, {
        connection: context.connection,
        prefix: shards[shard]?.bull ?? '',
        defaultJobOptions: {
          attempts: TRIES_WITHOUT_LIMIT,
          backoff: { type: 'fixed', delay: RETRY_MS },
          removeOnComplete: true,
          removeOnFail: KEPT_FAILURES,
        },
        streams: EVENT_STREAM,
        ...context.telemetry,
      });
      found.on('error', reportError(context.log, 'notice queue'));
      queues.set(shard, found);
    }
    return found;
  };

  return {
    queue,
    async add(requests) {
      const byShard = Map.groupBy(requests, ({ shard }) => shard);
      await Promise.all(
        [...byShard].map(([shard, own]) =>
          queue(shard).addBulk(
            own.map((request) => ({
              name: request.notice,
              data: request,
              opts: { jobId: [request.queueId, request.pass, request.notice, request.term].join('-') },
            })),
          ),
        ),
      );
    },
    async addTranscript(notice) {
      await queue(notice.shard).add(notice.notice, notice, { attempts: TRANSCRIPT_TRIES });
    },
    async work({ name, signal, progress }, handle, handleTranscript) {
      if (signal.aborted) return;
      const watched: Parameters<typeof watchTakings>[0][number][] = [];
      const workers = shards.map((keys, shard) => {
        const takings = new Takings(CONCURRENCY);
        watched.push({ takings, queue: queue(shard) });
        const take = async (job: Job<Request>): Promise<void> => {
          takings.begin();
          try {
            if (job.data.notice === 'transcript') await handleTranscript?.(job.data);
            else await handle(job.data);
          } finally {
            takings.end();
          }
        };
        const worker = new Worker<Request>(NOTICE_QUEUE, take, {
          connection: context.connection,
          prefix: keys.bull,
          name,
          concurrency: CONCURRENCY,
          maxStalledCount: STALLED_WITHOUT_LIMIT,
          ...lockTimes(leaseMs),
          ...context.telemetry,
        });
        worker.on('error', reportError(context.log, 'notice worker'));
        worker.on('failed', (job, error) => {
          context.log.warn(
            `${job?.data.queueId ?? 'intake'}: notice (${job?.data.notice}) not sent, trying again in ${RETRY_MS / 1000} s: ${error.message}`,
          );
        });
        return worker;
      });
      const watching = progress === undefined ? undefined : watchTakings(watched, progress, signal);
      await aborted(signal);
      // It may wait for a Redis that is away.
      watching?.catch(() => undefined);
      await Promise.all(workers.map((worker) => worker.close()));
    },
    async close() {
      await Promise.all([...queues.values()].map((each) => each.close()));
    },
  };
}
