/**
 * Leads one shard: feeds the core with messages and inbox entries, and writes what it decides. One turn after the other,
 * woken by the inbox (new mail, results, commands) and by the core's timers; the other timers are only a net.
 */
import type { InboxEntry, SchedulerPort } from '@mailfleet/queue';
import type { Telemetry } from '@mailfleet/telemetry';
import { carryOut } from './carry-out.ts';
import { createCore, type SchedulerCore } from './core/scheduler.ts';
import type { CoreSettings } from './core/settings.ts';
import type { KeptLease } from './lease.ts';
import type { PlaceBatches } from './place.ts';
import { drainInbox, recover } from './recovery.ts';

/** Longest wait for the inbox. */
const BLOCK_MS = 5_000;
/** How often incoming and deferred are looked at without a reason. */
const LOOK_AGAIN_MS = 30_000;
/** How often batches of silent workers are looked for while any are out. */
const TAKE_BACK_MS = 1_000;

export interface LeaderOptions {
  readonly port: SchedulerPort;
  /** Names the worker that a batch goes to, where one has a session for it. */
  readonly place: PlaceBatches;
  readonly settings: CoreSettings;
  readonly telemetry: Telemetry;
  readonly batchLeaseMs: number;
  readonly now: () => number;
}

/** Runs until `signal` aborts. Throws LeaseLostError when the queue refuses a write. */
export async function lead(options: LeaderOptions, kept: KeptLease, signal: AbortSignal): Promise<void> {
  const { port, place, settings, telemetry, batchLeaseMs, now } = options;
  const { lease } = kept;
  const { shard } = lease;
  // A holder that leads again soon gets the same fence, so the fence alone would not make batch ids unique.
  const term = `${lease.fence}-${now().toString(36)}`;
  const core = createCore({ settings, shard, fence: lease.fence, term });

  let applied = await recover(port, lease, core, now);
  let removed: string | undefined;
  let lookAgainMs = now() + LOOK_AGAIN_MS;
  let watchMs = now() + batchLeaseMs / 2;
  let takeBackMs = now() + TAKE_BACK_MS;
  while (!signal.aborted) {
    const nowMs = now();
    if (nowMs >= lookAgainMs) {
      core.lookAgain();
      lookAgainMs = nowMs + LOOK_AGAIN_MS;
    }
    if (nowMs >= watchMs) {
      applied = await endVanished(port, shard, core, applied, now);
      watchMs = nowMs + batchLeaseMs / 2;
    }
    if (nowMs >= takeBackMs) {
      if (kept.isHeld()) await port.takeBackBatches(lease);
      takeBackMs = now() + TAKE_BACK_MS;
    }
    await pull(port, kept, core, nowMs);
    const turn = core.takeTurn(now());
    const placed = { ...turn, batches: await place(turn.batches) };
    await carryOut(port, kept, telemetry, placed, applied === removed ? undefined : applied);
    removed = applied;
    if (signal.aborted) return;

    const outstanding = core.outstanding().length > 0;
    const wakeMs = Math.min(
      core.nextTimerMs() ?? Infinity,
      lookAgainMs,
      watchMs,
      outstanding ? takeBackMs : Infinity,
    );
    const idle = core.nextPull(now()) === undefined && !core.dueUnknown;
    const blockMs = idle ? Math.min(Math.max(wakeMs - now(), 0), BLOCK_MS) : 0;
    const entries = await untilAborted(port.readInbox(shard, applied ?? '0', blockMs), signal);
    for (const entry of entries) core.apply(entry, now());
    applied = entries.at(-1)?.id ?? applied;
  }
}

/** One page of messages into the active queue, so that the batches of each page leave before the next comes. */
async function pull(port: SchedulerPort, kept: KeptLease, core: SchedulerCore, nowMs: number): Promise<void> {
  if (core.dueUnknown) core.setDue(await port.nextDueMs(kept.lease.shard), nowMs);
  const next = core.nextPull(nowMs);
  if (next === undefined) return;
  const messages = await port.activate(kept.lease, next.source, next.count, nowMs);
  core.pulled(next, messages, nowMs);
}

/** Batches that the queue no longer holds though no end was reported: their last words may still be in the inbox. */
async function endVanished(
  port: SchedulerPort,
  shard: number,
  core: SchedulerCore,
  applied: string | undefined,
  now: () => number,
): Promise<string | undefined> {
  const outstanding = core.outstanding();
  if (outstanding.length === 0) return applied;
  const vanished = await port.vanishedBatches(shard, outstanding);
  if (vanished.length === 0) return applied;
  const last = await drainInbox(port, shard, core, applied, now);
  for (const batchId of vanished) core.vanished(batchId, now());
  return last;
}

/** A blocking read cannot be called back; on abort its answer is left for the next leader. */
async function untilAborted(
  read: Promise<readonly InboxEntry[]>,
  signal: AbortSignal,
): Promise<readonly InboxEntry[]> {
  let stop: (() => void) | undefined;
  const aborted = new Promise<readonly InboxEntry[]>((resolve) => {
    stop = () => resolve([]);
    signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([read, aborted]);
  } finally {
    if (stop !== undefined) signal.removeEventListener('abort', stop);
  }
}
