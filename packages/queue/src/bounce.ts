/** The bounce daemon's port: the bounce log of a message is the outcomes kept in its record. */
import type { Outcome } from '@mailfleet/smtp';
import { readContent } from './content.ts';
import { keysOfShard, type QueueContext } from './context.ts';
import { type MessageRecord, parseRecord } from './message-record.ts';
import type { TimelineEntry } from './operator-ports.ts';
import type { BouncePort, NoticeMaterial, NoticeRequest } from './ports.ts';
import { look } from './recipients.ts';
import { noticePosted } from './scripts/delivery.ts';

/** Recipients of one look at a long list. */
const PAGE = 1_000;

export function makeBouncePort(context: QueueContext): BouncePort {
  const timelineMs = context.config.get('message_timeline_time');
  return {
    workNotices: async (options, handle, handleTranscript) =>
      (await context.bull()).notices.work(options, handle, handleTranscript),

    async noticeMaterial({ shard, queueId, notice }) {
      const key = keysOfShard(context, shard).message(queueId);
      const [text, warned] = await context.redis.hmget(key, 'e', 'w');
      if (text == null) return undefined;
      const record = parseRecord(text);
      const entries = await entriesOf(context, key, record, REPORTED_STATE[notice]);
      const content = await readContent(context, record.home, queueId);
      // The file may be lost for good, and the sender is told all the same.
      return {
        envelope: record.envelope,
        warned: warned != null,
        entries,
        content: content === 'file-missing' ? undefined : content,
      };
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

/** Recipients in that state with the outcomes kept of them. */
async function entriesOf(
  { redis }: QueueContext,
  key: string,
  record: MessageRecord,
  wanted: string | undefined,
): Promise<NoticeMaterial['entries']> {
  const entries: NoticeMaterial['entries'][number][] = [];
  for (let after = -1; ; ) {
    const { seen, unread } = await look(redis, key, record, after, PAGE);
    const concerned = seen.filter(({ state }) => state === wanted).map(({ recipient }) => recipient);
    if (concerned.length > 0) {
      const outcomes = await redis.hmget(key, ...concerned.map(({ index }) => `o${index}`));
      for (const [i, recipient] of concerned.entries()) {
        const outcome = outcomes[i];
        if (outcome != null) entries.push({ recipient, outcome: JSON.parse(outcome) as Outcome });
      }
    }
    const last = seen.at(-1);
    if (unread === 0 || last === undefined) return entries;
    after = last.recipient.index;
  }
}
