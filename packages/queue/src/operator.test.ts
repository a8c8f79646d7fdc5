/** What operators see and do. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Queue } from './open-queue.ts';
import type { OperatorCommand, QueueListing } from './operator-ports.ts';
import type { Lease, NewMessage } from './ports.ts';
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
import { shardOf } from './shard.ts';

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
  expect(await queue.counts()).toEqual({ active: 1, incoming: 7, deferred: 1, hold: 1, corrupt: 0 });
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

/** A command on messages by id: what it touched. */
async function does(kind: SimpleKind, ...queueIds: string[]): Promise<string[]> {
  const { touched } = await queue.command({ kind }, queueIds);
  return touched.map(({ queueId }) => queueId);
}
type SimpleKind = Exclude<OperatorCommand['kind'], 'requeue'>;

/** A selector's command, page by page: queue ids touched. */
async function doesWhere(
  command: OperatorCommand,
  options: Partial<Parameters<Queue['commandWhere']>[1]> = {},
): Promise<string[]> {
  const ids: string[] = [];
  let cursor: string | undefined;
  for (let pages = 0; ; pages += 1) {
    if (pages > 100) throw new Error('the walk does not end');
    const page = await queue.commandWhere(command, {
      limit: 2,
      ...options,
      ...(cursor === undefined ? {} : { cursor }),
    });
    ids.push(...page.touched.map(({ queueId }) => queueId));
    cursor = page.cursor;
    if (cursor === undefined) return ids.sort();
  }
}

async function deferred(lease: Lease, dueMs: number, ...messages: readonly NewMessage[]): Promise<void> {
  await activated(queue, lease, ...messages);
  const conclusions = messages.map(
    ({ envelope }) => ({ kind: 'defer', queueId: envelope.queueId, dueMs }) as const,
  );
  await queue.conclude(lease, conclusions, undefined);
}

const commandsOf = async (shard: number) =>
  (await queue.readInbox(shard, '0', 0)).filter(({ kind }) => kind === 'command');

test('flush makes deferred mail due on every shard and tells the leaders', async () => {
  for (const [shard, nexthop] of [shard0, shard1].entries()) {
    await deferred(await leaseOf(queue, shard), Date.now() + 1e6, newMessage(`D${shard}`, [nexthop]));
  }
  expect(await does('flush', 'D0', 'NONE')).toEqual(['D0']);
  expect(must(await queue.nextDueMs(0))).toBeLessThanOrEqual(Date.now());
  expect(must(await queue.nextDueMs(1))).toBeGreaterThan(Date.now());
  await queue.flushAll();
  expect(must(await queue.nextDueMs(1))).toBeLessThanOrEqual(Date.now());
  expect(await commandsOf(0)).toMatchObject([{ command: 'flush', queueId: 'D0' }, { command: 'flush' }]);
});

test('flush of a site makes its mail due and names the destinations that it waits for', async () => {
  const lease = await leaseOf(queue);
  const far = Date.now() + 1e6;
  const routed = { index: 0, address: 'u@site.example', transport: 'smtp', nexthop: `[${shard0}]:26` };
  await deferred(lease, far, newMessage('BYDOMAIN', [], { recipients: [{ ...routed, nexthop: shard0 }] }));
  await deferred(lease, far, newMessage('OTHER', [shard0]));
  const flushed: string[] = [];
  for (const site of ['SITE.example', shard1]) {
    const page = await queue.flushSite(site, { limit: 10 });
    flushed.push(...page.touched.map(({ queueId }) => queueId));
  }
  expect(flushed).toEqual(['BYDOMAIN']);
  expect(await queue.activate(lease, 'deferred', 10, Date.now())).toMatchObject([
    { envelope: { queueId: 'BYDOMAIN' } },
  ]);
  expect(await commandsOf(0)).toMatchObject([
    { command: 'flush', nexthops: ['site.example', '[site.example]'] },
    { command: 'flush', nexthops: ['site.example', '[site.example]', shard0] },
    { command: 'flush', nexthops: [shard1, `[${shard1}]`] },
  ]);
});

