/** Messages that cannot be read stand in the corrupt queue, whole, until an operator decides, and stop nobody else. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Queue } from './open-queue.ts';
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

let fixture: TestRedis;
let queue: Queue;
beforeAll(async () => {
  fixture = await startTestRedis();
  queue = await fixture.open();
});
afterAll(() => fixture.stop());
beforeEach(() => fixture.redis.flushall());

const allCounts = { incoming: 0, active: 0, deferred: 0, hold: 0, corrupt: 0 };

test('a message that a worker could not read goes there at the end of its pass, with its content and its reason', async () => {
  const lease = await leaseOf(queue);
  const messages = await activated(queue, lease, newMessage('BAD'), newMessage('GOOD'));
  await queue.record(batchOf(messages), {
    ...resultOf('BAD', outcome(0, 'deferred', 'unreadable mail queue entry')),
    corruption: 'its content is gone',
  });
  for (const queueId of ['BAD', 'GOOD']) {
    await queue.conclude(lease, [{ kind: 'defer', queueId, dueMs: Date.now() }], undefined);
  }
  expect(await queue.counts()).toEqual({ ...allCounts, deferred: 1, corrupt: 1 });
  const { messages: listed } = await queue.list({ queues: ['corrupt'], limit: 10 });
  expect(listed).toMatchObject([
    { queue: 'corrupt', envelope: { queueId: 'BAD' }, corruption: 'its content is gone' },
  ]);
  expect(await queue.content({ ...must(messages[0]), recipients: [] })).toEqual(Buffer.from('hello'));
  // Its lifetime does not end there.
  const later = Date.now() + 1e9;
  const { taken, active } = await queue.takeExpired(lease, 10, later, () => 0);
  expect(taken.map(({ envelope }) => envelope.queueId)).toEqual(['GOOD']);
  expect(active).toEqual([]);
});

test('a released one is tried again, and expires again; a deleted one goes', async () => {
  const lease = await leaseOf(queue);
  const messages = await activated(queue, lease, newMessage('A'), newMessage('B'));
  for (const queueId of ['A', 'B']) {
    const result = resultOf(queueId, outcome(0, 'deferred'));
    await queue.record(batchOf(messages), { ...result, corruption: 'its content is gone' });
    await queue.conclude(lease, [{ kind: 'defer', queueId, dueMs: Date.now() }], undefined);
  }
  const dry = await queue.commandWhere({ kind: 'release' }, { limit: 10, dryRun: true });
  expect(dry.touched).toHaveLength(2);
  await queue.command({ kind: 'release' }, ['A']);
  await queue.command({ kind: 'delete' }, ['B']);
  expect(await queue.counts()).toEqual({ ...allCounts, deferred: 1 });
  const [again] = await queue.activate(lease, 'deferred', 10, Date.now() + 1);
  expect(again?.envelope.queueId).toBe('A');
  await queue.conclude(lease, [{ kind: 'defer', queueId: 'A', dueMs: Date.now() }], undefined);
  expect(await queue.counts()).toEqual({ ...allCounts, deferred: 1 });
  const { taken } = await queue.takeExpired(lease, 10, Date.now() + 1e9, () => 0);
  expect(taken.map(({ envelope }) => envelope.queueId)).toEqual(['A']);
});

test.each(['activate', 'recover', 'expire'] as const)(
  'a damaged record stops neither the leader nor the others: %s',
  async (when) => {
    const lease = await leaseOf(queue);
    const ids = ['Q1', 'Q2', 'Q3'];
    for (const queueId of ids) await queue.accept(newMessage(queueId));
    if (when === 'recover') await queue.activate(lease, 'incoming', 10, Date.now());
    await fixture.redis.hset('{mf0}:m:Q2', 'e', '{"envelope":{"queueId":"Q2"');
    const seen =
      when === 'activate'
        ? await queue.activate(lease, 'incoming', 10, Date.now())
        : when === 'recover'
          ? (await queue.activePage(lease, '')).messages
          : (await queue.takeExpired(lease, 10, Date.now() + 1e9, () => 0)).taken;
    expect(seen.map(({ envelope }) => envelope.queueId).sort()).toEqual(['Q1', 'Q3']);
    expect(await queue.counts()).toEqual({ ...allCounts, active: 2, corrupt: 1 });
    const [damaged] = (await queue.list({ queues: ['corrupt'], limit: 10 })).messages;
    expect(damaged).toMatchObject({ envelope: { queueId: 'Q2' }, recipients: [] });
    expect(damaged?.corruption).toMatch(/^its record cannot be read: /);
    expect((await queue.find('Q2'))?.timeline.at(-1)).toMatchObject({ step: 'corrupt' });
    expect(await fixture.redis.hget('{mf0}:m:Q2', 'e')).toBe('{"envelope":{"queueId":"Q2"');
    await queue.command({ kind: 'delete' }, ['Q2']);
    expect((await queue.counts()).corrupt).toBe(0);
  },
);
