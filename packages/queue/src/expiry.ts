/**
 * The leader's view of the expiry index: which messages have outlived their time, wherever they are. The index was written
 * at accept, by the configuration of that time; it tells when to look, and the leader's own configuration decides.
 */

import type { Envelope } from '@mailfleet/smtp';
import { keysOfShard, type QueueContext } from './context.ts';
import { readableViews } from './corrupt.ts';
import { fenced } from './fenced.ts';
import { parseRecord } from './message-record.ts';
import type { SchedulerPort } from './ports.ts';
import { takeExpired } from './scripts/expiry.ts';
import type { Argument } from './scripts/script.ts';

/** A record that cannot be read is taken, and set aside then. */
function endOf(text: string, endOfLifetimeMs: (envelope: Envelope) => number, nowMs: number): number {
  let envelope: Envelope;
  try {
    ({ envelope } = parseRecord(text));
  } catch {
    return nowMs;
  }
  return endOfLifetimeMs(envelope);
}

/** What is in active is looked at again: its notice or its worker may take a while. */
const LOOK_AGAIN_MS = 300_000;

export function makeExpiry(context: QueueContext): Pick<SchedulerPort, 'nextExpiryMs' | 'takeExpired'> {
  const { redis, runOnce } = context;
  return {
    async nextExpiryMs(shard) {
      const [, score] = await redis.zrange(keysOfShard(context, shard).expiry, 0, '0', 'WITHSCORES');
      // `inf` is no time: such a message is returned after an attempt only.
      return score === undefined || score === 'inf' ? undefined : Number(score);
    },
    async takeExpired(lease, count, nowMs, endOfLifetimeMs) {
      const keys = keysOfShard(context, lease.shard);
      const ids = await redis.zrangebyscore(keys.expiry, '-inf', nowMs, 'LIMIT', 0, count);
      if (ids.length === 0) return { taken: [], active: [], held: [], looked: 0 };
      const records = await Promise.all(ids.map((id) => redis.hget(keys.message(id), 'e')));
      const args: Argument[] = [lease.fence, keys.prefix, nowMs, nowMs + LOOK_AGAIN_MS];
      for (const [i, id] of ids.entries()) {
        const text = records[i] ?? null;
        const endMs = text === null ? nowMs : endOf(text, endOfLifetimeMs, nowMs);
        args.push(id, endMs <= nowMs ? '' : endMs === Infinity ? '+inf' : endMs);
      }
      const [views, active, held] = (await fenced(
        lease,
        runOnce(
          takeExpired,
          [keys.expiry, keys.incoming, keys.deferred, keys.active, keys.hold, keys.fence],
          args,
        ),
      )) as [unknown[], string[], string[]];
      return { taken: await readableViews(context, lease, views), active, held, looked: ids.length };
    },
  };
}
