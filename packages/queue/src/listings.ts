/**
 * Listings, page by page over shards and queues. A message of several shards is listed once per shard, each time with the
 * recipients that this shard delivers, unless it is asked for once.
 */
import type { Outcome } from '@mailfleet/smtp';
import { keysOfShard, type QueueContext } from './context.ts';
import type { ShardKeys } from './keys.ts';
import { type MessageRecord, pairs, parseRecord, parseStates } from './message-record.ts';
import type {
  ListOptions,
  MessageSelector,
  OperatorPort,
  QueueListing,
  QueueName,
  TimelineEntry,
} from './operator-ports.ts';
import type { RoutedRecipient } from './ports.ts';
import { firstOpen } from './recipients.ts';
import type { Connection } from './redis/connection.ts';
import { listPage, readMessage } from './scripts/operator.ts';
import { selects, selectsRecipient } from './selector.ts';

const QUEUES: readonly QueueName[] = ['active', 'incoming', 'deferred', 'hold', 'corrupt'];
const PAGE = 500;

/** A message as one shard has it. */
export interface ListedPart {
  readonly shard: number;
  readonly listing: QueueListing;
}

/** One page; at most `limit` messages are looked at, and those that the selector names are in the answer. */
export async function listParts(
  context: QueueContext,
  { queues = QUEUES, where = {}, cursor, limit }: ListOptions,
): Promise<{ readonly parts: readonly ListedPart[]; readonly cursor?: string }> {
  const parts: ListedPart[] = [];
  let looked = 0;
  let place = parseCursor(cursor);
  while (place.shard < context.shards.length) {
    const { shard } = place;
    const keys = keysOfShard(context, shard);
    const queue = queues[place.queue];
    if (queue === undefined) {
      place = { shard: shard + 1, queue: 0, score: '', member: '' };
      continue;
    }
    if (looked >= limit) return { parts, cursor: formatCursor(place) };
    const most = Math.min(limit - looked, PAGE);
    const found = (await context.run(
      listPage,
      [keys[queue]],
      [keys.prefix, most, place.score, place.member],
    )) as [string, string, string[]][];
    looked += found.length;
    const listings = found.map(([score, queueId, flat]) =>
      listingOf(context, keys.message(queueId), { queue, score: Number(score), where }, pairs(flat)),
    );
    for (const listing of await Promise.all(listings)) {
      if (listing !== undefined && selects(where, listing)) parts.push({ shard, listing });
    }
    const [score = '', member = ''] = found.at(-1) ?? [];
    place =
      found.length < most
        ? { ...place, queue: place.queue + 1, score: '', member: '' }
        : { ...place, score, member };
  }
  return { parts };
}

/** Without those that the walk met on a shard before: a message of several shards comes once for each of them. */
export async function withoutRepeats(
  context: QueueContext,
  parts: readonly ListedPart[],
  { queues = QUEUES, where = {} }: Pick<ListOptions, 'queues' | 'where'>,
): Promise<readonly ListedPart[]> {
  const repeats = await Promise.all(
    parts.map(async ({ shard, listing }) => {
      const earlier = context.shards.slice(0, shard);
      const { queueId } = listing.envelope;
      const there = await Promise.all(earlier.map((keys) => context.redis.exists(keys.message(queueId))));
      const listings = await Promise.all(
        earlier.map((keys, i) => (there[i] === 1 ? listPart(context, keys, queueId, where) : undefined)),
      );
      return listings.some(
        (each) => each !== undefined && queues.includes(each.queue) && selects(where, each),
      );
    }),
  );
  return parts.filter((_, i) => repeats[i] !== true);
}

/** A message on one shard, wherever it is there. */
export async function listPart(
  context: QueueContext,
  keys: ShardKeys,
  queueId: string,
  where: MessageSelector = {},
): Promise<QueueListing | undefined> {
  const [flat, ...scores] = await Promise.all([
    context.run(readMessage, [keys.message(queueId)], []) as Promise<string[]>,
    ...QUEUES.map((queue) => context.redis.zscore(keys[queue], queueId)),
  ]);
  const at = scores.findIndex((score) => score !== null);
  const queue = QUEUES[at];
  if (queue === undefined) return undefined;
  const found = { queue, score: Number(scores[at]), where };
  return listingOf(context, keys.message(queueId), found, pairs(flat));
}

