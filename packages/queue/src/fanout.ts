/**
 * What happens between shards, where no script reaches: a message's parts are copied from its home shard to the others, and the
 * home shard hears when another shard retired its part, so that the content goes with the last. Every step may be repeated:
 * a copy is refused where the part is or was, and a retired part stays marked until no copy can come any more.
 */
import { keysOfShard, type QueueContext } from './context.ts';
import { copyPart, partRetired, partsCopied } from './scripts/intake.ts';

/** A copy that reaches Redis later is refused, and repeated by the home shard's leader in its own time. */
const COPY_DEADLINE_MS = 60_000;
/** How long a retired part is remembered at least: much longer than a copy may be on its way. */
const RETIRED_PART_MS = 10 * 60_000;
const PAGE = 100;

/** Parts of other shards: [shard, record as JSON, pages of recipients as JSON]. */
export interface PartCopy {
  readonly hold: boolean;
  readonly expiryMs: number;
  readonly parts: readonly (readonly [number, string, ...string[]])[];
}

/** Copies the parts of a message and notes that on its home shard. */
export async function copyParts(
  context: QueueContext,
  home: number,
  queueId: string,
  { hold, expiryMs, parts }: PartCopy,
): Promise<void> {
  const latestMs = context.now() + COPY_DEADLINE_MS;
  await Promise.all(
    parts.map(([shard, record, ...pages]) => {
      const keys = keysOfShard(context, shard);
      return context.run(
        copyPart,
        [keys.message(queueId), hold ? keys.hold : keys.incoming, keys.expiry, keys.inbox, keys.retiredParts],
        [queueId, record, context.now(), expiryMs, home, hold ? '1' : '0', latestMs, ...pages],
      );
    }),
  );
  const keys = keysOfShard(context, home);
  await context.run(partsCopied, [keys.copies(queueId), keys.fanout], [queueId]);
}

/** Repeats the copies of a home shard that are older than `ageMs`; returns how many. */
export async function repeatCopies(context: QueueContext, home: number, ageMs: number): Promise<number> {
  const keys = keysOfShard(context, home);
  const before = context.now() - ageMs;
  let repeated = 0;
  for (;;) {
    const ids = await context.redis.zrangebyscore(keys.fanout, '-inf', before, 'LIMIT', 0, PAGE);
    for (const queueId of ids) {
      const copies = await context.redis.get(keys.copies(queueId));
      if (copies !== null) await copyParts(context, home, queueId, JSON.parse(copies) as PartCopy);
      repeated += 1;
    }
    if (ids.length < PAGE) return repeated;
  }
}

/** Tells the home shard of a part that `shard` retired. False while that part might still be copied. */
export async function settlePart(
  context: QueueContext,
  shard: number,
  home: number,
  queueId: string,
): Promise<boolean> {
  const keys = keysOfShard(context, home);
  const [copying, file] = (await context.run(
    partRetired,
    [keys.parts(queueId), keys.content(queueId), keys.copies(queueId), keys.files],
    [shard],
  )) as [number, string];
  if (file !== '') await context.files.remove(file);
  return copying === 0;
}

/** Settles the parts that this shard retired a while ago and forgets those that cannot be copied again. */
export async function settleParts(context: QueueContext, shard: number): Promise<void> {
  const { retiredParts } = keysOfShard(context, shard);
  const before = context.now() - RETIRED_PART_MS;
  for (;;) {
    const marks = await context.redis.zrangebyscore(retiredParts, '-inf', before, 'LIMIT', 0, PAGE);
    const settled: string[] = [];
    for (const mark of marks) {
      const colon = mark.indexOf(':');
      const home = Number(mark.slice(0, colon));
      if (await settlePart(context, shard, home, mark.slice(colon + 1))) settled.push(mark);
    }
    if (settled.length > 0) await context.redis.zrem(retiredParts, ...settled);
    // Fewer than a page, or marks that must stay: the next call goes on.
    if (settled.length < PAGE) return;
  }
}
