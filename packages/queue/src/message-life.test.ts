/** A message from accept to retirement, as intake, leader and worker see it. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Queue } from './open-queue.ts';
import { LeaseLostError } from './ports.ts';
import {
  activated,
  batchOf,
  inboxUntil,
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

/** Keys that belong to messages: not the lease, the fence and the (empty) inbox. */
async function messageKeys(): Promise<string[]> {
  const keys = await fixture.redis.keys('*');
  return keys.filter((key) => !/:(lease|fence|inbox|bull:.*)$/.test(key));
}

describe('accept', () => {
  test('stores a message once', async () => {
    expect(await queue.accept(newMessage('ONE'))).toBe('accepted');
    const before = await fixture.redis.hgetall('{mf0}:m:ONE');
    expect(
      await queue.accept(
        newMessage('ONE', ['b.example'], { content: { kind: 'inline', bytes: Buffer.from('x') } }),
      ),
    ).toBe('exists');
    expect(await fixture.redis.hgetall('{mf0}:m:ONE')).toEqual(before);
    expect(await fixture.redis.get('{mf0}:c:ONE')).toBe('ihello');
  });

  test('tells the leader once while incoming fills, and again after it was emptied', async () => {
    const lease = await leaseOf(queue);
    await queue.accept(newMessage('ONE'));
    await queue.accept(newMessage('TWO'));
    expect((await queue.readInbox(0, '0', 0)).map(({ kind }) => kind)).toEqual(['mail']);
    await queue.activate(lease, 'incoming', 10, Date.now());
    await queue.accept(newMessage('THREE'));
    expect((await queue.readInbox(0, '0', 0)).map(({ kind }) => kind)).toEqual(['mail', 'mail']);
  });

  test('a notice is due in deferred at once; the leader is told when it is the first there', async () => {
    const lease = await leaseOf(queue);
    await queue.accept(newMessage('ONE', ['a.example'], { notice: true }));
    await queue.accept(newMessage('TWO', ['a.example'], { notice: true }));
    expect(await queue.counts()).toMatchObject({ incoming: 0, deferred: 2 });
    expect(await queue.readInbox(0, '0', 0)).toMatchObject([{ kind: 'mail', deferred: true }]);
    const taken = await queue.activate(lease, 'deferred', 10, Date.now());
    expect(taken.map(({ envelope }) => envelope.queueId)).toEqual(['ONE', 'TWO']);
    await queue.conclude(lease, [{ kind: 'defer', queueId: 'ONE', dueMs: Date.now() + 60_000 }], undefined);
    await queue.accept(newMessage('THREE', ['a.example'], { notice: true }));
    expect(await queue.readInbox(0, '0', 0)).toHaveLength(2);
  });

  test('a reader that waits is woken by it', async () => {
    const reading = queue.readInbox(0, '0', 20_000);
    await queue.accept(newMessage('ONE'));
    expect((await reading).map(({ kind }) => kind)).toEqual(['mail']);
  });

  test('a remembered id is found after its message retired, another is not', async () => {
    const lease = await leaseOf(queue);
    await activated(
      queue,
      lease,
      newMessage('NOTICE', ['a.example'], { rememberMs: 60_000 }),
      newMessage('PLAIN'),
    );
    await queue.conclude(
      lease,
      [
        { kind: 'retire', queueId: 'NOTICE' },
        { kind: 'retire', queueId: 'PLAIN' },
      ],
      undefined,
    );
    expect(await queue.accept(newMessage('NOTICE'))).toBe('exists');
    expect(await queue.accept(newMessage('PLAIN'))).toBe('accepted');
  });

  test('hold keeps it from activation and wakes nobody', async () => {
    const lease = await leaseOf(queue);
    await queue.accept(newMessage('HELD', ['a.example'], { hold: true }));
    expect(await queue.activate(lease, 'incoming', 10, Date.now())).toEqual([]);
    expect(await queue.readInbox(0, '0', 0)).toEqual([]);
    expect(await queue.counts()).toEqual({ incoming: 0, active: 0, deferred: 0, hold: 1, corrupt: 0 });
  });

  test('an idempotency key keeps its first queue id until it ends', async () => {
    expect(await queue.claimIdempotencyKey('key', 'ONE', 60_000)).toBe('ONE');
    expect(await queue.claimIdempotencyKey('key', 'TWO', 60_000)).toBe('ONE');
    expect(await fixture.redis.pttl('{mf0}:k:key')).toBeGreaterThan(50_000);
  });
});