export function makeListings(context: QueueContext): Pick<OperatorPort, 'list' | 'counts' | 'find'> {
  const { redis, shards } = context;
  return {
    async list(options) {
      const { parts: all, ...rest } = await listParts(context, options);
      const parts = options.once === true ? await withoutRepeats(context, all, options) : all;
      return { messages: parts.map(({ listing }) => listing), ...rest };
    },

    async counts() {
      const counts = { incoming: 0, active: 0, deferred: 0, hold: 0, corrupt: 0 };
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
          const [listing, timeline] = await Promise.all([
            listPart(context, keys, queueId),
            redis.lrange(keys.timeline(queueId), 0, -1),
          ]);
          return { listing, timeline: timeline.map((entry) => JSON.parse(entry) as TimelineEntry) };
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
  };
}

/** Where a message was found, and what for: of a long list, the page is shown that has a recipient the selector names. */
interface Found {
  readonly queue: QueueName;
  readonly score: number;
  readonly where: MessageSelector;
}

/** One line of a listing: the recipients that are still open. Undefined when the record is gone. */
async function listingOf(
  { redis }: QueueContext,
  key: string,
  { queue, score, where }: Found,
  fields: ReadonlyMap<string, string>,
): Promise<QueueListing | undefined> {
  const text = fields.get('e');
  if (text === undefined) return undefined;
  const record = readableRecord(text, key, score);
  const { open, unlisted, outcomes } = await ('recipients' in record
    ? openOfWhole(record.recipients, fields)
    : openOfPaged(redis, key, record, where));
  return {
    queue,
    envelope: record.envelope,
    recipients: open.map(({ index, address, transport, nexthop }) => {
      const { reason: delayReason, class: delayClass } = outcomes.get(index) ?? {};
      return {
        address,
        transport,
        nexthop,
        ...(delayReason === undefined ? {} : { delayReason }),
        ...(delayClass === undefined ? {} : { delayClass }),
      };
    }),
    ...(unlisted === 0 ? {} : { unlisted }),
    ...(queue === 'deferred' ? { dueMs: score } : {}),
    ...(queue === 'active' && fields.has('held') ? { held: true } : {}),
    forcedExpire: fields.has('forced'),
    ...(queue === 'corrupt' ? { corruption: fields.get('corrupt') ?? 'unknown' } : {}),
  };
}

/** A record that cannot be read is listed all the same: with its queue id, and nobody's. */
function readableRecord(text: string, key: string, atMs: number): MessageRecord {
  try {
    return parseRecord(text);
  } catch {
    const queueId = key.slice(key.lastIndexOf(':') + 1);
    const envelope = { queueId, sender: '', sizeBytes: 0, arrivalMs: atMs, createdMs: atMs };
    return { envelope, home: 0, recipients: [] };
  }
}

interface OpenRecipients {
  readonly open: readonly RoutedRecipient[];
  readonly unlisted: number;
  readonly outcomes: ReadonlyMap<number, Outcome>;
}

function openOfWhole(
  recipients: readonly RoutedRecipient[],
  fields: ReadonlyMap<string, string>,
): OpenRecipients {
  const { outcomes, final } = parseStates(fields);
  return { open: recipients.filter(({ index }) => !final.has(index)), unlisted: 0, outcomes };
}

async function openOfPaged(
  redis: Connection,
  key: string,
  record: MessageRecord,
  where: MessageSelector,
): Promise<OpenRecipients> {
  const { open, unlisted } = await firstOpen(redis, key, record, (recipient) =>
    selectsRecipient(where, recipient),
  );
  const fields = open.map(({ index }) => `o${index}`);
  const kept = fields.length === 0 ? [] : await redis.hmget(key, ...fields);
  const states = fields.flatMap((field, i) => (kept[i] == null ? [] : [[field, kept[i]] as const]));
  return { open, unlisted, outcomes: parseStates(new Map(states)).outcomes };
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
