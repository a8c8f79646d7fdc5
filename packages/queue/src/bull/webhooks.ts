/**
 * Events for webhooks. Outcomes put them into a stream of their shard in the same script that records them, so that none is lost; here
 * they are cut into batches, one BullMQ job of a queue of their own each, and handed to who posts them. Nothing of it stands in the way of mail.
 *
 * A batch is named by the entries it is made of: cutting it twice, by two processes or after a crash, makes one job or the same
 * events again, never none.
 */
import { type Job, Queue, UnrecoverableError, Worker } from 'bullmq';
import type { ShardKeys } from '../keys.ts';
import type { Connection } from '../redis/connection.ts';
import type { RunScript } from '../scripts/script.ts';
import { dropEvents } from '../scripts/webhooks.ts';
import type { WebhookBatch, WebhookState } from '../webhook-ports.ts';
import { aborted } from './batches.ts';
import {
  type BullContext,
  EVENT_STREAM,
  lockTimes,
  reportError,
  STALLED_WITHOUT_LIMIT,
} from './connection.ts';

const WEBHOOK_QUEUE = 'webhook';
const BLOCK_MS = 5_000;
/** The first retry; each further one waits twice as long, up to the longest. */
const RETRY_MS = 5_000;
const LONGEST_RETRY_MS = 3_600_000;
const TRIES_WITHOUT_LIMIT = 1_000_000_000;
/** Dead letters kept, to be seen and retried on the board. */
const KEPT_DEAD = { count: 1_000 } as const;
/** Posts of one shard at the same time. */
const CONCURRENCY = 2;

type WebhookQueue = Queue<WebhookBatch, unknown, string>;

interface WebhookOptions {
  readonly signal: AbortSignal;
  readonly name: string;
  /** Most stream entries in a batch. */
  readonly batchLimit: number;
  /** A batch that could not be posted by then is a dead letter. */
  readonly maxAgeMs: number;
}

export interface Webhooks {
  queue(shard: number): WebhookQueue;
  work(options: WebhookOptions, post: (batch: WebhookBatch) => Promise<void>): Promise<void>;
  state(): Promise<WebhookState>;
  close(): Promise<void>;
}

export interface WebhookParts {
  readonly context: BullContext;
  readonly shards: readonly ShardKeys[];
  readonly leaseMs: number;
  readonly redis: Connection;
  readonly run: RunScript;
  readonly openBlocking: (name: string) => Connection;
}

export function makeWebhooks({ context, shards, leaseMs, redis, run, openBlocking }: WebhookParts): Webhooks {
  const queues = new Map<number, WebhookQueue>();

  const queue = (shard: number): WebhookQueue => {
    let found = queues.get(shard);
    if (found === undefined) {
      found = new Queue(WEBHOOK_QUEUE, {
        connection: context.connection,
        prefix: shards[shard]?.bull ?? '',
        defaultJobOptions: {
          attempts: TRIES_WITHOUT_LIMIT,
          backoff: { type: 'custom' },
          removeOnComplete: true,
          removeOnFail: KEPT_DEAD,
        },
        streams: EVENT_STREAM,
        ...context.telemetry,
      });
      found.on('error', reportError(context.log, 'webhook queue'));
      queues.set(shard, found);
    }
    return found;
  };

  /** Cuts batches from a shard's stream until the signal. */
  async function cut(shard: number, { signal, batchLimit }: WebhookOptions): Promise<void> {
    const keys = shards[shard];
    if (keys === undefined) return;
    const reader = openBlocking(`mailfleet-webhook-${shard}`);
    // Nobody waits for the end of a blocking read.
    signal.addEventListener('abort', () => reader.disconnect(), { once: true });
    while (!signal.aborted) {
      const answer = await reader.xread('COUNT', batchLimit, 'BLOCK', BLOCK_MS, 'STREAMS', keys.events, '0');
      const [, entries = []] = answer?.[0] ?? [];
      const [firstId] = entries[0] ?? [];
      const [lastId] = entries.at(-1) ?? [];
      if (firstId === undefined || lastId === undefined) continue;
      const events = entries.flatMap(([, fields]) => JSON.parse(fields[1] ?? '[]') as unknown[]);
      const id = `w${shard}-${firstId}-${lastId}`;
      await queue(shard).add(
        'events',
        { id, shard, sinceMs: Number(firstId.split('-')[0]), events },
        { jobId: id },
      );
      await run(
        dropEvents,
        [keys.events],
        entries.map(([entryId]) => entryId),
      );
    }
  }

  return {
    queue,
    async work(options, post) {
      const { name, signal, maxAgeMs } = options;
      if (signal.aborted) return;
      const take = async (job: Job<WebhookBatch>): Promise<void> => {
        try {
          await post(job.data);
        } catch (error) {
          if (Date.now() - job.data.sinceMs < maxAgeMs) throw error;
          throw new UnrecoverableError(error instanceof Error ? error.message : String(error));
        }
      };
      const workers = shards.map((keys) => {
        const worker = new Worker<WebhookBatch>(WEBHOOK_QUEUE, take, {
          connection: context.connection,
          prefix: keys.bull,
          name,
          concurrency: CONCURRENCY,
          maxStalledCount: STALLED_WITHOUT_LIMIT,
          settings: {
            backoffStrategy: (attempts) => {
              const waitMs = Math.min(RETRY_MS * 2 ** Math.min(attempts - 1, 20), LONGEST_RETRY_MS);
              return Math.round(waitMs * (0.75 + Math.random() / 2));
            },
          },
          ...lockTimes(leaseMs),
          ...context.telemetry,
        });
        worker.on('error', reportError(context.log, 'webhook worker'));
        worker.on('failed', (job, error) => {
          const dead = error instanceof UnrecoverableError;
          const what = `webhook ${job?.id} of ${job?.data.events.length} events not taken: ${error.message}`;
          context.log.warn(
            dead
              ? `${what}; it is a dead letter now: see the queue webhook on the dashboard`
              : `${what}; it is tried again`,
          );
        });
        return worker;
      });
      const cutting = Promise.all(
        shards.map((_, shard) =>
          cut(shard, options).catch((error: unknown) => {
            if (!signal.aborted) context.log.warn(`webhooks of shard ${shard} stopped: ${String(error)}`);
          }),
        ),
      );
      await aborted(signal);
      await Promise.all([cutting, ...workers.map((worker) => worker.close())]);
    },
    async state() {
      const counts = await Promise.all(
        shards.map(async (keys, shard) => {
          const [uncut, first, jobs] = await Promise.all([
            redis.xlen(keys.events),
            redis.xrange(keys.events, '-', '+', 'COUNT', 1),
            queue(shard).getJobCounts('waiting', 'active', 'delayed', 'failed'),
          ]);
          const sinceMs = Number(first[0]?.[0].split('-')[0] ?? 0);
          return { uncut, sinceMs, jobs };
        }),
      );
      const sum = (of: (each: (typeof counts)[number]) => number): number =>
        counts.reduce((total, each) => total + of(each), 0);
      const oldest = counts.flatMap(({ sinceMs }) => (sinceMs > 0 ? [sinceMs] : []));
      return {
        uncut: sum(({ uncut }) => uncut),
        waiting: sum(({ jobs }) => (jobs.waiting ?? 0) + (jobs.active ?? 0)),
        retried: sum(({ jobs }) => jobs.delayed ?? 0),
        dead: sum(({ jobs }) => jobs.failed ?? 0),
        ...(oldest.length === 0 ? {} : { uncutSinceMs: Math.min(...oldest) }),
      };
    },
    async close() {
      await Promise.all([...queues.values()].map((each) => each.close()));
    },
  };
}
