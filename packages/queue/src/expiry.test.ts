/** The expiry index: what the leader finds there, wherever the message is, and what becomes of it. */
import type { Envelope } from '@mailfleet/smtp';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Queue } from './open-queue.ts';
import { LeaseLostError } from './ports.ts';
import {
  activated,
  batchOf,
  leaseOf,
  must,
  newMessage,
  outcome,
  resultOf,
  startTestRedis,
  type TestRedis,
} from './queue.fixture.ts';

const LIFETIME_MS = 5 * 86_400_000;
let fixture: TestRedis;
let queue: Queue;
beforeAll(async () => {
  fixture = await startTestRedis();
  queue = await fixture.open();
});
afterAll(() => fixture.stop());
beforeEach(() => fixture.redis.flushall());

const endOf = ({ createdMs }: Envelope): number => createdMs + LIFETIME_MS;
const old = (queueId: string) => newMessage(queueId, ['a.example'], { envelope: { createdMs: 1_000 } });

test('it names each message whose lifetime ended, wherever it is', async () => {
  const lease = await leaseOf(queue);
  await activated(queue, lease, old('ACTIVE'), old('LATER'));
  await queue.conclude(lease, [{ kind: 'defer', queueId: 'LATER', dueMs: Date.now() + 1e9 }], undefined);
  await queue.accept(old('NEW'));
  await queue.accept({ ...old('HELD'), hold: true });
  await queue.accept(newMessage('YOUNG'));
  expect(await queue.nextExpiryMs(0)).toBe(1_000 + LIFETIME_MS);

  const nowMs = Date.now();
  const found = await queue.takeExpired(lease, 10, nowMs, endOf);
  expect(found.taken.map(({ envelope }) => envelope.queueId).sort()).toEqual(['LATER', 'NEW']);
  expect(found).toMatchObject({ active: ['ACTIVE'], held: ['HELD'], looked: 4 });
  expect(await queue.counts()).toEqual({ incoming: 1, active: 3, deferred: 0, hold: 1, corrupt: 0 });
  // Nothing is named twice in a row; what is in active is looked at again.
  expect(await queue.takeExpired(lease, 10, nowMs, endOf)).toMatchObject({ looked: 0 });
  expect(must(await queue.nextExpiryMs(0))).toBeGreaterThan(nowMs);
  const again = await queue.takeExpired(lease, 10, nowMs + 3_600_000, endOf);
  expect(again.active.toSorted()).toEqual(['ACTIVE', 'LATER', 'NEW']);

  // A release brings what was held back into the index.
  await queue.command({ kind: 'release' }, ['HELD']);
  const released = await queue.takeExpired(lease, 10, Date.now(), endOf);
  expect(released.taken.map(({ envelope }) => envelope.queueId)).toEqual(['HELD']);
});

test('the leader decides when a lifetime ends, the index only says when to look', async () => {
  const lease = await leaseOf(queue);
  await queue.accept(old('LONGER'));
  await queue.accept(old('ONCE'));
  const nowMs = Date.now();
  const found = await queue.takeExpired(lease, 10, nowMs, ({ queueId }) =>
    queueId === 'ONCE' ? Infinity : nowMs + 500,
  );
  expect(found).toEqual({ taken: [], active: [], held: [], looked: 2 });
  expect(await queue.nextExpiryMs(0)).toBe(nowMs + 500);
  expect(await queue.takeExpired(lease, 10, nowMs + 500, () => 0)).toMatchObject({ looked: 1 });
  await fixture.redis.zrem('{mf0}:expiry', 'LONGER');
  expect(await queue.nextExpiryMs(0)).toBeUndefined();
});

test('it looks at no more than asked for, forgets what is gone, and refuses a former leader', async () => {
  const lease = await leaseOf(queue);
  for (let i = 0; i < 5; i += 1) await queue.accept(old(`M${i}`));
  await fixture.redis.zadd('{mf0}:expiry', 1, 'GONE');
  const first = await queue.takeExpired(lease, 3, Date.now(), endOf);
  expect([first.looked, first.taken.length]).toEqual([3, 2]);
  expect(await fixture.redis.zscore('{mf0}:expiry', 'GONE')).toBeNull();
  await queue.releaseLease(lease, 'leader');
  await leaseOf(queue, 0, 'other');
  await expect(queue.takeExpired(lease, 3, Date.now(), endOf)).rejects.toThrow(LeaseLostError);
});

test('a recipient that was tried keeps its outcome, one that was not gets that of the expiry', async () => {
  const lease = await leaseOf(queue);
  const batch = batchOf(await activated(queue, lease, newMessage('MSG', ['a.example', 'a.example'])));
  await queue.record(batch, resultOf('MSG', outcome(0, 'deferred', 'mailbox full')));
  const expired = [outcome(0, 'deferred', 'too late'), outcome(1, 'deferred', 'too late')];
  await queue.recordLocal(lease, { ...resultOf('MSG', ...expired), onlyUntried: true });
  const request = { shard: 0, queueId: 'MSG', pass: 0, notice: 'expiry', term: 't' } as const;
  const { entries } = must(await queue.noticeMaterial(request));
  expect(entries.map((entry) => entry.outcome.reason)).toEqual(['mailbox full', 'too late']);
});

test('a batch that waits is taken back, one that a worker has is not', async () => {
  const lease = await leaseOf(queue);
  const messages = await activated(queue, lease, newMessage('A'), newMessage('B'));
  const [a, b] = messages.map((message, i) => batchOf([message], `batch-${i}`));
  await queue.addBatches([must(a)]);
  const drain = new AbortController();
  let recalled: readonly string[] = [];
  const working = queue.work({ sessions: 1, signal: drain.signal, name: 'w' }, async ({ batch }) => {
    if (batch.id === 'batch-0') {
      await queue.addBatches([must(b)]);
      recalled = await queue.recallBatches(0, ['batch-0', 'batch-1']);
      drain.abort();
    }
    return { returned: [] };
  });
  await working;
  expect(recalled).toEqual(['batch-1']);
  expect(await queue.outstandingBatches(0)).toEqual([]);
  expect(await queue.recallBatches(0, ['batch-0', 'batch-1'])).toEqual([]);
});
