/** What all BullMQ queues and workers of a process share: connection, telemetry, and how their errors are told. */
import type { Telemetry } from 'bullmq';
import type { Connection, ConnectionLog } from '../redis/connection.ts';
import { bullTelemetry } from './telemetry.ts';

export interface BullContext {
  readonly connection: Connection;
  /** For adding what must not be added late or twice: rejects when Redis is away or its answer is lost. Opened at the first call. */
  readonly adding: () => Connection;
  readonly telemetry: { readonly telemetry?: Telemetry };
  readonly log: ConnectionLog;
}

export function makeBullContext(
  connection: Connection,
  adding: () => Connection,
  tracing: boolean,
  log: ConnectionLog,
): BullContext {
  return {
    connection,
    adding,
    telemetry: tracing ? { telemetry: bullTelemetry() } : {},
    log,
  };
}

/** Listener for errors of a queue or worker. Lost connections are told by the shared connection, lost locks when the batch ends. */
export function reportError(log: ConnectionLog, what: string): (error: Error) => void {
  return (error) => {
    const code = 'code' in error ? String(error.code) : '';
    if (
      /^E[A-Z]+$/.test(code) ||
      /connection is closed|LOADING|READONLY|could not renew lock/i.test(error.message)
    )
      return;
    log.warn(`${what}: ${error.message}`);
  };
}

/** BullMQ's own bookkeeping of events is not read by anyone but the board. */
export const EVENT_STREAM = { events: { maxLen: 1_000 } } as const;

/**
 * Finished batches kept, as many and for so many seconds: BullMQ refuses to add an id again that it still knows, so that a batch which
 * was worked off is not handed out once more by a repeated add.
 */
export const KEPT_BATCHES = { age: 60, count: 500 } as const;

/** Failed jobs kept for the board. */
export const KEPT_FAILURES = { count: 100 } as const;

/**
 * Lock and stalled-check times within which a dead worker's job comes back before `leaseMs` ended: the lock runs out, and the check
 * after that moves the job.
 */
export function lockTimes(leaseMs: number): { lockDuration: number; stalledInterval: number } {
  return { lockDuration: Math.floor(leaseMs * 0.6), stalledInterval: Math.floor(leaseMs * 0.3) };
}

/** A worker's death is no fault of the job: it comes back as often as it takes. */
export const STALLED_WITHOUT_LIMIT = 1_000_000_000;
