/** What Redis answered is there after it was killed, and a queue that was open goes on when Redis is back. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type EmbeddedRedis, startEmbeddedRedis } from './embedded/embedded-redis.ts';
import { openQueue, type Queue } from './open-queue.ts';
import { batchOf, inboxUntil, leaseOf, must, newMessage, testConfig } from './queue.fixture.ts';

let directory: string;
let server: EmbeddedRedis;
let queue: Queue;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'mailfleet-durable-'));
  server = await startEmbeddedRedis({ directory, socket: true });
  queue = await openQueue({ config: testConfig(directory), redisUrl: server.url });
});
afterEach(async () => {
  await queue.close();
  await server.stop();
  await rm(directory, { recursive: true, force: true });
});

async function killAndRestart(): Promise<void> {
  process.kill(server.pid, 'SIGKILL');
  await server.exited;
  server = await startEmbeddedRedis({ directory, socket: true });
}

test('an accepted message survives the sudden death of Redis', async () => {
  const ids = Array.from({ length: 50 }, (_, i) => `M${i}`);
  const accepted: string[] = [];
  let killed: Promise<void> | undefined;
  await Promise.all(
    ids.map(async (id) => {
      await queue.accept(newMessage(id));
      accepted.push(id);
      // In the middle of the others' accepts.
      if (accepted.length === 5) killed = killAndRestart();
    }),
  );
  await killed;
  // The rest was repeated by the connection: all are there, and none twice.
  expect(await queue.counts()).toMatchObject({ incoming: 50 });
  const messages = await queue.activate(await leaseOf(queue), 'incoming', 100, Date.now());
  expect(messages.map(({ envelope }) => envelope.queueId).sort()).toEqual([...ids].sort());
  expect(await queue.content(must(batchOf(messages).requests[49]))).toEqual(Buffer.from('hello'));
});

test('readers, scripts and workers go on when Redis is back', async () => {
  const drain = new AbortController();
  const working = queue.work({ sessions: 1, signal: drain.signal, name: 'worker' }, async () => ({
    returned: [],
  }));
  const reading = queue.readInbox(0, '0', 60_000);
  await killAndRestart();
  await queue.accept(newMessage('AFTER'));
  expect((await reading).map(({ kind }) => kind)).toEqual(['mail']);
  const messages = await queue.activate(await leaseOf(queue), 'incoming', 1, Date.now());
  await queue.addBatches([batchOf(messages)]);
  await inboxUntil(queue, 0, (entries) => entries.some(({ kind }) => kind === 'batch-end'));
  drain.abort();
  await working;
}, 30_000);

test('closing does not wait for a read that waits', async () => {
  const reading = queue.readInbox(0, '0', 60_000);
  await queue.counts();
  await queue.close();
  expect(await reading).toEqual([]);
  queue = await openQueue({ config: testConfig(directory), redisUrl: server.url });
});
