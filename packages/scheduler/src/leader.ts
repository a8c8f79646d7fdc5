/**
 * Leads one shard: feeds the core with messages and inbox entries, and writes what it decides. One turn after the other,
 * woken by the inbox (new mail, results, commands) and by the core's timers; the other timers are only a net.
 */
import type { InboxEntry, SchedulerPort } from '@mailfleet/queue';
import type { Telemetry } from '@mailfleet/telemetry';
import { carryOut } from './carry-out.ts';
import { endOfLifetimeMs } from './core/retry.ts';
import { createCore, type SchedulerCore } from './core/scheduler.ts';
import type { CoreSettings } from './core/settings.ts';
import type { RecipientRead } from './core/turn.ts';
import { answerAll, readControls, tellControls } from './hand-of-operator.ts';
import type { KeptLease } from './lease.ts';
import type { PlaceBatches } from './place.ts';
import { drainInbox, recover } from './recovery.ts';
import type { Sites } from './sites.ts';

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
  readonly sites?: Sites | undefined;
  /** Called once a turn. */
  readonly progress?: () => void;
}

/** Runs until `signal` aborts. Throws LeaseLostError when the queue refuses a write. */
export async function lead(options: LeaderOptions, kept: KeptLease, signal: AbortSignal): Promise<void> {
  const { port, place, settings, telemetry, batchLeaseMs, now } = options;
  const { lease } = kept;
  const { shard } = lease;
  // A holder that leads again soon gets the same fence, so the fence alone would not make batch ids unique.
  const term = `${lease.fence}-${now().toString(36)}`;
  const { sites } = options;
  const core = createCore({
    settings,
    shard,
    fence: lease.fence,
    term,
    ...(sites === undefined ? {} : { siteOf: sites.siteOf }),
  });

  await readControls(port, shard, core, now);
  let applied = await recover(port, lease, core, now, sites);
  let removed: string | undefined;
  let lookAgainMs = now() + LOOK_AGAIN_MS;
  let watchMs = now() + batchLeaseMs / 2;
  let takeBackMs = now() + TAKE_BACK_MS;
  while (!signal.aborted) {
    options.progress?.();
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
    await takeExpired(options, kept, core, nowMs);
    await pull(port, kept, core, nowMs, sites);
    const turn = core.takeTurn(now());
    const placed = { ...turn, batches: await place(turn.batches) };
    const through = applied === removed ? undefined : applied;
    await carryOut(port, kept, telemetry, placed, through, now());
    removed = applied;
    await Promise.all(turn.reads.map((read) => readOn(port, shard, core, read, now, sites)));
    if (turn.wakes.length > 0) core.lookAgain();
    await answerAll(port, lease, core, turn.questions, now, sites);
    if (signal.aborted) return;
    if (turn.recalls.size > 0) {
      applied = await recall(port, shard, core, applied, turn.recalls, now);
      continue;
    }

    const outstanding = core.outstanding().length > 0;
    const wakeMs = Math.min(
      core.nextTimerMs() ?? Infinity,
      lookAgainMs,
      watchMs,
      outstanding ? takeBackMs : Infinity,
    );
    const known = !core.dueUnknown && !core.expiryUnknown && turn.reads.length === 0;
    const idle = known && core.nextPull(now()) === undefined && core.nextExpired(now()) === 0;
    const blockMs = idle ? Math.min(Math.max(wakeMs - now(), 0), BLOCK_MS) : 0;
    const entries = await untilAborted(port.readInbox(shard, applied ?? '0', blockMs), signal);
    for (const entry of entries) core.apply(entry, now());
    tellControls(telemetry, entries);
    applied = entries.at(-1)?.id ?? applied;
  }
}

/** One page of messages into the active queue, so that the batches of each page leave before the next comes. */
async function pull(
  port: SchedulerPort,
  kept: KeptLease,
  core: SchedulerCore,
  nowMs: number,
  sites: Sites | undefined,
): Promise<void> {
  if (core.dueUnknown) core.setDue(await port.nextDueMs(kept.lease.shard), nowMs);
  const next = core.nextPull(nowMs);
  if (next === undefined) return;
  const messages = await port.activate(kept.lease, next.source, next.count, nowMs);
  await sites?.learn(
    kept.lease.shard,
    messages.flatMap(({ recipients }) => recipients),
  );
  core.pulled(next, messages, nowMs);
}

/** More recipients of a message of many. */
async function readOn(
  port: SchedulerPort,
  shard: number,
  core: SchedulerCore,
  { queueId, after, count }: RecipientRead,
  now: () => number,
  sites: Sites | undefined,
): Promise<void> {
  const page = await port.readRecipients(shard, queueId, after, count);
  await sites?.learn(shard, page.recipients);
  core.recipientsRead(queueId, page, now());
}

/** One page of messages that have outlived their time, wherever they are. */
async function takeExpired(
  { port, settings, telemetry }: LeaderOptions,
  { lease }: KeptLease,
  core: SchedulerCore,
  nowMs: number,
): Promise<void> {
  if (core.expiryUnknown) core.setExpiry(await port.nextExpiryMs(lease.shard));
  const count = core.nextExpired(nowMs);
  if (count === 0) return;
  const found = await port.takeExpired(lease, count, nowMs, (envelope) =>
    endOfLifetimeMs(settings, envelope),
  );
  for (const queueId of found.held) {
    const text = 'on hold beyond its lifetime: it is returned to its sender when it is released';
    telemetry.emit({ kind: 'remark', program: 'qmgr', queueId, warning: true, text });
  }
  core.expired(found, nowMs);
}

/** Takes back what no worker has begun. A batch that ended meanwhile counts as taken back, and its results are in the inbox. */
async function recall(
  port: SchedulerPort,
  shard: number,
  core: SchedulerCore,
  applied: string | undefined,
  batchIds: ReadonlySet<string>,
  now: () => number,
): Promise<string | undefined> {
  const recalled = await port.recallBatches(shard, [...batchIds]);
  const last = await drainInbox(port, shard, core, applied, now);
  for (const batchId of recalled) core.recalled(batchId, now());
  return last;
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
