/** Every script of the package on a real Redis Cluster: the keys of each are in one slot, whatever shard, endpoint or ticket it is about. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeConfig } from '@mailfleet/config';
import { openQueue, type Queue } from '@mailfleet/queue';
import { installed, type RedisCluster, startRedisCluster, waitFor } from '@mailfleet/test-kit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openSessionRegistry, type SessionRegistry } from './registry.ts';
import { answerQuestions, openSessionBoard } from './session-board.ts';
import { openTicketStore } from './ticket-store.ts';

const HOUR_MS = 3_600_000;

describe.runIf(installed(['redis-server']))('on a cluster', () => {
  let folder: string;
  let cluster: RedisCluster;
  let queue: Queue;
  let registry: SessionRegistry;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'scache-cluster-'));
    cluster = await startRedisCluster('redis-server');
    const config = makeConfig({ content_directory: folder, scheduler_shards: '4' });
    queue = await openQueue({ config, redisUrl: cluster.url });
    registry = openSessionRegistry({ config, queue });
  }, 30_000);
  afterAll(async () => {
    await queue?.close();
    await cluster?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  test('sessions are listed and claimed by destination and by endpoint', async () => {
    for (const shard of [0, 1, 2, 3]) {
      const destination = { shard, transport: 'smtp', nexthop: `d${shard}.example` };
      const id = `s${shard}`;
      registry.park({ id, destination, worker: 'w1', relay: 'r', sinceMs: 1, uses: 1 }, HOUR_MS);
      await waitFor(async () => (await registry.page(shard, 0, 10)).length === 1);
      expect(await registry.claim(destination, 1)).toEqual([]);
      const shared = { id, endpoint: `endpoint ${shard}`, worker: 'w1' };
      registry.parkAt(shared, HOUR_MS);
      await waitFor(async () => (await registry.claimAt([shared.endpoint], 'w2')) === 'w1');
      registry.dropAt(shared);
    }
  });

  test('tickets of every bucket are kept and forgotten', async () => {
    const store = openTicketStore(queue);
    const names = Array.from({ length: 16 }, (_, digit) => `${digit.toString(16)}0`);
    for (const name of names) store.put(name, Buffer.from(name), HOUR_MS);
    for (const name of names) await waitFor(async () => (await store.get(name))?.toString() === name);
    for (const name of names) store.delete(name);
    for (const name of names) await waitFor(async () => (await store.get(name)) === undefined);
  });

  test('workers answer for their sessions', async () => {
    const stop = answerQuestions(queue, 'w1', () => []);
    try {
      const board = openSessionBoard(queue);
      const sinceMs = await board.ask();
      await waitFor(async () => (await board.answers(sinceMs, 0, 10)).answered === 1);
      expect(await board.sessions('w1', 0, 10)).toEqual([]);
    } finally {
      stop();
    }
  });
});
