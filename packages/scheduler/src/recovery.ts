/**
 * What a new leader reads before it leads. The order matters: batches, then messages, then the inbox. A result that is
 * recorded meanwhile either took its recipient out of the message already or is found in the inbox; either way no
 * recipient that has a result is handed out again.
 */
import type { ActiveMessage, Lease, SchedulerPort } from '@mailfleet/queue';
import type { SchedulerCore } from './core/scheduler.ts';
import type { Sites } from './sites.ts';

/** @returns id of the last inbox entry applied, if any */
export async function recover(
  port: SchedulerPort,
  lease: Lease,
  core: SchedulerCore,
  now: () => number,
  sites: Sites | undefined,
): Promise<string | undefined> {
  const batches = await port.outstandingBatches(lease.shard);
  const messages: ActiveMessage[] = [];
  for (let cursor = ''; ; ) {
    const page = await port.activePage(lease, cursor);
    messages.push(...page.messages);
    cursor = page.cursor;
    if (cursor === '') break;
  }
  await sites?.learn(lease.shard, [...batches, ...messages.flatMap(({ recipients }) => recipients)]);
  core.restore(messages, batches, now());
  return await drainInbox(port, lease.shard, core, undefined, now);
}

/** Applies all that stands in the inbox after `after`; returns the id of the last entry applied, or `after`. */
export async function drainInbox(
  port: SchedulerPort,
  shard: number,
  core: SchedulerCore,
  after: string | undefined,
  now: () => number,
): Promise<string | undefined> {
  let last = after;
  for (;;) {
    const entries = await port.readInbox(shard, last ?? '0', 0);
    if (entries.length === 0) return last;
    for (const entry of entries) core.apply(entry, now());
    last = entries.at(-1)?.id;
  }
}
