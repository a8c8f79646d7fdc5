/** An answer of Redis that is lost: nothing happens twice, and nothing is left where nobody looks. */
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { keysOf } from './keys.ts';
import { type LossyProxy, startLossyProxy } from './lossy-proxy.fixture.ts';
import { openQueue, type Queue } from './open-queue.ts';
import {
  activated,
  batchOf,
  inboxUntil,
  leaseOf,
  newMessage,
  startTestRedis,
  type TestRedis,
  testConfig,
} from './queue.fixture.ts';

let fixture: TestRedis;
let proxy: LossyProxy;
let queue: Queue;
beforeAll(async () => {
  fixture = await startTestRedis();
  proxy = await startLossyProxy(fixture.server.url);
  queue = await openQueue({
    config: testConfig(fixture.directory, { batch_lease_time: '2s' }),
    redisUrl: proxy.url,
  });
});
afterAll(async () => {
  await queue.close();
  await proxy[Symbol.asyncDispose]();
  await fixture.stop();
});
beforeEach(() => fixture.redis.flushall());

test('activate whose answer is lost throws and takes nothing more, so that recovery finds all of it', async () => {
  const lease = await leaseOf(queue);
  // By digest from here on: what is lost is the answer of the script.
  await queue.activate(lease, 'incoming', 1, Date.now());
  await queue.accept(newMessage('ONE'));
  await queue.accept(newMessage('TWO'));
  const lost = proxy.loseAnswerTo('{mf0}:active');
  await expect(queue.activate(lease, 'incoming', 1, Date.now())).rejects.toThrow();
  await lost;
  expect(await fixture.redis.zrange(keysOf(0).active, 0, '-1')).toEqual(['ONE']);
  expect((await queue.activePage(lease, '')).messages.map(({ envelope }) => envelope.queueId)).toEqual([
    'ONE',
  ]);
  await vi.waitFor(async () => {
    expect(await queue.activate(lease, 'incoming', 1, Date.now())).toHaveLength(1);
  });
});

test('expired messages whose taking is not answered stand in active, for the recovery', async () => {
  const lease = await leaseOf(queue);
  const old = { envelope: { createdMs: 1 } };
  await queue.accept(newMessage('FIRST', ['a.example'], old));
  // By digest from here on.
  await queue.takeExpired(lease, 1, Date.now(), () => 0);
  await queue.accept(newMessage('ONE', ['a.example'], old));
  const lost = proxy.loseAnswerTo('{mf0}:hold');
  await expect(queue.takeExpired(lease, 1, Date.now(), () => 0)).rejects.toThrow();
  await lost;
  const { messages } = await queue.activePage(lease, '');
  expect(messages.map(({ envelope }) => envelope.queueId)).toEqual(['FIRST', 'ONE']);
  const inAnHour = Date.now() + 3_600_000;
  await vi.waitFor(async () => {
    expect(await queue.takeExpired(lease, 5, inAnHour, () => 0)).toMatchObject({ active: ['FIRST', 'ONE'] });
  });
});

test('adding a batch whose answer is lost throws; adding it again when it was worked off adds nothing', async () => {
  const lease = await leaseOf(queue);
  const batch = batchOf(await activated(queue, lease, newMessage('ONE')));
  await queue.addBatches([{ ...batch, id: 'batch-0' }]);
  const lost = proxy.loseAnswerTo('batch-1');
  await expect(queue.addBatches([batch])).rejects.toThrow();
  await lost;
  expect((await queue.outstandingBatches(0)).map(({ id }) => id).sort()).toEqual(['batch-0', 'batch-1']);
  const delivered: string[] = [];
  const drain = new AbortController();
  const working = queue.work({ sessions: 1, signal: drain.signal, name: 'worker' }, async (claimed) => {
    delivered.push(claimed.batch.id);
    return { returned: [] };
  });
  const ends = (count: number) => (entries: readonly { readonly kind: string }[]) =>
    entries.filter(({ kind }) => kind === 'batch-end').length === count;
  await inboxUntil(queue, 0, ends(2));
  await vi.waitFor(async () => expect(await queue.vanishedBatches(0, ['batch-1'])).toEqual(['batch-1']));
  await vi.waitFor(() => queue.addBatches([batch]));
  await queue.addBatches([{ ...batch, id: 'batch-2' }]);
  await inboxUntil(queue, 0, ends(3));
  drain.abort();
  await working;
  expect(delivered).toEqual(['batch-0', 'batch-1', 'batch-2']);
});

test('while Redis is away batches are refused at once, and none is added when it is back', async () => {
  const lease = await leaseOf(queue);
  const batch = batchOf(await activated(queue, lease, newMessage('ONE')));
  await queue.addBatches([{ ...batch, id: 'batch-0' }]);
  proxy.down();
  await expect(queue.addBatches([batch])).rejects.toThrow();
  proxy.up();
  await vi.waitFor(() => queue.addBatches([{ ...batch, id: 'batch-2' }]), 4_000);
  expect((await queue.outstandingBatches(0)).map(({ id }) => id).sort()).toEqual(['batch-0', 'batch-2']);
});

test('a leader whose lease another has adds no batch', async () => {
  const lease = await leaseOf(queue);
  const batch = batchOf(await activated(queue, lease, newMessage('ONE')));
  await fixture.redis.del(keysOf(0).lease);
  await leaseOf(queue, 0, 'another');
  await expect(queue.addBatches([batch])).rejects.toMatchObject({ code: 'LEASE_LOST' });
  expect(await queue.outstandingBatches(0)).toEqual([]);
});
