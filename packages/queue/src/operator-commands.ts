/**
 * What an operator does to one message, wherever its parts are. Each command is one script on each shard that holds a part, and
 * doing it again changes nothing.
 */
import type { Telemetry } from '@mailfleet/telemetry';
import { keysOfShard, type QueueContext } from './context.ts';
import { settlePart } from './fanout.ts';
import type { TimelineEntry } from './operator-ports.ts';
import { expire, flushOne, hold, release, remove } from './scripts/operator.ts';

export interface MessageCommands {
  /** Each answers whether it changed anything. */
  flush(queueId: string): Promise<boolean>;
  hold(queueId: string): Promise<boolean>;
  release(queueId: string): Promise<boolean>;
  expire(queueId: string): Promise<boolean>;
  /** @param why last entry of its timeline */
  remove(queueId: string, why?: { readonly step: string; readonly detail?: string }): Promise<boolean>;
}

export function makeMessageCommands(
  context: QueueContext,
  telemetry: Pick<Telemetry, 'emit'> | undefined,
): MessageCommands {
  const { run, shards, now } = context;
  const timelineMs = context.config.get('message_timeline_time');

  const event = (step: string, detail?: string): string => {
    const entry: TimelineEntry = {
      kind: 'event',
      atMs: now(),
      step,
      ...(detail === undefined ? {} : { detail }),
    };
    return timelineMs > 0 ? JSON.stringify(entry) : '';
  };
  /** Runs a command on every shard; true when one of them had the message. */
  const onAnyShard = async (command: (shard: number) => Promise<boolean>): Promise<boolean> =>
    (await Promise.all(shards.map((_, shard) => command(shard)))).includes(true);

  return {
    flush: (queueId) =>
      onAnyShard(async (shard) => {
        const { deferred, inbox } = keysOfShard(context, shard);
        return (await run(flushOne, [deferred, inbox], [queueId, now()])) === 1;
      }),

    async hold(queueId) {
      const entry = event('held');
      const held = await onAnyShard(async (shard) => {
        const keys = keysOfShard(context, shard);
        const names = [keys.incoming, keys.deferred, keys.active, keys.hold];
        names.push(keys.message(queueId), keys.inbox, keys.timeline(queueId));
        return (await run(hold, names, [queueId, now(), entry])) === 1;
      });
      if (held) telemetry?.emit({ kind: 'held', queueId });
      return held;
    },

    async release(queueId) {
      const entry = event('released');
      const released = await onAnyShard(async (shard) => {
        const keys = keysOfShard(context, shard);
        const names = [keys.hold, keys.deferred, keys.expiry, keys.inbox];
        names.push(keys.message(queueId), keys.timeline(queueId), keys.corrupt);
        return (await run(release, names, [queueId, now(), entry])) === 1;
      });
      if (released) telemetry?.emit({ kind: 'released', queueId });
      return released;
    },

    async expire(queueId) {
      const entry = event('expired by operator');
      const expired = await onAnyShard(async (shard) => {
        const keys = keysOfShard(context, shard);
        const names = [keys.deferred, keys.active, keys.inbox, keys.message(queueId), keys.timeline(queueId)];
        return (await run(expire, names, [queueId, now(), entry])) === 1;
      });
      if (expired) {
        telemetry?.emit({ kind: 'remark', program: 'postsuper', queueId, text: 'expired' });
      }
      return expired;
    },

    async remove(queueId, why = { step: 'removed' }) {
      const entry = event(why.step, why.detail);
      return onAnyShard(async (shard) => {
        const keys = keysOfShard(context, shard);
        const names = [keys.incoming, keys.deferred, keys.active, keys.hold, keys.expiry, keys.retiredParts];
        names.push(keys.files, keys.message(queueId), keys.timeline(queueId), keys.inbox, keys.corrupt);
        const left = (await run(remove, names, [
          queueId,
          now(),
          entry,
          keys.prefix,
          shard,
          timelineMs,
        ])) as string[];
        const [file = '', home = ''] = left;
        if (file !== '') await context.files.remove(file);
        if (home !== '') await settlePart(context, shard, Number(home), queueId);
        return left.length > 0;
      });
    },
  };
}
