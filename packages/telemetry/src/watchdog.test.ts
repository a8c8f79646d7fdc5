import { expect, test } from 'vitest';
import { Watchdog } from './watchdog.ts';

test('daemon_timeout: work without a sign of life for that long is stuck, work that moves or ended is not', () => {
  let nowMs = 0;
  const watchdog = new Watchdog(1000, () => nowMs);
  const batch = watchdog.watch('batch b1');
  const other = watchdog.watch('batch b2');
  nowMs = 900;
  other.pat();
  expect(watchdog.stuck()).toBeUndefined();
  nowMs = 1001;
  expect(watchdog.stuck()).toBe('batch b1');
  batch.done();
  expect(watchdog.stuck()).toBeUndefined();
  nowMs = 1901;
  expect(watchdog.stuck()).toBe('batch b2');
});

test('tells once, by itself', async () => {
  const watchdog = new Watchdog(20);
  watchdog.watch('shard 0');
  const told: string[] = [];
  await new Promise<void>((resolve) => {
    watchdog.onStuck((what) => {
      told.push(what);
      setTimeout(resolve, 20);
    });
  });
  expect(told).toEqual(['shard 0']);
});
