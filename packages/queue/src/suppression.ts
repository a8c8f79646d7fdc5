/**
 * The suppression list: addresses that get no mail for a time. Each stands on the shard of its own hash, in lower case; every read is of
 * named addresses or a page.
 */
import type { OutcomeClass } from '@mailfleet/telemetry';
import { keysOfShard, type QueueContext } from './context.ts';
import { suppress, suppressionsPage, unsuppress } from './scripts/suppression.ts';
import { shardOfKey } from './shard.ts';

export interface Suppression {
  readonly address: string;
  /** Why: the class of the outcome that led to it, or what an operator names. */
  readonly class: OutcomeClass;
  /** The server's words, or the operator's. */
  readonly reason: string;
  readonly sinceMs: number;
  /** Absent: until it is removed. */
  readonly untilMs?: number;
}

/** For workers, operators and the HTTP interface. */
export interface SuppressionPort {
  /** Those of these addresses that are on the list now. */
  suppressed(addresses: readonly string[]): Promise<readonly Suppression[]>;
  suppress(entries: readonly Suppression[]): Promise<void>;
  /** False: it was not on the list. */
  unsuppress(address: string): Promise<boolean>;
  /** One page over all shards; an absent cursor begins, and in the answer means the end. */
  suppressionsPage(
    cursor: string | undefined,
    limit: number,
  ): Promise<{ readonly entries: readonly Suppression[]; readonly cursor?: string }>;
}

type Kept = Pick<Suppression, 'class' | 'reason' | 'sinceMs'>;

export function makeSuppressionPort(context: QueueContext): SuppressionPort {
  const { redis, run, shards, now } = context;
  const keysAt = (shard: number): readonly [string, string] => {
    const keys = keysOfShard(context, shard);
    return [keys.suppressed, keys.suppressions];
  };
  const shardOfAddress = (address: string): number => shardOfKey(address.toLowerCase(), shards.length);

  return {
    async suppressed(addresses) {
      const unique = [...new Set(addresses.map((address) => address.toLowerCase()))];
      const found = await Promise.all(
        [...Map.groupBy(unique, shardOfAddress)].map(async ([shard, own]) => {
          const [ends, details] = keysAt(shard);
          const scores = await redis.zmscore(ends, ...own);
          const listed = own.flatMap((address, i) => {
            const end = endOf(scores[i] ?? '0');
            return end > now() ? [{ address, end }] : [];
          });
          if (listed.length === 0) return [];
          const kept = await redis.hmget(details, ...listed.map(({ address }) => address));
          return listed.map(({ address, end }, i) => entryOf(address, end, kept[i] ?? '{}'));
        }),
      );
      return found.flat();
    },

    async suppress(entries) {
      const byShard = Map.groupBy(entries, ({ address }) => shardOfAddress(address));
      await Promise.all(
        [...byShard].map(([shard, own]) =>
          run(suppress, keysAt(shard), [
            now(),
            ...own.flatMap(({ address, untilMs, class: outcomeClass, reason, sinceMs }) => [
              address.toLowerCase(),
              untilMs ?? '+inf',
              JSON.stringify({ class: outcomeClass, reason: reason.slice(0, 500), sinceMs } satisfies Kept),
            ]),
          ]),
        ),
      );
    },

    async unsuppress(address) {
      return (await run(unsuppress, keysAt(shardOfAddress(address)), [address.toLowerCase()])) === 1;
    },

    async suppressionsPage(cursor, limit) {
      const [first = '0', end = '', member = ''] = (cursor ?? '0').split(' ');
      const shard = Number(first);
      if (!Number.isInteger(shard) || shard < 0 || shard >= shards.length) return { entries: [] };
      const found = (await run(suppressionsPage, keysAt(shard), [limit, end, member])) as [
        string,
        string,
        string,
      ][];
      const entries = found
        .map(([address, score, json]) => ({ entry: entryOf(address, endOf(score), json), end: endOf(score) }))
        .filter((each) => each.end > now())
        .map(({ entry }) => entry);
      const [address, score] = found.at(-1) ?? [];
      if (found.length === limit) return { entries, cursor: `${shard} ${score} ${address}` };
      return shard + 1 < shards.length ? { entries, cursor: `${shard + 1}` } : { entries };
    },
  };
}

const endOf = (score: string): number => (score === 'inf' ? Number.POSITIVE_INFINITY : Number(score));

function entryOf(address: string, untilMs: number, json: string): Suppression {
  const kept = JSON.parse(json) as Partial<Kept>;
  return {
    address,
    class: kept.class ?? 'other',
    reason: kept.reason ?? '',
    sinceMs: kept.sinceMs ?? 0,
    ...(Number.isFinite(untilMs) ? { untilMs } : {}),
  };
}
