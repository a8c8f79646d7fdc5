/**
 * Listings, page by page over shards and queues. A message of several shards is listed once per shard, each time with the
 * recipients that this shard delivers, unless it is asked for once.
 */
import { keysOfShard, type QueueContext } from './context.ts';
import type { ShardKeys } from './keys.ts';
import { pairs, parseRecord, parseStates } from './message-record.ts';
import type { ListOptions, OperatorPort, QueueListing, QueueName, TimelineEntry } from './ports.ts';
import { listPage } from './scripts/operator.ts';
import { selects } from './selector.ts';

const QUEUES: readonly QueueName[] = ['active', 'incoming', 'deferred', 'hold'];
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
    for (const [score, , flat] of found) {
      const listing = listingOf(queue, Number(score), pairs(flat));
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
        earlier.map((keys, i) => (there[i] === 1 ? listPart(context, keys, queueId) : undefined)),
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
  { redis }: QueueContext,
  keys: ShardKeys,
  queueId: string,
): Promise<QueueListing | undefined> {
  const [fields, ...scores] = await Promise.all([
    redis.hgetall(keys.message(queueId)),
    ...QUEUES.map((queue) => redis.zscore(keys[queue], queueId)),
  ]);
  const at = scores.findIndex((score) => score !== null);
  const queue = QUEUES[at];
  return queue === undefined
    ? undefined
    : listingOf(queue, Number(scores[at]), pairs(Object.entries(fields).flat()));
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
      const recipients = [first, ...others].flatMap((listing) => listing.recipients);
      return { listing: { ...first, recipients }, timeline };
    },
  };
}

/** One line of a listing: the recipients that are still open. Undefined when the record is gone. */
function listingOf(
  queue: QueueName,
  score: number,
  fields: ReadonlyMap<string, string>,
): QueueListing | undefined {
  const text = fields.get('e');
  if (text === undefined) return undefined;
  const { envelope, recipients } = parseRecord(text);
  const { outcomes, final } = parseStates(fields);
  return {
    queue,
    envelope,
    recipients: recipients
      .filter(({ index }) => !final.has(index))
      .map(({ index, address, transport, nexthop }) => {
        const delayReason = outcomes.get(index)?.reason;
        return { address, transport, nexthop, ...(delayReason === undefined ? {} : { delayReason }) };
      }),
    ...(queue === 'deferred' ? { dueMs: score } : {}),
    ...(queue === 'active' && fields.has('held') ? { held: true } : {}),
    forcedExpire: fields.has('forced'),
  };
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
