/** Long lists of recipients: read in pages by the leader, the bounce daemon and listings; final ones are left out. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { keysOf } from './keys.ts';
import type { Queue } from './open-queue.ts';
import type { Lease } from './ports.ts';
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

const COUNT = 1_730;

let fixture: TestRedis;
let queue: Queue;
beforeAll(async () => {
  fixture = await startTestRedis();
  queue = await fixture.open();
});
afterAll(() => fixture.stop());
beforeEach(() => fixture.redis.flushall());

const longList = (count = COUNT): string[] => Array.from({ length: count }, () => 'a.example');

/** All open recipients in reads of `count`, each checked to go on where the last one ended. */
async function readAll(shard: number, queueId: string, count: number, of = queue): Promise<number[]> {
  const indexes: number[] = [];
  let unread = Number.POSITIVE_INFINITY;
  for (let after = -1; unread > 0; ) {
    const page = await of.readRecipients(shard, queueId, after, count);
    expect(page.recipients.length).toBeLessThanOrEqual(count);
    expect(page.unread).toBeLessThan(unread);
    indexes.push(...page.recipients.map(({ index }) => index));
    ({ after, unread } = page);
  }
  return indexes;
}

/** Final states as outcomes leave them; 'f' is none. */
async function settle(lease: Lease, queueId: string, kinds: Record<number, 'delivered' | 'bounced'>) {
  const outcomes = Object.entries(kinds).map(([index, kind]) => outcome(Number(index), kind));
  await queue.recordLocal(lease, resultOf(queueId, ...outcomes));
}

test('an ordinary list comes with its message, a long one is read in pages of any size', async () => {
  const lease = await leaseOf(queue);
  const [short, long] = await activated(
    queue,
    lease,
    newMessage('SHORT', longList(500)),
    newMessage('LONG', longList()),
  );
  expect(must(short)).toMatchObject({ unread: 0, recipientCount: 500 });
  expect(must(short).recipients).toHaveLength(500);
  expect(must(long)).toMatchObject({ recipients: [], unread: COUNT, recipientCount: COUNT });

  const all = Array.from({ length: COUNT }, (_, index) => index);
  for (const count of [1_000, 333, 500, 5_000]) expect(await readAll(0, 'LONG', count)).toEqual(all);
  expect(await readAll(0, 'SHORT', 400)).toEqual(all.slice(0, 500));
});

test('final recipients are left out, and those whose notice is due are told', async () => {
  const lease = await leaseOf(queue);
  await activated(queue, lease, newMessage('LONG', longList()));
  const delivered = Object.fromEntries(
    Array.from({ length: 1_200 }, (_, index) => [index, 'delivered' as const]),
  );
  await settle(lease, 'LONG', { ...delivered, 1300: 'bounced' });
  const page = await queue.readRecipients(0, 'LONG', 1_250, 100);
  expect(page.recipients[0]?.index).toBe(1_251);
  expect(page.unreported).toEqual([1_300]);
  const open = await readAll(0, 'LONG', 250);
  expect(open).toHaveLength(COUNT - 1_201);
  expect(open[0]).toBe(1_200);

  const [view] = (await queue.activePage(lease, '')).messages;
  expect(must(view)).toMatchObject({ recipients: [], unread: COUNT, unreported: [] });
});

test('a message that is gone has no recipients', async () => {
  expect(await queue.readRecipients(0, 'NONE', -1, 10)).toMatchObject({ recipients: [], unread: 0 });
});

test('a notice covers all pages', async () => {
  const lease = await leaseOf(queue);
  await activated(queue, lease, newMessage('LONG', longList()));
  await settle(lease, 'LONG', { 3: 'bounced', 999: 'bounced', 1729: 'bounced', 1000: 'delivered' });
  const request = { shard: 0, queueId: 'LONG', pass: 0, notice: 'failure' as const, term: 't' };
  const reported = must(await queue.noticeMaterial(request)).entries.map(({ recipient }) => recipient.index);
  expect(reported).toEqual([3, 999, 1_729]);
  await queue.noticePosted(request, { atMs: 1, step: 'notified' }, reported);
  expect(must(await queue.noticeMaterial(request)).entries).toEqual([]);
  expect(await readAll(0, 'LONG', 1_000)).toHaveLength(COUNT - 4);
});

