/** The suppression list in Redis: by address over shards, with an end, page by page. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Queue } from './open-queue.ts';
import { startTestRedis, type TestRedis } from './queue.fixture.ts';
import type { Suppression } from './suppression.ts';

let fixture: TestRedis;
let queue: Queue;
beforeAll(async () => {
  fixture = await startTestRedis();
  queue = await fixture.open({ scheduler_shards: '4' });
});
afterAll(() => fixture.stop());
beforeEach(() => fixture.redis.flushall());

const entry = (address: string, more: Partial<Suppression> = {}): Suppression => ({
  address,
  class: 'unknown-user',
  reason: '550 5.1.1 no',
  sinceMs: 1,
  ...more,
});

async function all(limit: number): Promise<{ addresses: string[]; pages: number }> {
  const addresses: string[] = [];
  let cursor: string | undefined;
  let pages = 0;
  do {
    const page = await queue.suppressionsPage(cursor, limit);
    addresses.push(...page.entries.map(({ address }) => address));
    cursor = page.cursor;
    pages += 1;
  } while (cursor !== undefined);
  return { addresses: addresses.sort(), pages };
}

test('addresses are found whatever their case, for as long as they stand there', async () => {
  const untilMs = Date.now() + 60_000;
  await queue.suppress([
    entry('Bob@Example.net', { untilMs }),
    entry('old@example.net', { untilMs: Date.now() - 1 }),
  ]);
  expect(await queue.suppressed(['BOB@example.NET', 'old@example.net', 'carol@example.net'])).toEqual([
    entry('bob@example.net', { untilMs }),
  ]);
  expect(await queue.unsuppress('bob@EXAMPLE.net')).toBe(true);
  expect(await queue.unsuppress('bob@example.net')).toBe(false);
  expect(await queue.suppressed(['bob@example.net'])).toEqual([]);
});

test('the list is read in pages over all shards, and what is over leaves Redis with later entries', async () => {
  const ended = Array.from({ length: 50 }, (_, i) => entry(`e${i}@x.example`, { untilMs: Date.now() - 1 }));
  await queue.suppress(ended);
  const live = Array.from({ length: 250 }, (_, i) => entry(`a${i}@x.example`));
  for (const one of live) await queue.suppress([one]);
  const { addresses, pages } = await all(20);
  expect(addresses).toEqual(live.map(({ address }) => address).sort());
  expect(pages).toBeGreaterThan(10);
  const kept = await Promise.all(
    [0, 1, 2, 3].map((shard) => fixture.redis.hlen(`{mf${shard}}:suppressions`)),
  );
  expect(kept.reduce((sum, count) => sum + count)).toBe(250);
  expect(Math.min(...kept)).toBeGreaterThan(20);
});

test('a cursor of nonsense is an empty page', async () => {
  expect(await queue.suppressionsPage('nonsense', 10)).toEqual({ entries: [] });
});
