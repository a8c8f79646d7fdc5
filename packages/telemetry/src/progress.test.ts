import { expect, test } from 'vitest';
import { Progress } from './progress.ts';

test('a part that is silent for half a minute is stuck, until it comes by again', () => {
  let nowMs = 0;
  const progress = new Progress(() => nowMs);
  const first = progress.expect('shard 0');
  progress.expect('shard 1');
  nowMs = 30_000;
  expect(progress.stuck()).toEqual([]);
  first();
  nowMs = 41_500;
  expect(progress.stuck()).toEqual(['shard 1: no progress for 41 s']);
  nowMs = 61_000;
  expect(progress.stuck()).toEqual(['shard 0: no progress for 31 s', 'shard 1: no progress for 61 s']);
  first();
  expect(progress.stuck()).toEqual(['shard 1: no progress for 61 s']);
});