test('hold and release move a waiting message, keep its due time and wake the leader', async () => {
  const lease = await leaseOf(queue, 1);
  await deferred(lease, 5_000, newMessage('MSG', [shard1]));
  expect(await does('hold', 'MSG')).toEqual(['MSG']);
  expect(await does('hold', 'MSG')).toEqual([]);
  expect(await queue.counts()).toMatchObject({ deferred: 0, hold: 1 });
  expect(await does('release', 'MSG')).toEqual(['MSG']);
  expect(await does('release', 'MSG')).toEqual([]);
  expect(await queue.counts()).toMatchObject({ deferred: 1, hold: 0 });
  expect(await queue.nextDueMs(1)).toBe(5_000);
  expect((await queue.readInbox(1, '0', 0)).at(-1)).toMatchObject({ command: 'release', queueId: 'MSG' });
  const [again] = await queue.activate(lease, 'deferred', 1, 5_000);
  expect(again).toMatchObject({ pass: 1 });
});

test('what was held before any attempt is due at its release', async () => {
  await queue.accept(newMessage('ASKED', [shard0], { hold: true }));
  await queue.accept(newMessage('NEW', [shard0]));
  await does('hold', 'NEW');
  expect(await does('release', 'ASKED', 'NEW')).toEqual(['ASKED', 'NEW']);
  expect(await queue.activate(await leaseOf(queue), 'deferred', 10, Date.now())).toHaveLength(2);
});

test('hold of an active message takes effect when its pass ends, unless it is released before', async () => {
  const lease = await leaseOf(queue);
  await activated(queue, lease, newMessage('HELD', [shard0]), newMessage('FREED', [shard0]));
  expect(await does('hold', 'HELD', 'FREED')).toEqual(['HELD', 'FREED']);
  expect(await does('hold', 'HELD')).toEqual([]);
  expect(await commandsOf(0)).toMatchObject([{ command: 'hold' }, { command: 'hold' }]);
  expect((await queue.activePage(lease, '')).messages.map(({ held }) => held)).toEqual([true, true]);
  expect(await does('release', 'FREED')).toEqual(['FREED']);
  await queue.conclude(
    lease,
    ['HELD', 'FREED'].map((queueId) => ({ kind: 'defer', queueId, dueMs: 5_000 }) as const),
    undefined,
  );
  expect(await queue.counts()).toEqual({ incoming: 0, active: 0, deferred: 1, hold: 1, corrupt: 0 });
  await does('release', 'HELD');
  expect(await queue.activate(lease, 'deferred', 10, 5_000)).toHaveLength(2);
});

test('delete removes every part and the content, wherever the message is', async () => {
  const lease = await leaseOf(queue);
  const batch = batchOf(await activated(queue, lease, newMessage('MSG', [shard0, shard1])));
  expect(await does('delete', 'MSG')).toEqual(['MSG']);
  expect(await commandsOf(0)).toMatchObject([{ command: 'delete', queueId: 'MSG' }]);
  expect(await queue.counts()).toEqual({ incoming: 0, active: 0, deferred: 0, hold: 0, corrupt: 0 });
  expect(await queue.content(must(batch.requests[0]))).toBeUndefined();
  expect(await fixture.redis.keys('*:[mcpf]:MSG')).toEqual([]);
  expect(await fixture.redis.exists('{mf0}:expiry', '{mf1}:expiry')).toBe(0);
  // The pass that was going on concludes a message that is no more.
  await queue.record(batch, resultOf('MSG', outcome(0, 'deferred')));
  await queue.conclude(lease, [{ kind: 'defer', queueId: 'MSG', dueMs: 5_000 }], undefined);
  expect(await queue.counts()).toEqual({ incoming: 0, active: 0, deferred: 0, hold: 0, corrupt: 0 });
  expect(await does('delete', 'MSG')).toEqual([]);
});

