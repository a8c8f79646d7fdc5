/**
 * Intake's port. `accept` is one script on the message's home shard, that of its first recipient; recipients of other shards
 * are copied after that commit, and the home shard's leader repeats a copy that a crash left undone (fanout.ts).
 */
import { readSpooled, spool } from './content.ts';
import { keysOfShard, type QueueContext } from './context.ts';
import { copyParts, type PartCopy } from './fanout.ts';
import type { TimelineEntry } from './operator-ports.ts';
import type { IntakePort, NewMessage, RoutedRecipient } from './ports.ts';
import { makeQueueIds } from './queue-id.ts';
import { storedRecord } from './recipients.ts';
import { accept, claimKey } from './scripts/intake.ts';
import { shardOf, shardOfKey } from './shard.ts';

/** What the script calls them. */
const INDEX_LETTER = { incoming: 'i', deferred: 'd', hold: 'h' } as const;

export function makeIntakePort(context: QueueContext): IntakePort {
  const { config, run, now } = context;
  const inlineLimit = config.get('content_inline_limit');
  const timelineMs = config.get('message_timeline_time');
  const lifetimeMs = config.get('maximal_queue_lifetime');
  const noticeLifetimeMs = config.get('bounce_queue_lifetime');

  return {
    newQueueId: makeQueueIds(now),
    spoolContent: (source) => spool(context, source, inlineLimit),
    async dropContent(content) {
      if (content.kind === 'file') await context.files.remove(content.name);
    },
    readSpooled: (content) => readSpooled(context, content),
    async accept(message) {
      const { envelope, content } = message;
      const { queueId } = envelope;
      if (message.latestMs !== undefined) assertConnected(context);
      const records = recordsOf(message, context.shards.length);
      const [home, ...others] = records.keys();
      const [record, ...pages] = records.get(home ?? -1) ?? [];
      if (home === undefined || record === undefined) throw new Error(`message ${queueId} has no recipients`);
      const keys = keysOfShard(context, home);
      const index = message.hold === true ? 'hold' : message.notice === true ? 'deferred' : 'incoming';
      const acceptedMs = now();
      const copies: PartCopy = {
        hold: message.hold === true,
        expiryMs: envelope.createdMs + (envelope.sender === '' ? noticeLifetimeMs : lifetimeMs),
        parts: others.map((shard) => [shard, ...(records.get(shard) ?? [''])]),
      };
      const entry: TimelineEntry = {
        kind: 'accepted',
        atMs: acceptedMs,
        envelope,
        recipients: message.recipients.length,
      };
      const accepted = await run(
        accept,
        [
          keys.message(queueId),
          keys.content(queueId),
          keys[index],
          keys.expiry,
          keys.inbox,
          keys.timeline(queueId),
          keys.parts(queueId),
          keys.copies(queueId),
          keys.fanout,
          keys.remembered(queueId),
          keys.files,
        ],
        [
          queueId,
          record,
          content.kind === 'inline' ? 'i' : 'f',
          content.kind === 'inline' ? content.bytes : content.name,
          acceptedMs,
          copies.expiryMs,
          timelineMs > 0 ? JSON.stringify(entry) : '',
          message.rememberMs ?? 0,
          INDEX_LETTER[index],
          others.length > 0 ? JSON.stringify(copies) : '',
          message.latestMs ?? '',
          pages.length,
          ...pages,
          ...(others.length > 0 ? records.keys() : []),
        ],
      );
      if (accepted === 0) return 'exists';
      // Committed: whatever happens to the copies now, the home shard's leader repeats them.
      if (others.length > 0) {
        await copyParts(context, home, queueId, copies).catch((error: unknown) => {
          context.log.warn(
            `${queueId}: parts for other shards not copied yet: ${error instanceof Error ? error.message : String(error)}`,
          );
        });
      }
      return 'accepted';
    },
    async claimIdempotencyKey(key, queueId, ttlMs) {
      assertConnected(context);
      const keys = keysOfShard(context, shardOfKey(key, context.shards.length));
      return String(await run(claimKey, [keys.idempotency(key)], [queueId, ttlMs]));
    },
  };
}

/** What waits for Redis would be carried out long after its client was told to come again. */
function assertConnected({ redis }: QueueContext): void {
  if (redis.status !== 'ready')
    throw new Error('no connection to Redis at this moment; check the Redis of redis_url');
}

/** The record of each shard that gets a part and its pages, the home shard's first. */
function recordsOf(message: NewMessage, shards: number): Map<number, readonly [string, ...string[]]> {
  const byShard = new Map<number, RoutedRecipient[]>();
  for (const recipient of message.recipients) {
    const shard = shardOf(recipient.transport, recipient.nexthop, shards);
    const part = byShard.get(shard);
    if (part === undefined) byShard.set(shard, [recipient]);
    else part.push(recipient);
  }
  const [home = 0] = byShard.keys();
  return new Map(
    [...byShard].map(([shard, recipients]) => [
      shard,
      storedRecord({ envelope: message.envelope, home }, recipients),
    ]),
  );
}
