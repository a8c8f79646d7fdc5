/** Operators ask, workers answer; nothing is written while nobody asks. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeConfig } from '@mailfleet/config';
import { openQueue, type Queue, startEmbeddedRedis } from '@mailfleet/queue';
import { waitFor } from '@mailfleet/test-kit';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { answerQuestions, type OpenSession, openSessionBoard } from './session-board.ts';

let folder: string;
let server: Awaited<ReturnType<typeof startEmbeddedRedis>>;
let redis: Redis;
let queue: Queue;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'board-'));
  server = await startEmbeddedRedis({ directory: folder });
  redis = new Redis(server.url);
  queue = await openQueue({ config: makeConfig({ content_directory: folder }), redisUrl: server.url });
});
afterAll(async () => {
  await queue.close();
  redis.disconnect();
  await server.stop();
  rmSync(folder, { recursive: true });
});

const session = (uses: number): OpenSession => ({
  state: 'busy',
  transport: 'smtp',
  nexthop: 'a.example',
  relay: 'mx.test[192.0.2.1]:25',
  sinceMs: 1000,
  uses,
});

test('workers answer a question with what they have then, in pages, and nothing stays', async () => {
  let asked = 0;
  const first = [1, 2, 3].map(session);
  const stops = [
    answerQuestions(queue, 'w1', () => {
      asked += 1;
      return first;
    }),
    answerQuestions(queue, 'w2', () => []),
  ];
  try {
    await redis.zadd('{mf0}:workers', Date.now() + 60_000, 'w1');
    // Longer than a worker takes between two looks.
    await sleep(1_300);
    expect([asked, await redis.keys('*session*')]).toEqual([0, []]);
    const board = openSessionBoard(queue);
    const sinceMs = await board.ask();
    await waitFor(async () => (await board.answers(sinceMs, 0, 10)).answered === 2);
    expect(await board.answers(sinceMs, 0, 10)).toMatchObject({ alive: 1, workers: ['w1', 'w2'] });
    expect((await board.answers(sinceMs, 1, 10)).workers).toHaveLength(1);
    expect(await board.sessions('w1', 0, 2)).toEqual(first.slice(0, 2));
    expect(await board.sessions('w1', 2, 2)).toEqual(first.slice(2));
    expect(await board.sessions('w2', 0, 2)).toEqual([]);
    for (const key of await redis.keys('*session*')) expect(await redis.pttl(key), key).toBeGreaterThan(0);
  } finally {
    for (const stop of stops) stop();
  }
});
