/** What operators see and do. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Queue } from './open-queue.ts';
import type { QueueListing } from './ports.ts';
import {
  activated,
  batchOf,
  leaseOf,
  must,
  newMessage,
  nexthopOn,
  outcome,
  resultOf,
  startTestRedis,
  type TestRedis,
} from './queue.fixture.ts';

let fixture: TestRedis;
let queue: Queue;
beforeAll(async () => {
  fixture = await startTestRedis();
  queue = await fixture.open({ scheduler_shards: '2' });
});
afterAll(() => fixture.stop());
beforeEach(() => fixture.redis.flushall());

const shard0 = nexthopOn(0, 2);
const shard1 = nexthopOn(1, 2);

async function listAll(
  limit: number,
  queues?: readonly ('incoming' | 'deferred' | 'hold')[],
): Promise<QueueListing[]> {
  const all: QueueListing[] = [];
  let cursor: string | undefined;
  do {
    const page = await queue.list({
      limit,
      ...(queues === undefined ? {} : { queues }),
      ...(cursor === undefined ? {} : { cursor }),
    });
    expect(page.messages.length).toBeLessThanOrEqual(limit);
    all.push(...page.messages);
    cursor = page.cursor;
  } while (cursor !== undefined);
  return all;
}

test('a listing shows every message of every shard and queue once, page by page', async () => {
  const lease = await leaseOf(queue);
  await activated(queue, lease, newMessage('ACTIVE', [shard0]));
  await activated(queue, lease, newMessage('LATER', [shard0]));
  await queue.conclude(lease, [{ kind: 'defer', queueId: 'LATER', dueMs: 5_000 }], undefined);
  await queue.accept(newMessage('HELD', [shard1], { hold: true }));
  for (let i = 0; i < 7; i += 1) await queue.accept(newMessage(`IN${i}`, [i % 2 === 0 ? shard0 : shard1]));
  const ids = ['ACTIVE', 'HELD', 'IN0', 'IN1', 'IN2', 'IN3', 'IN4', 'IN5', 'IN6', 'LATER'];
  for (const limit of [1, 3, 100]) {
    const all = await listAll(limit);
    expect(all.map(({ envelope }) => envelope.queueId).sort()).toEqual(ids);
    expect(all.find(({ queue: name }) => name === 'deferred')).toMatchObject({ dueMs: 5_000 });
  }
  expect((await listAll(3, ['hold'])).map(({ envelope }) => envelope.queueId)).toEqual(['HELD']);
  expect(await queue.counts()).toEqual({ active: 1, incoming: 7, deferred: 1, hold: 1 });
});

test('a listing skips nothing that stays while messages leave under it', async () => {
  for (let i = 0; i < 6; i += 1) await queue.accept(newMessage(`IN${i}`, [shard0]));
  const first = await queue.list({ limit: 3 });
  const lease = await leaseOf(queue);
  await queue.activate(lease, 'incoming', 2, Date.now());
  const rest = await queue.list({ queues: ['incoming'], limit: 10 });
  const after = await queue.list({ limit: 10, cursor: must(first.cursor) });
  const seen = new Set([...first.messages, ...after.messages].map(({ envelope }) => envelope.queueId));
  for (const { envelope } of rest.messages) expect(seen).toContain(envelope.queueId);
});

test('find shows open recipients of all shards with their reasons, and the timeline', async () => {
  const lease = await leaseOf(queue);
  const batch = batchOf(await activated(queue, lease, newMessage('MSG', [shard0, shard1, shard0])));
  await queue.record(batch, resultOf('MSG', outcome(0, 'delivered'), outcome(2, 'deferred', 'try later')));
  const view = must(await queue.find('MSG'));
  expect(must(view.listing).recipients).toEqual([
    { address: `u2@${shard0}`, transport: 'smtp', nexthop: shard0, delayReason: 'try later' },
    { address: `u1@${shard1}`, transport: 'smtp', nexthop: shard1 },
  ]);
  expect(view.timeline.map(({ kind }) => kind)).toEqual(['accepted', 'attempt']);
  expect(await queue.find('NONE')).toBeUndefined();
});

test('flush makes deferred mail due on every shard and tells the leaders', async () => {
  for (const [shard, nexthop] of [shard0, shard1].entries()) {
    const lease = await leaseOf(queue, shard);
    await activated(queue, lease, newMessage(`D${shard}`, [nexthop]));
    await queue.conclude(
      lease,
      [{ kind: 'defer', queueId: `D${shard}`, dueMs: Date.now() + 1e6 }],
      undefined,
    );
  }
  await queue.flush('D0');
  expect(must(await queue.nextDueMs(0))).toBeLessThanOrEqual(Date.now());
  expect(must(await queue.nextDueMs(1))).toBeGreaterThan(Date.now());
  await queue.flush();
  expect(must(await queue.nextDueMs(1))).toBeLessThanOrEqual(Date.now());
  expect((await queue.readInbox(0, '0', 0)).filter(({ kind }) => kind === 'command')).toMatchObject([
    { command: 'flush', queueId: 'D0' },
    { command: 'flush' },
  ]);
});

test('hold and release move a waiting message and wake the leader', async () => {
  await queue.accept(newMessage('MSG', [shard1]));
  expect(await queue.hold('MSG')).toBe(true);
  expect(await queue.hold('MSG')).toBe(false);
  expect(await queue.counts()).toMatchObject({ incoming: 0, hold: 1 });
  expect(await queue.release('MSG')).toBe(true);
  expect(await queue.release('MSG')).toBe(false);
  expect(await queue.counts()).toMatchObject({ incoming: 1, hold: 0 });
  expect((await queue.readInbox(1, '0', 0)).at(-1)).toMatchObject({ command: 'release', queueId: 'MSG' });
  expect([await queue.hold('NONE'), await queue.release('NONE'), await queue.remove('NONE')]).toEqual([
    false,
    false,
    false,
  ]);
});

test('hold of an active message takes effect when its pass ends, unless it is released before', async () => {
  const lease = await leaseOf(queue);
  await activated(queue, lease, newMessage('HELD', [shard0]), newMessage('FREED', [shard0]));
  await queue.hold('HELD');
  await queue.hold('FREED');
  expect(await queue.release('FREED')).toBe(true);
  await queue.conclude(
    lease,
    ['HELD', 'FREED'].map((queueId) => ({ kind: 'defer', queueId, dueMs: 5_000 }) as const),
    undefined,
  );
  expect(await queue.counts()).toEqual({ incoming: 0, active: 0, deferred: 1, hold: 1 });
});

test('remove deletes every part and the content, wherever the message is', async () => {
  const lease = await leaseOf(queue);
  const batch = batchOf(await activated(queue, lease, newMessage('MSG', [shard0, shard1])));
  expect(await queue.remove('MSG')).toBe(true);
  expect(await queue.counts()).toEqual({ incoming: 0, active: 0, deferred: 0, hold: 0 });
  expect(await queue.content(must(batch.requests[0]))).toBeUndefined();
  expect(await fixture.redis.keys('*:[mcpf]:MSG')).toEqual([]);
  // The pass that was going on concludes a message that is no more.
  await queue.record(batch, resultOf('MSG', outcome(0, 'deferred')));
  await queue.conclude(lease, [{ kind: 'defer', queueId: 'MSG', dueMs: 5_000 }], undefined);
  expect(await queue.counts()).toEqual({ incoming: 0, active: 0, deferred: 0, hold: 0 });
  expect(await queue.remove('MSG')).toBe(false);
});