test('a listing shows a page and says how many more there are', async () => {
  const lease = await leaseOf(queue);
  await activated(queue, lease, newMessage('LONG', longList()));
  const delivered = Object.fromEntries(
    Array.from({ length: 600 }, (_, index) => [index, 'delivered' as const]),
  );
  await settle(lease, 'LONG', delivered);
  await queue.recordLocal(lease, resultOf('LONG', outcome(700, 'deferred', 'full')));
  for (const listing of [
    must((await queue.list({ limit: 10 })).messages[0]),
    must(must(await queue.find('LONG')).listing),
  ]) {
    expect(listing.recipients[0]).toMatchObject({ address: 'u600@a.example' });
    expect(listing.recipients.find(({ delayReason }) => delayReason !== undefined)).toMatchObject({
      address: 'u700@a.example',
      delayReason: 'full',
    });
    expect(listing.recipients.length + (listing.unlisted ?? 0)).toBe(COUNT - 600);
  }
});

test('each shard has the pages of its own recipients, and they leave with the message', async () => {
  const sharded = await fixture.open({ scheduler_shards: '2' });
  const nexthops = Array.from({ length: 2_100 }, (_, index) => nexthopOn(index % 3 === 0 ? 0 : 1, 2));
  await sharded.accept(newMessage('BOTH', nexthops));
  for (const [shard, count] of [
    [0, 700],
    [1, 1_400],
  ] as const) {
    const lease = await leaseOf(sharded, shard);
    const [message] = await sharded.activate(lease, 'incoming', 10, Date.now());
    expect(must(message)).toMatchObject({ unread: count, contentShard: 0 });
    for (const size of [5_000, 500, 70]) {
      const indexes = await readAll(shard, 'BOTH', size, sharded);
      expect(indexes).toHaveLength(count);
      expect(new Set(indexes.map((index) => index % 3 === 0))).toEqual(new Set([shard === 0]));
    }
    await sharded.conclude(lease, [{ kind: 'retire', queueId: 'BOTH' }], undefined);
    expect(await fixture.redis.exists(keysOf(shard).message('BOTH'))).toBe(0);
  }
  expect(await fixture.redis.exists(keysOf(0).content('BOTH'))).toBe(0);
});

test('a worker sees which recipients of a long list are open', async () => {
  const lease = await leaseOf(queue);
  const [message] = await activated(queue, lease, newMessage('LONG', longList()));
  const { recipients } = await queue.readRecipients(0, 'LONG', 1_000, 3);
  await settle(lease, 'LONG', { 1002: 'delivered' });
  const batch = batchOf([{ ...must(message), recipients }]);
  expect(await queue.openRecipients(batch, must(batch.requests[0]))).toEqual({
    open: [1_001, 1_003],
    inDoubt: false,
  });
});

test('a selector finds a recipient anywhere in a long list; a requeue takes all that is open', async () => {
  const lease = await leaseOf(queue);
  const [active] = await activated(queue, lease, newMessage('LONG', longList()));
  await settle(lease, 'LONG', { 0: 'delivered', 1600: 'delivered' });
  await queue.conclude(lease, [{ kind: 'defer', queueId: 'LONG', dueMs: 1 }], undefined);
  const found = async (recipient: string): Promise<string[]> => {
    const { messages } = await queue.list({ where: { recipient }, limit: 10 });
    return messages.map(({ envelope }) => envelope.queueId);
  };
  expect(await found('u1700@a.example')).toEqual(['LONG']);
  expect(await found('u1600@a.example')).toEqual([]);
  expect(await found('nobody@a.example')).toEqual([]);

  const route = async (address: string) => ({ address, transport: 'smtp', nexthop: 'b.example' });
  const { touched, refused } = await queue.command({ kind: 'requeue', route }, ['LONG']);
  expect([touched.length, refused]).toEqual([1, []]);
  const [again] = await queue.activate(lease, 'incoming', 10, Date.now());
  expect(must(again).envelope).toMatchObject({ sender: must(active).envelope.sender });
  expect(must(again).unread).toBe(COUNT - 2);
});
