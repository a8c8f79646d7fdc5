import { expect, test } from 'vitest';
import { fairShare, shardOf } from './shard.ts';

test('a destination keeps its shard, whatever the case of its name', () => {
  // This very number (FNV-1a, 32 bits): another would strand the mail that is queued there.
  expect(shardOf('smtp', 'example.com', 1024)).toBe(796);
  expect(shardOf('smtp', 'EXAMPLE.com', 1024)).toBe(796);
});

test('destinations spread evenly over shards', () => {
  const counts = [0, 0, 0, 0];
  for (let i = 0; i < 4_000; i += 1) {
    const shard = shardOf('smtp', `domain${i}.example`, 4);
    counts[shard] = (counts[shard] ?? 0) + 1;
  }
  for (const count of counts) expect(count).toBeGreaterThan(850);
});

test('transports of one nexthop may differ', () => {
  const shards = new Set(['smtp', 'relay', 'lmtp', 'slow'].map((name) => shardOf(name, 'a.example', 64)));
  expect(shards.size).toBeGreaterThan(1);
});

test('what the fleet has is given out to the shards, and none goes without', () => {
  expect([0, 1, 2].map((shard) => fairShare(50, 3, shard))).toEqual([17, 17, 16]);
  expect([0, 1, 2].map((shard) => fairShare(1, 3, shard))).toEqual([1, 1, 1]);
});
