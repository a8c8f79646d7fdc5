/** What a leader does now and then beside scheduling: interrupted copies between shards, and contents nobody names. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Lease, SchedulerPort } from '@mailfleet/queue';

const FANOUT_MS = 60_000;
const SWEEP_MS = 3_600_000;
/** Older than any message that is still being accepted. */
const SWEEP_AGE_MS = 86_400_000;

/** Runs until `signal` aborts. */
export async function maintain(
  port: Pick<SchedulerPort, 'finishFanout' | 'sweepContent'>,
  lease: Lease,
  signal: AbortSignal,
): Promise<void> {
  for (let sinceSweepMs = 0; ; sinceSweepMs += FANOUT_MS) {
    await sleep(FANOUT_MS, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return;
    await port.finishFanout(lease, FANOUT_MS);
    // The folder is one for all shards.
    if (lease.shard === 0 && sinceSweepMs >= SWEEP_MS) {
      await port.sweepContent(SWEEP_AGE_MS);
      sinceSweepMs = 0;
    }
  }
}
