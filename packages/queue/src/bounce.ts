/** The bounce daemon's port: the bounce log of a message is the outcomes kept in its record. */
import { readContent } from './content.ts';
import { keysOfShard, type QueueContext } from './context.ts';
import { pairs, parseRecord, parseStates } from './message-record.ts';
import type { BouncePort, NoticeMaterial, NoticeRequest, TimelineEntry } from './ports.ts';
import { noticePosted } from './scripts/delivery.ts';

export function makeBouncePort(context: QueueContext): BouncePort {
  const timelineMs = context.config.get('message_timeline_time');
  return {
    workNotices: async (options, handle) => (await context.bull()).notices.work(options, handle),

    async noticeMaterial({ shard, queueId, notice }) {
      const fields = await hashOf(context, keysOfShard(context, shard).message(queueId));
      const text = fields.get('e');
      if (text === undefined) return undefined;
      const { envelope, recipients, home } = parseRecord(text);
      const { outcomes, final } = parseStates(fields);
      const entries: NoticeMaterial['entries'][number][] = [];
      for (const recipient of recipients) {
        const outcome = outcomes.get(recipient.index);
        if (outcome !== undefined && final.get(recipient.index) === REPORTED_STATE[notice]) {
          entries.push({ recipient, outcome });
        }
      }
      const content = await readContent(context, home, queueId);
      // The file may be lost for good, and the sender is told all the same.
      return { envelope, entries, content: content === 'file-missing' ? undefined : content };
    },

    async noticePosted({ shard, queueId, pass, notice, term }, step, reported) {
      const keys = keysOfShard(context, shard);
      const entry: TimelineEntry = { kind: 'event', ...step };
      await context.run(
        noticePosted,
        [keys.message(queueId), keys.timeline(queueId), keys.inbox],
        [notice, queueId, pass, term, timelineMs > 0 ? JSON.stringify(entry) : '', ...reported],
      );
    },
  };
}

/** State of the recipients that a notice is about; open ones have none. */
const REPORTED_STATE: Readonly<Record<NoticeRequest['notice'], string | undefined>> = {
  failure: 'b',
  success: 's',
  expiry: undefined,
  delay: undefined,
};

/** All fields of a hash. ioredis types HGETALL as a record, whose prototype could shadow a field; a map cannot. */
async function hashOf(context: QueueContext, key: string): Promise<ReadonlyMap<string, string>> {
  return pairs(Object.entries(await context.redis.hgetall(key)).flat());
}
