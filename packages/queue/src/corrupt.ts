/**
 * Messages that cannot be read. One whose record is damaged is set aside when the leader meets it, so that it stops neither the leader nor
 * the rest of the shard; one whose content is gone by the worker that finds out. Either stays, as it is, in the corrupt queue.
 */
import { keysOfShard, type QueueContext } from './context.ts';
import { fenced } from './fenced.ts';
import { parseView } from './message-record.ts';
import type { TimelineEntry } from './operator-ports.ts';
import type { ActiveMessage, Lease } from './ports.ts';
import { quarantine } from './scripts/leader.ts';

/** Views of messages that stand in active, without those that cannot be read: they are in corrupt now. */
export async function readableViews(
  context: QueueContext,
  lease: Lease,
  views: readonly unknown[],
): Promise<ActiveMessage[]> {
  const messages: ActiveMessage[] = [];
  for (const view of views) {
    try {
      messages.push(parseView(view));
    } catch (error) {
      if (!(error instanceof SyntaxError || error instanceof TypeError)) throw error;
      const queueId = Array.isArray(view) ? String(view.at(-1)) : '';
      await setAside(context, lease, queueId, `its record cannot be read: ${error.message}`);
    }
  }
  return messages;
}

async function setAside(context: QueueContext, lease: Lease, queueId: string, why: string): Promise<void> {
  const keys = keysOfShard(context, lease.shard);
  const nowMs = context.now();
  const entry: TimelineEntry = { kind: 'event', atMs: nowMs, step: 'corrupt', detail: why };
  const names = [keys.active, keys.corrupt, keys.expiry, keys.fence];
  names.push(keys.message(queueId), keys.timeline(queueId));
  await fenced(
    lease,
    context.run(quarantine, names, [lease.fence, queueId, nowMs, why, JSON.stringify(entry)]),
  );
  context.log.warn(`${queueId}: saved in the corrupt queue: ${why}; see mailfleet queue --queue corrupt`);
}