test('expire makes a deferred message due and marks it; on hold it waits for the release', async () => {
  const lease = await leaseOf(queue);
  const far = Date.now() + 1e6;
  await deferred(lease, far, newMessage('DEFERRED', [shard0]), newMessage('HELD', [shard0]));
  await does('hold', 'HELD');
  expect(await does('expire', 'DEFERRED', 'HELD')).toEqual(['DEFERRED', 'HELD']);
  expect(await does('expire', 'DEFERRED')).toEqual([]);
  expect(await queue.activate(lease, 'deferred', 10, Date.now())).toMatchObject([
    { envelope: { queueId: 'DEFERRED' }, forcedExpire: true },
  ]);
  expect(must(must(await queue.find('HELD')).listing)).toMatchObject({ queue: 'hold', forcedExpire: true });
  expect(await does('expire-and-release', 'HELD')).toEqual(['HELD']);
  expect(await queue.activate(lease, 'deferred', 10, Date.now())).toMatchObject([{ forcedExpire: true }]);
});

test('a selector acts on every message it names once, over shards and pages, and a dry run on none', async () => {
  const lease = await leaseOf(queue);
  for (let i = 0; i < 5; i += 1)
    await deferred(lease, Date.now() + 1e6, newMessage(`D${i}`, i < 3 ? [shard0, shard1] : [shard0]));
  for (let i = 0; i < 4; i += 1) await queue.accept(newMessage(`IN${i}`, [i % 2 === 0 ? shard0 : shard1]));
  await queue.accept(newMessage('OTHER', [shard0], { envelope: { sender: 'else@example.net' } }));
  const where = { sender: '@EXAMPLE.org' };
  const all = ['D0', 'D1', 'D2', 'D3', 'D4', 'IN0', 'IN1', 'IN2', 'IN3'];
  const before = await fixture.redis.dump('{mf0}:deferred');
  expect(await doesWhere({ kind: 'hold' }, { where, dryRun: true })).toEqual(all);
  expect(await fixture.redis.dump('{mf0}:deferred')).toEqual(before);
  expect(await queue.counts()).toMatchObject({ hold: 0 });

  const once = await queue.list({ where, queues: ['deferred'], once: true, limit: 100 });
  expect(once.messages.map(({ envelope }) => envelope.queueId).sort()).toEqual([
    'D0',
    'D1',
    'D2',
    'D3',
    'D4',
  ]);

  const both = { recipient: `U1@${shard1}` };
  expect(await doesWhere({ kind: 'flush' }, { where: both, dryRun: true })).toEqual([]);
  expect(await doesWhere({ kind: 'hold' }, { where: both })).toEqual(['D0', 'D1', 'D2']);
  // The parts of other shards went along.
  expect(await queue.counts()).toMatchObject({ hold: 6 });
  expect(await doesWhere({ kind: 'hold' }, { where })).toEqual(all.slice(3));
  expect(await doesWhere({ kind: 'release' }, { where, dryRun: true })).toEqual(all);
  expect(await doesWhere({ kind: 'release' }, { where })).toEqual(all);
  expect(await doesWhere({ kind: 'flush' }, { where: { recipient: `@${shard0}` } })).toHaveLength(7);
  expect(await doesWhere({ kind: 'expire' }, { where: { arrivedBeforeMs: Date.now() - 60_000 } })).toEqual(
    [],
  );
  expect(await doesWhere({ kind: 'delete' }, { where, queues: ['incoming'] })).toEqual([]);
  expect(await doesWhere({ kind: 'delete' }, { where })).toEqual(all);
  expect((await listAll(10)).map(({ envelope }) => envelope.queueId)).toEqual(['OTHER']);
});

