/**
 * Which shard a destination belongs to. The answer depends on nothing but its arguments: every process of a fleet, and
 * every version that shares a Redis, must agree.
 */

/** Shard of (transport, nexthop), 0 up to `shards` - 1. The nexthop's case does not matter. */
export function shardOf(transport: string, nexthop: string, shards: number): number {
  return shards === 1 ? 0 : hash(`${transport}\0${nexthop.toLowerCase()}`) % shards;
}

/** Shard of an idempotency key. */
export function shardOfKey(key: string, shards: number): number {
  return shards === 1 ? 0 : hash(key) % shards;
}

/**
 * What a shard gets of something that the fleet has so many of, sessions or slots: the remainder goes to the first shards,
 * and no shard is left without, so with fewer than shards there are as many as shards.
 */
export function fairShare(count: number, shards: number, shard: number): number {
  return Math.max(1, Math.floor(count / shards) + (shard < count % shards ? 1 : 0));
}

/** FNV-1a, 32 bits: short, and spreads names that differ in one letter. */
export function hash(text: string): number {
  let value = 0x811c9dc5;
  for (const byte of Buffer.from(text)) value = Math.imul(value ^ byte, 0x01000193) >>> 0;
  return value;
}
