/**
 * BullMQ of one process: batches and notice requests over a connection of its own. Loaded at the first use (open-queue.ts), so that
 * a process that hands out no jobs, intake above all, starts without it.
 */
import type { ShardKeys } from '../keys.ts';
import type { Connection, ConnectionLog, Connections } from '../redis/connection.ts';
import type { RunScript } from '../scripts/script.ts';
import { type Batches, makeBatches } from './batches.ts';
import { makeBullContext } from './connection.ts';
import { makeNotices, type Notices } from './notices.ts';
import { makeWebhooks, type Webhooks } from './webhooks.ts';

export interface Bull {
  readonly batches: Batches;
  readonly notices: Notices;
  readonly webhooks: Webhooks;
}

export interface BullOptions {
  readonly connections: Connections;
  readonly shards: readonly ShardKeys[];
  readonly leaseMs: number;
  readonly tracing: boolean;
  readonly log: ConnectionLog;
  /** For keys that are not BullMQ's. */
  readonly redis: Connection;
  readonly run: RunScript;
}

export function makeBull({ connections, shards, leaseMs, tracing, log, redis, run }: BullOptions): Bull {
  const connection = connections.open({ name: 'mailfleet-bull', kind: 'plain' });
  let unrepeated: Connection | undefined;
  const adding = (): Connection => {
    unrepeated ??= connections.open({ name: 'mailfleet-bull-adding', kind: 'unrepeated' });
    return unrepeated;
  };
  const context = makeBullContext(connection, adding, tracing, log);
  return {
    batches: makeBatches(context, shards, leaseMs),
    notices: makeNotices(context, shards, leaseMs),
    webhooks: makeWebhooks({
      context,
      shards,
      leaseMs,
      redis,
      run,
      openBlocking: (name) => connections.open({ name, kind: 'blocking' }),
    }),
  };
}