describe('the lease', () => {
  test('has one holder, who may renew it and give it back', async () => {
    const lease = await leaseOf(queue, 0, 'one');
    expect(await queue.acquireLease(0, 'two', 60_000)).toBeUndefined();
    expect(await queue.renewLease(lease, 'one', 60_000)).toBe(true);
    expect(await queue.acquireLease(0, 'one', 60_000)).toEqual(lease);
    await queue.releaseLease(lease, 'two');
    expect(await queue.acquireLease(0, 'two', 60_000)).toBeUndefined();
    await queue.releaseLease(lease, 'one');
    expect(await queue.acquireLease(0, 'two', 60_000)).toEqual({ shard: 0, fence: lease.fence + 1 });
    expect(await queue.renewLease(lease, 'one', 60_000)).toBe(false);
  });

  test('one that ran out comes back to its holder when nobody took it', async () => {
    const lease = await leaseOf(queue, 0, 'one');
    await fixture.redis.del('{mf0}:lease');
    expect(await queue.renewLease(lease, 'one', 60_000)).toBe(true);
    expect(await queue.acquireLease(0, 'two', 60_000)).toBeUndefined();
  });

  test('a former leader is refused and changes nothing', async () => {
    const old = await leaseOf(queue, 0, 'one');
    await queue.accept(newMessage('WAITS'));
    await activated(queue, old, newMessage('ACTIVE'));
    await queue.releaseLease(old, 'one');
    await leaseOf(queue, 0, 'two');
    const before = await queue.counts();
    const writes = [
      () => queue.activate(old, 'incoming', 1, Date.now()),
      () => queue.activePage(old, ''),
      () => queue.conclude(old, [{ kind: 'retire', queueId: 'ACTIVE' }], '1-0'),
      () => queue.conclude(old, [], undefined),
      () => queue.recordLocal(old, resultOf('ACTIVE', outcome(0, 'bounced'))),
      () => queue.finishFanout(old, 0),
    ];
    for (const write of writes) await expect(write()).rejects.toBeInstanceOf(LeaseLostError);
    expect(await queue.counts()).toEqual(before);
    expect(await fixture.redis.hget('{mf0}:m:ACTIVE', 'x0')).toBeNull();
  });
});

describe('activate', () => {
  test('takes at most as many as wanted, oldest first, with open recipients', async () => {
    const lease = await leaseOf(queue);
    for (const id of ['A', 'B', 'C']) await queue.accept(newMessage(id, ['a.example', 'b.example']));
    const nowMs = Date.now();
    const messages = await queue.activate(lease, 'incoming', 2, nowMs);
    expect(messages.map(({ envelope }) => envelope.queueId)).toEqual(['A', 'B']);
    expect(must(messages[0])).toMatchObject({
      recipientCount: 2,
      contentShard: 0,
      activatedMs: nowMs,
      pass: 0,
      warned: false,
      unreported: [],
      unreportedSuccess: [],
    });
    expect(must(messages[0]).recipients.map(({ address }) => address)).toEqual([
      'u0@a.example',
      'u1@b.example',
    ]);
    expect(await queue.counts()).toMatchObject({ incoming: 1, active: 2 });
  });

  test('more than one script call takes them all', async () => {
    const lease = await leaseOf(queue);
    await Promise.all(Array.from({ length: 1_203 }, (_, i) => queue.accept(newMessage(`M${i}`))));
    const messages = await queue.activate(lease, 'incoming', 1_200, Date.now());
    expect(new Set(messages.map(({ envelope }) => envelope.queueId)).size).toBe(1_200);
    const seen = new Set<string>();
    let cursor = '';
    do {
      const page = await queue.activePage(lease, cursor);
      for (const { envelope } of page.messages) seen.add(envelope.queueId);
      cursor = page.cursor;
    } while (cursor !== '');
    expect(seen.size).toBe(1_200);
  });

  test('an index entry without a record is dropped', async () => {
    const lease = await leaseOf(queue);
    await fixture.redis.zadd('{mf0}:incoming', 1, 'GHOST');
    await fixture.redis.zadd('{mf0}:active', 1, 'SPOOK');
    expect(await queue.activate(lease, 'incoming', 5, Date.now())).toEqual([]);
    expect((await queue.activePage(lease, '')).messages).toEqual([]);
    expect(await queue.counts()).toMatchObject({ incoming: 0, active: 0 });
  });
});

