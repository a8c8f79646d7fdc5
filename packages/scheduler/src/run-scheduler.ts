/**
 * The scheduler process: for each shard it leads or stands by. Shards run side by side and know nothing of each other;
 * trouble with Redis or a lost lease sends a shard back to standing by, where the state is rebuilt from Redis. A broken
 * invariant ends the process: its leases run out and another scheduler takes over.
 */
import { AssertionError } from 'node:assert';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '@mailfleet/config';
import { LeaseLostError, type SchedulerPort, type ScriptPort } from '@mailfleet/queue';
import { openSessionRegistry } from '@mailfleet/scache';
import type { Progress, Telemetry, Watchdog } from '@mailfleet/telemetry';
import { type LeaderOptions, lead } from './leader.ts';
import { type KeptLease, takeLease } from './lease.ts';
import { maintain } from './maintenance.ts';
import { makePlacing } from './place.ts';
import { contradictions, settingsFrom } from './settings.ts';
import { makeSites } from './sites.ts';

export interface SchedulerOptions {
  readonly config: Config;
  readonly queue: SchedulerPort & ScriptPort;
  readonly telemetry: Telemetry;
  /** Unique per process; names the leader in the lease. */
  readonly holder: string;
  /** Aborts when the scheduler must stop. */
  readonly signal: AbortSignal;
  readonly progress?: Progress;
  readonly watchdog?: Watchdog;
}

const TROUBLE_PAUSE_MS = 1_000;

/** Resolves when `signal` aborted and all leases are given back. Rejects only for a bug. */
export async function runScheduler(options: SchedulerOptions): Promise<void> {
  const { config, queue, telemetry } = options;
  for (const contradiction of contradictions(config)) telemetry.log.warn(contradiction);
  const now = makeClock();
  const common = {
    port: queue,
    place: makePlacing(openSessionRegistry({ config, queue }), parksUnasked(config)),
    telemetry,
    batchLeaseMs: config.get('batch_lease_time'),
    now,
    sites: makeSites(config, queue, (sentence) => telemetry.log.warn(sentence), now),
  };
  const shards = Array.from({ length: config.get('scheduler_shards') }, (_, shard) => shard);
  await Promise.all(
    shards.map((shard) => runShard(options, { ...common, settings: settingsFrom(config, shard) }, shard)),
  );
}

/** Some destinations' sessions are parked without a hint of ours; which ones only the workers know. */
function parksUnasked(config: Config): boolean {
  return (
    config.get('lmtp_cache_connection') === true ||
    (['smtp', 'lmtp'] as const).some(
      (protocol) => config.getFor(protocol, 'smtp_connection_cache_destinations').length > 0,
    )
  );
}

async function runShard(options: SchedulerOptions, leader: LeaderOptions, shard: number): Promise<void> {
  const { config, queue, telemetry, holder, signal } = options;
  const ttlMs = config.get('scheduler_lease_time');
  const seen = options.progress?.expect(`shard ${shard}`);
  const watched = options.watchdog?.watch(`shard ${shard}`);
  const progress = (): void => {
    seen?.();
    watched?.pat();
  };
  while (!signal.aborted) {
    let pauseMs = ttlMs / 3;
    let kept: KeptLease | undefined;
    try {
      kept = await takeLease(queue, shard, holder, ttlMs);
      progress();
      if (kept === undefined) {
        // A leader that died is followed the moment its lease ends.
        const leftMs = (await queue.leaseState(shard))?.leftMs ?? 0;
        pauseMs = Math.min(pauseMs, leftMs + 1);
      } else {
        telemetry.log.info(`leads shard ${shard} (fence ${kept.lease.fence})`);
        await leadWhileHeld({ ...leader, progress }, kept, signal);
        if (kept.lost.aborted) telemetry.log.warn(`lost the lease of shard ${shard}; standing by`);
      }
    } catch (error) {
      if (isBug(error)) throw error;
      if (error instanceof LeaseLostError) telemetry.log.warn(`${error.message}; standing by`);
      else telemetry.log.error({ err: error }, `shard ${shard}: ${sentenceOf(error)}; starting over`);
      pauseMs = TROUBLE_PAUSE_MS;
    } finally {
      await kept?.release().catch(() => undefined);
    }
    await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
  }
}

/** Until the lease is lost, the signal aborts, or either part fails. */
async function leadWhileHeld(leader: LeaderOptions, kept: KeptLease, signal: AbortSignal): Promise<void> {
  const failed = new AbortController();
  const stop = AbortSignal.any([signal, kept.lost, failed.signal]);
  const parts = [lead(leader, kept, stop), maintain(leader.port, kept.lease, stop)];
  try {
    await Promise.all(parts);
  } finally {
    failed.abort();
    await Promise.allSettled(parts);
  }
}

/** The core's time must not run backwards: a clock that was set back stands still until it caught up. */
function makeClock(): () => number {
  let lastMs = 0;
  return () => {
    lastMs = Math.max(lastMs, Date.now());
    return lastMs;
  };
}

function isBug(error: unknown): boolean {
  return error instanceof AssertionError || error instanceof TypeError || error instanceof RangeError;
}

function sentenceOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
