/** The operator's port: listings page by page over shards and queues, and commands. A message of several shards is listed once per shard. */
import type { Outcome } from '@mailfleet/smtp';
import type { Telemetry } from '@mailfleet/telemetry';
import { keysOfShard, type QueueContext } from './context.ts';
import { settlePart } from './fanout.ts';
import { type MessageRecord, pairs, parseRecord, parseStates } from './message-record.ts';
import type { OperatorPort, QueueListing, QueueName, RoutedRecipient, TimelineEntry } from './ports.ts';
import { firstOpen } from './recipients.ts';
import type { Connection } from './redis/connection.ts';
import { flushOne, flushPage, hold, listPage, readMessage, release, remove } from './scripts/operator.ts';

const QUEUES: readonly QueueName[] = ['active', 'incoming', 'deferred', 'hold'];
const PAGE = 500;

export function makeOperatorPort(context: QueueContext, telemetry: Telemetry | undefined): OperatorPort {
  const { run, redis, shards, now } = context;
  const timelineMs = context.config.get('message_timeline_time');

  const event = (step: string): string => {
    const entry: TimelineEntry = { kind: 'event', atMs: now(), step };
    return timelineMs > 0 ? JSON.stringify(entry) : '';
  };
  /** Runs a command on every shard; true when one of them had the message. */
  const onAnyShard = async (command: (shard: number) => Promise<boolean>): Promise<boolean> =>
    (await Promise.all(shards.map((_, shard) => command(shard)))).includes(true);

  return {
    async list({ queues = QUEUES, cursor, limit }) {
      const messages: QueueListing[] = [];
      let place = parseCursor(cursor);
      while (place.shard < shards.length) {
        const keys = keysOfShard(context, place.shard);
        const queue = queues[place.queue];
        if (queue === undefined) {
          place = { shard: place.shard + 1, queue: 0, score: '', member: '' };
          continue;
        }
        if (messages.length >= limit) return { messages, cursor: formatCursor(place) };
        const most = Math.min(limit - messages.length, PAGE);
        const found = (await run(
          listPage,
          [keys[queue]],
          [keys.prefix, most, place.score, place.member],
        )) as [string, string, string[]][];
        const listings = found.map(([score, queueId, flat]) =>
          listingOf(context, keys.message(queueId), queue, Number(score), pairs(flat)),
        );
        for (const listing of await Promise.all(listings)) if (listing !== undefined) messages.push(listing);
        const [score = '', member = ''] = found.at(-1) ?? [];
        place =
          found.length < most
            ? { ...place, queue: place.queue + 1, score: '', member: '' }
            : { ...place, score, member };
      }
      return { messages };
    },

    async counts() {
      const counts = { incoming: 0, active: 0, deferred: 0, hold: 0 };
      await Promise.all(
        shards.flatMap((keys) =>
          QUEUES.map(async (queue) => {
            const count = await redis.zcard(keys[queue]);
            counts[queue] += count;
          }),
        ),
      );
      return counts;
    },

    async find(queueId) {
      const parts = await Promise.all(
        shards.map(async (keys) => {
          const [flat, timeline, ...scores] = await Promise.all([
            run(readMessage, [keys.message(queueId)], []) as Promise<string[]>,
            redis.lrange(keys.timeline(queueId), 0, -1),
            ...QUEUES.map((queue) => redis.zscore(keys[queue], queueId)),
          ]);
          const at = scores.findIndex((score) => score !== null);
          const queue = QUEUES[at];
          return {
            listing:
              queue === undefined
                ? undefined
                : await listingOf(context, keys.message(queueId), queue, Number(scores[at]), pairs(flat)),
            timeline: timeline.map((entry) => JSON.parse(entry) as TimelineEntry),
          };
        }),
      );
      const [first, ...others] = parts.flatMap(({ listing }) => (listing === undefined ? [] : [listing]));
      const timeline = parts.flatMap((part) => part.timeline).sort((a, b) => startOf(a) - startOf(b));
      if (first === undefined) return timeline.length === 0 ? undefined : { timeline };
      const listings = [first, ...others];
      const recipients = listings.flatMap((listing) => listing.recipients);
      const unlisted = listings.reduce((sum, listing) => sum + (listing.unlisted ?? 0), 0);
      return { listing: { ...first, recipients, ...(unlisted === 0 ? {} : { unlisted }) }, timeline };
    },

    async flush(queueId) {
      await Promise.all(
        shards.map(async (keys) => {
          if (queueId !== undefined) {
            await run(flushOne, [keys.deferred, keys.inbox], [queueId, now()]);
            return;
          }
          const nowMs = now();
          while ((await run(flushPage, [keys.deferred, keys.inbox], [nowMs, PAGE])) === PAGE);
        }),
      );
    },

    async hold(queueId) {
      const held = await onAnyShard(async (shard) => {
        const keys = keysOfShard(context, shard);
        const names = [
          keys.incoming,
          keys.deferred,
          keys.active,
          keys.hold,
          keys.message(queueId),
          keys.timeline(queueId),
        ];
        return (await run(hold, names, [queueId, now(), event('held')])) === 1;
      });
      if (held) telemetry?.emit({ kind: 'held', queueId });
      return held;
    },

    async release(queueId) {
      const released = await onAnyShard(async (shard) => {
        const keys = keysOfShard(context, shard);
        const names = [keys.hold, keys.incoming, keys.inbox, keys.message(queueId), keys.timeline(queueId)];
        return (await run(release, names, [queueId, now(), event('released')])) === 1;
      });
      if (released) telemetry?.emit({ kind: 'released', queueId });
      return released;
    },

    async remove(queueId) {
      const removed = await onAnyShard(async (shard) => {
        const keys = keysOfShard(context, shard);
        const left = (await run(
          remove,
          [
            keys.incoming,
            keys.deferred,
            keys.active,
            keys.hold,
            keys.expiry,
            keys.retiredParts,
            keys.files,
            keys.message(queueId),
            keys.timeline(queueId),
          ],
          [queueId, now(), event('removed'), keys.prefix, shard, timelineMs],
        )) as string[];
        const [file = '', home = ''] = left;
        if (file !== '') await context.files.remove(file);
        if (home !== '') await settlePart(context, shard, Number(home), queueId);
        return left.length > 0;
      });
      if (removed) telemetry?.emit({ kind: 'removed', queueId });
      return removed;
    },
  };
}