describe('requeue', () => {
  const route = async (address: string) => ({ address, transport: 'smtp', nexthop: `[${shard1}]` });

  test('makes new mail of the open recipients, with new routes and a new age', async () => {
    const lease = await leaseOf(queue);
    const envelope = { arrivalMs: 1_000, createdMs: 2_000 };
    const messages = await activated(queue, lease, newMessage('OLD', [shard0, shard0, shard1], { envelope }));
    await queue.record(batchOf(messages), resultOf('OLD', outcome(0, 'delivered'), outcome(1, 'deferred')));
    const refused = await queue.command({ kind: 'requeue', route }, ['OLD', 'NONE']);
    expect(refused).toMatchObject({ touched: [], refused: [{ queueId: 'OLD' }] });
    expect(must(refused.refused[0]).reason).toContain('it is in the active queue');
    await queue.conclude(lease, [{ kind: 'defer', queueId: 'OLD', dueMs: 5_000 }], undefined);

    const before = Date.now();
    expect(await queue.command({ kind: 'requeue', route }, ['OLD'])).toMatchObject({
      touched: [{ queueId: 'OLD' }],
      refused: [],
    });
    const [now, ...others] = await listAll(10);
    expect(others).toEqual([]);
    expect(now).toMatchObject({ queue: 'incoming', envelope: { arrivalMs: 1_000 } });
    expect(must(now).recipients).toEqual(
      [1, 2].map((n) => ({
        address: `u${n}@${n === 1 ? shard0 : shard1}`,
        transport: 'smtp',
        nexthop: `[${shard1}]`,
      })),
    );
    expect(must(now).envelope.createdMs).toBeGreaterThanOrEqual(before);
    const { queueId } = must(now).envelope;
    const shard = shardOf('smtp', `[${shard1}]`, 2);
    const [active] = await queue.activate(await leaseOf(queue, shard), 'incoming', 1, Date.now());
    expect(String(await queue.content(must(batchOf([must(active)], 'b', shard).requests[0])))).toBe('hello');
    expect(must(await queue.find('OLD')).timeline.at(-1)).toMatchObject({
      step: 'requeued',
      detail: `as ${queueId}`,
    });
    expect(await fixture.redis.keys('*:[mcpf]:OLD')).toEqual([]);
  });

  test('a walk meets its own new mail no more', async () => {
    const envelope = { createdMs: Date.now() - 1 };
    for (let i = 0; i < 5; i += 1) await queue.accept(newMessage(`IN${i}`, [shard0, shard1], { envelope }));
    expect(await doesWhere({ kind: 'requeue', route })).toHaveLength(5);
    expect(await queue.counts()).toMatchObject({ incoming: 5 });
  });

  test('repeated after a crash it makes one message', async () => {
    await queue.accept(newMessage('OLD', [shard0]));
    // What a crash between the accept of the new and the removal of the old leaves.
    const dump = await fixture.redis.dumpBuffer('{mf0}:m:OLD');
    const content = await fixture.redis.dumpBuffer('{mf0}:c:OLD');
    await queue.command({ kind: 'requeue', route }, ['OLD']);
    await fixture.redis.restore('{mf0}:m:OLD', 0, dump);
    await fixture.redis.restore('{mf0}:c:OLD', 0, content);
    await fixture.redis.zadd('{mf0}:hold', 1, 'OLD');
    expect((await queue.command({ kind: 'requeue', route }, ['OLD'])).touched).toHaveLength(1);
    expect(await queue.counts()).toEqual({ incoming: 1, active: 0, deferred: 0, hold: 0, corrupt: 0 });
  });

  test('leaves everything as it is when a table cannot answer', async () => {
    await queue.accept(newMessage('OLD', [shard0]));
    const failing = async () => ({ problem: 'transport_maps: no such file' });
    expect(await queue.command({ kind: 'requeue', route: failing }, ['OLD'])).toEqual({
      touched: [],
      refused: [{ queueId: 'OLD', reason: `<u0@${shard0}>: transport_maps: no such file` }],
    });
    expect(await queue.counts()).toMatchObject({ incoming: 1, hold: 0 });
  });
});