describe('conclude', () => {
  test('retire leaves nothing but the timeline, for its time', async () => {
    const lease = await leaseOf(queue);
    const messages = await activated(queue, lease, newMessage('DONE'));
    const batch = batchOf(messages);
    queue.markInDoubt(batch, 'DONE', [0]);
    await queue.record(batch, resultOf('DONE', outcome(0, 'delivered')));
    const entries = await queue.readInbox(0, '0', 0);
    await queue.conclude(lease, [{ kind: 'retire', queueId: 'DONE' }], must(entries.at(-1)).id);
    expect(await messageKeys()).toEqual(['{mf0}:t:DONE']);
    expect(await fixture.redis.pttl('{mf0}:t:DONE')).toBeGreaterThan(3_500_000);
    expect(await queue.readInbox(0, '0', 0)).toEqual([]);
    expect(must(await queue.find('DONE')).timeline.map(({ kind }) => kind)).toEqual(['accepted', 'attempt']);
    await fixture.redis.del('{mf0}:t:DONE');
    expect(await queue.find('DONE')).toBeUndefined();
  });

  test('without timelines retire leaves nothing at all', async () => {
    const bare = await fixture.open({ message_timeline_time: '0' });
    const lease = await leaseOf(bare);
    const messages = await activated(bare, lease, newMessage('DONE'));
    await bare.record(batchOf(messages), resultOf('DONE', outcome(0, 'delivered')));
    await bare.conclude(lease, [{ kind: 'retire', queueId: 'DONE' }], undefined);
    expect(await messageKeys()).toEqual([]);
  });

  test('defer brings the message back when it is due, with the next pass', async () => {
    const lease = await leaseOf(queue);
    await activated(queue, lease, newMessage('LATER'));
    await queue.conclude(lease, [{ kind: 'defer', queueId: 'LATER', dueMs: 5_000 }], undefined);
    expect(await queue.nextDueMs(0)).toBe(5_000);
    expect(await queue.activate(lease, 'deferred', 10, 4_999)).toEqual([]);
    const again = await queue.activate(lease, 'deferred', 10, 5_000);
    expect(again).toMatchObject([{ pass: 1, envelope: { queueId: 'LATER' } }]);
    expect(await queue.nextDueMs(0)).toBeUndefined();
  });

  test('requeue brings it back at once', async () => {
    const lease = await leaseOf(queue);
    await activated(queue, lease, newMessage('AGAIN'));
    await queue.conclude(lease, [{ kind: 'requeue', queueId: 'AGAIN' }], undefined);
    expect(await queue.activate(lease, 'incoming', 10, Date.now())).toMatchObject([{ pass: 1 }]);
  });

  test('touches only what is in active, so that repeating it changes nothing', async () => {
    const lease = await leaseOf(queue);
    await activated(queue, lease, newMessage('ONE'));
    const defer = [{ kind: 'defer', queueId: 'ONE', dueMs: 5_000 }] as const;
    await queue.conclude(lease, defer, undefined);
    await queue.conclude(lease, [{ kind: 'retire', queueId: 'ONE' }], undefined);
    await queue.conclude(lease, [{ kind: 'defer', queueId: 'ONE', dueMs: 9_000 }], undefined);
    expect(await queue.nextDueMs(0)).toBe(5_000);
    expect(await fixture.redis.hget('{mf0}:m:ONE', 'p')).toBe('1');
  });

  test('removes inbox entries through the one named and keeps later ones', async () => {
    const lease = await leaseOf(queue);
    await queue.flushAll();
    await queue.flushAll();
    const [first, second] = await queue.readInbox(0, '0', 0);
    await queue.conclude(lease, [], must(first).id);
    expect(await queue.readInbox(0, '0', 0)).toEqual([second]);
  });

  test('many conclusions are applied all', async () => {
    const lease = await leaseOf(queue);
    await Promise.all(Array.from({ length: 1_100 }, (_, i) => queue.accept(newMessage(`M${i}`))));
    const messages = await queue.activate(lease, 'incoming', 1_100, Date.now());
    await queue.conclude(
      lease,
      messages.map(({ envelope }) => ({ kind: 'retire', queueId: envelope.queueId })),
      undefined,
    );
    expect(await queue.counts()).toEqual({ incoming: 0, active: 0, deferred: 0, hold: 0, corrupt: 0 });
    expect(await fixture.redis.exists('{mf0}:expiry')).toBe(0);
  });
});

