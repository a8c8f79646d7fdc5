/**
 * BullMQ of one process: batches and notice requests over a connection of its own. Loaded at the first use (open-queue.ts), so that
 * a process that hands out no jobs, intake above all, starts without it.
 */
import type { ShardKeys } from '../keys.ts';
import type { Connection, ConnectionLog, Connections } from '../redis/connection.ts';
import { type Batches, makeBatches } from './batches.ts';
import { makeBullContext } from './connection.ts';
import { makeNotices, type Notices } from './notices.ts';

export interface Bull {
  readonly batches: Batches;
  readonly notices: Notices;
}

export interface BullOptions {
  readonly connections: Connections;
  readonly shards: readonly ShardKeys[];
  readonly leaseMs: number;
  readonly tracing: boolean;
  readonly log: ConnectionLog;
}

export function makeBull({ connections, shards, leaseMs, tracing, log }: BullOptions): Bull {
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
  };
}
