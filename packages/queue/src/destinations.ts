/** Reads what operators have set on destinations, and who leads a shard. */
import { keysOfShard, type QueueContext } from './context.ts';
import type { ControlKind, DestinationControl, DestinationName } from './destination-ports.ts';
import { controlMember, parseControl } from './destination-words.ts';
import { controlsPage } from './scripts/destinations.ts';
import { shardOf } from './shard.ts';

/** Those whose time is over are left out. `''` begins and ends. */
export async function pageOfControls(
  context: QueueContext,
  shard: number,
  cursor: string,
  limit: number,
): Promise<{ cursor: string; controls: readonly DestinationControl[] }> {
  const keys = keysOfShard(context, shard);
  const space = cursor.indexOf(' ');
  const [score, member] = cursor === '' ? ['', ''] : [cursor.slice(0, space), cursor.slice(space + 1)];
  const found = (await context.run(
    controlsPage,
    [keys.controls, keys.controlled],
    [limit, score, member],
  )) as [member: string, untilMs: string, json: string][];
  const nowMs = context.now();
  const controls = found
    .map(([one, untilMs, json]) => parseControl(one, Number(untilMs), json))
    .filter(({ untilMs }) => untilMs > nowMs);
  const [lastMember = '', lastScore = ''] = found.at(-1) ?? [];
  return { cursor: found.length < limit ? '' : `${lastScore} ${lastMember}`, controls };
}

/** Who leads a shard, and for how long unless it renews. */
export async function readLease(
  { redis, shards }: Pick<QueueContext, 'redis' | 'shards'>,
  shard: number,
): Promise<{ holder: string; leftMs: number } | undefined> {
  const { lease } = keysOfShard({ shards }, shard);
  const [holder, leftMs] = await Promise.all([redis.get(lease), redis.pttl(lease)]);
  return holder === null ? undefined : { holder, leftMs: Math.max(leftMs, 0) };
}

/** What is set on some destinations now. */
export async function controlsOf(
  context: QueueContext,
  names: readonly DestinationName[],
  kinds: readonly ControlKind[],
): Promise<readonly DestinationControl[]> {
  const { shards } = context;
  const byShard = Map.groupBy(names, ({ transport, nexthop }) => shardOf(transport, nexthop, shards.length));
  const found = await Promise.all(
    [...byShard].map(async ([shard, own]) => {
      const keys = keysOfShard(context, shard);
      if ((await context.redis.exists(keys.controls)) === 0) return [];
      const members = own.flatMap((name) => kinds.map((kind) => controlMember(name, kind)));
      const [values, ends] = await Promise.all([
        context.redis.hmget(keys.controlled, ...members),
        context.redis.zmscore(keys.controls, ...members),
      ]);
      return members.flatMap((member, i) => {
        const [json, untilMs] = [values[i], Number(ends[i] ?? 0)];
        return typeof json === 'string' && untilMs > context.now()
          ? [parseControl(member, untilMs, json)]
          : [];
      });
    }),
  );
  return found.flat();
}