describe('record', () => {
  test('marks final recipients, keeps other outcomes, tells the leader', async () => {
    const lease = await leaseOf(queue);
    const nexthops = ['a.example', 'a.example', 'a.example'];
    const messages = await activated(queue, lease, newMessage('MIX', nexthops));
    const hopStatus = { status: '4.4.2', reason: 'lost connection' };
    await queue.record(batchOf(messages), {
      ...resultOf(
        'MIX',
        outcome(0, 'delivered'),
        outcome(1, 'bounced'),
        outcome(2, 'deferred', 'greylisted'),
      ),
      hopStatus,
    });
    const [entry] = await inboxUntil(queue, 0, (entries) =>
      entries.some(({ kind }) => kind === 'result'),
    ).then((entries) => entries.filter(({ kind }) => kind === 'result'));
    expect(entry).toMatchObject({
      batchId: 'batch-1',
      queueId: 'MIX',
      reason: 'greylisted',
      hopStatus,
      outcomes: [
        { recipient: 0, kind: 'delivered' },
        { recipient: 1, kind: 'bounced' },
        { recipient: 2, kind: 'deferred' },
      ],
    });
    const { messages: seen } = await queue.activePage(lease, '');
    expect(must(seen[0]).recipients.map(({ index }) => index)).toEqual([2]);
    expect(must(seen[0])).toMatchObject({ recipientCount: 3, unreported: [1] });
  });

  test('twice changes nothing, and the second is told what the first recorded', async () => {
    const lease = await leaseOf(queue);
    const batch = batchOf(await activated(queue, lease, newMessage('TWICE')));
    const first = resultOf('TWICE', outcome(0, 'bounced', 'no such user'));
    expect(await queue.record(batch, first)).toEqual({ duplicates: 0 });
    const before = await fixture.redis.hgetall('{mf0}:m:TWICE');
    expect(await queue.record(batch, first)).toEqual({ duplicates: 1 });
    expect(await queue.record(batch, resultOf('TWICE', outcome(0, 'delivered')))).toEqual({ duplicates: 1 });
    expect(await fixture.redis.hgetall('{mf0}:m:TWICE')).toEqual(before);
    const results = (await queue.readInbox(0, '0', 0)).filter((entry) => entry.kind === 'result');
    expect(results.map(({ outcomes }) => outcomes)).toEqual(
      Array(3).fill([{ recipient: 0, kind: 'bounced' }]),
    );
    // The exact repeat is one attempt; the other worker's is another.
    expect(must(await queue.find('TWICE')).timeline.map(({ kind }) => kind)).toEqual([
      'accepted',
      'attempt',
      'attempt',
    ]);
  });

  test('after retirement brings nothing back, but ends the request for the leader', async () => {
    const lease = await leaseOf(queue);
    const batch = batchOf(await activated(queue, lease, newMessage('GONE')));
    await queue.conclude(lease, [{ kind: 'retire', queueId: 'GONE' }], undefined);
    queue.markInDoubt(batch, 'GONE', [0]);
    expect(await queue.record(batch, resultOf('GONE', outcome(0, 'delivered')))).toEqual({ duplicates: 1 });
    expect(await messageKeys()).toEqual(['{mf0}:t:GONE']);
    expect(await fixture.redis.pttl('{mf0}:t:GONE')).toBeGreaterThan(0);
    expect((await queue.readInbox(0, '0', 0)).at(-1)).toMatchObject({ kind: 'result', queueId: 'GONE' });
  });

  test('the in-doubt mark shows until the outcome is recorded', async () => {
    const lease = await leaseOf(queue);
    const batch = batchOf(await activated(queue, lease, newMessage('DOUBT', ['a.example', 'a.example'])));
    const request = must(batch.requests[0]);
    expect(await queue.openRecipients(batch, request)).toEqual({ open: [0, 1], inDoubt: false });
    queue.markInDoubt(batch, 'DOUBT', [0, 1]);
    await queue.record(batch, resultOf('DOUBT', outcome(0, 'delivered')));
    expect(await queue.openRecipients(batch, request)).toEqual({ open: [1], inDoubt: true });
    await queue.record(batch, resultOf('DOUBT', outcome(1, 'deferred')));
    expect(await queue.openRecipients(batch, request)).toEqual({ open: [1], inDoubt: false });
  });

  test('what the leader itself records is not told to itself', async () => {
    const lease = await leaseOf(queue);
    await activated(queue, lease, newMessage('DEAD'));
    await queue.recordLocal(
      lease,
      resultOf('DEAD', outcome(0, 'deferred', 'delivery temporarily suspended')),
    );
    expect((await queue.readInbox(0, '0', 0)).map(({ kind }) => kind)).toEqual(['mail']);
    expect(must(must(await queue.find('DEAD')).listing).recipients).toMatchObject([
      { delayReason: 'delivery temporarily suspended' },
    ]);
  });
});