/** One line of a listing: the recipients that are still open. Undefined when the record is gone. */
async function listingOf(
  { redis }: QueueContext,
  key: string,
  queue: QueueName,
  score: number,
  fields: ReadonlyMap<string, string>,
): Promise<QueueListing | undefined> {
  const text = fields.get('e');
  if (text === undefined) return undefined;
  const record = parseRecord(text);
  const { open, unread, outcomes } = await ('recipients' in record
    ? openOfWhole(record.recipients, fields)
    : openOfPaged(redis, key, record));
  return {
    queue,
    envelope: record.envelope,
    recipients: open.map(({ index, address, transport, nexthop }) => {
      const delayReason = outcomes.get(index)?.reason;
      return { address, transport, nexthop, ...(delayReason === undefined ? {} : { delayReason }) };
    }),
    ...(unread === 0 ? {} : { unlisted: unread }),
    ...(queue === 'deferred' ? { dueMs: score } : {}),
    forcedExpire: false,
  };
}

interface OpenRecipients {
  readonly open: readonly RoutedRecipient[];
  /** Behind those. */
  readonly unread: number;
  readonly outcomes: ReadonlyMap<number, Outcome>;
}

function openOfWhole(
  recipients: readonly RoutedRecipient[],
  fields: ReadonlyMap<string, string>,
): OpenRecipients {
  const { outcomes, final } = parseStates(fields);
  return { open: recipients.filter(({ index }) => !final.has(index)), unread: 0, outcomes };
}

async function openOfPaged(redis: Connection, key: string, record: MessageRecord): Promise<OpenRecipients> {
  const { open, unread } = await firstOpen(redis, key, record);
  const fields = open.map(({ index }) => `o${index}`);
  const kept = fields.length === 0 ? [] : await redis.hmget(key, ...fields);
  const states = fields.flatMap((field, i) => (kept[i] == null ? [] : [[field, kept[i]] as const]));
  return { open, unread, outcomes: parseStates(new Map(states)).outcomes };
}

function startOf(entry: TimelineEntry): number {
  return entry.kind === 'attempt' ? entry.batchedMs : entry.atMs;
}

/** Where a listing stands: `shard queue score member`. */
interface Place {
  readonly shard: number;
  readonly queue: number;
  readonly score: string;
  readonly member: string;
}

function formatCursor({ shard, queue, score, member }: Place): string {
  return `${shard} ${queue} ${score} ${member}`;
}

function parseCursor(cursor = '0 0  '): Place {
  const [shard = '0', queue = '0', score = '', member = ''] = cursor.split(' ');
  return { shard: Number(shard), queue: Number(queue), score, member };
}
