/**
 * A scheduler on a long queue starts fast and stays small. Here with as many messages as make its active queue full, which is
 * what its memory depends on; `npm run bench:backlog` does it with a million.
 */
import { expect, test } from 'vitest';
import { HEAP_MB, measureBacklog } from '../bench/backlog.ts';

const MESSAGES = 25_000;
/** 15 s with a million messages, the start of a process with none. */
const FIRST_BATCH_SECONDS = 5 + (10 * MESSAGES) / 1_000_000;

test('25,000 messages: first batch within seconds, heap under its limit with a full active queue', async () => {
  const figures = await measureBacklog(MESSAGES);
  expect(figures.active).toBeGreaterThanOrEqual(20_000);
  expect(figures.firstBatchSeconds).toBeLessThan(FIRST_BATCH_SECONDS);
  expect(figures.heapMb).toBeLessThan(HEAP_MB);
  expect(figures.delivered).toBeGreaterThanOrEqual(5_000);
});
