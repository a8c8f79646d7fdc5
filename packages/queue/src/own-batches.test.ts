/** Batches that name their worker: only that one gets them, and when it is gone the others do, once. */
import { afterAll, beforeAll, beforeEach, describe, expect, it, test } from 'vitest';
import type { Queue } from './open-queue.ts';
import type { ClaimedBatch, InboxEntry, Lease } from './ports.ts';
import {
  activated,
  batchOf,
  inboxUntil,
  leaseOf,
  newMessage,
  startTestRedis,
  type TestRedis,
} from './queue.fixture.ts';

let fixture: TestRedis;
let queue: Queue;
let lease: Lease;

beforeAll(async () => {
  fixture = await startTestRedis();
  queue = await fixture.open({ batch_lease_time: '2s' });
});
afterAll(() => fixture.stop());
beforeEach(async () => {
  await fixture.redis.flushall();
  lease = await leaseOf(queue);
});

const workers = '{mf0}:workers';

/** A worker of that name; `stop` lets it go in peace. */
function startWorker(name: string, claims: string[], deliver?: (claimed: ClaimedBatch) => Promise<void>) {
  const drain = new AbortController();
  const done = queue.work({ sessions: 4, signal: drain.signal, name, ownBatches: true }, async (claimed) => {
    claims.push(`${name} ${claimed.batch.id} ${claimed.handedOutBefore}`);
    await deliver?.(claimed);
    return { returned: [] };
  });
  return async () => {
    drain.abort();
    await done;
  };
}

async function batchFor(worker: string | undefined, id = 'batch-1') {
  const batch = batchOf(await activated(queue, lease, newMessage(id.toUpperCase())));
  return { ...batch, id, fence: lease.fence, ...(worker === undefined ? {} : { worker }) };
}

const ended =
  (id: string) =>
  (entries: readonly InboxEntry[]): boolean =>
    entries.some((entry) => entry.kind === 'batch-end' && entry.batchId === id);

test('a batch that names a worker goes to it, and is ended by it', async () => {
  const claims: string[] = [];
  const stops = [startWorker('w:1', claims), startWorker('w2', claims)];
  for (let i = 0; i < 4; i += 1) await queue.addBatches([await batchFor('w:1', `batch-${i}`)]);
  for (let i = 0; i < 4; i += 1) await inboxUntil(queue, 0, ended(`batch-${i}`));
  expect(claims.toSorted()).toEqual([0, 1, 2, 3].map((i) => `w:1 batch-${i} 0`));
  await Promise.all(stops.map((stop) => stop()));
});

test('it is outstanding, has not vanished, and is not taken from a worker that lives', async () => {
  await fixture.redis.zadd(workers, Date.now() + 3_600_000, 'w1');
  const batch = await batchFor('w1');
  await queue.addBatches([batch, await batchFor(undefined, 'batch-2')]);
  expect((await queue.outstandingBatches(0)).map(({ id }) => id).toSorted()).toEqual(['batch-1', 'batch-2']);
  expect(await queue.vanishedBatches(0, ['batch-1', 'batch-2', 'batch-3'])).toEqual(['batch-3']);
  expect(await queue.takeBackBatches(lease)).toBe(0);
});

test('it is recalled like any other while no worker has had it, and not once it was taken back', async () => {
  await fixture.redis.zadd(workers, Date.now() + 3_600_000, 'w1');
  await queue.addBatches([await batchFor('w1'), await batchFor(undefined, 'batch-2')]);
  expect(await queue.recallBatches(0, ['batch-1', 'batch-2', 'batch-3'])).toEqual(['batch-1', 'batch-2']);
  expect(await queue.outstandingBatches(0)).toEqual([]);
  await queue.addBatches([await batchFor('nobody', 'batch-4')]);
  expect(await queue.takeBackBatches(lease)).toBe(1);
  expect(await queue.recallBatches(0, ['batch-4'])).toEqual([]);
});

test('a worker that was never heard of loses it to the others at once, with a look at what is left of it', async () => {
  await queue.addBatches([await batchFor('nobody')]);
  expect(await queue.takeBackBatches(lease)).toBe(1);
  expect(await queue.takeBackBatches(lease)).toBe(0);
  expect(await queue.outstandingBatches(0)).toMatchObject([{ id: 'batch-1', handedOutBefore: 1 }]);
  expect((await queue.outstandingBatches(0))[0]).not.toHaveProperty('worker');
  expect(await fixture.redis.zscore(workers, 'nobody')).toBeNull();
  expect(await fixture.redis.keys('*delivery-nobody*')).toEqual([]);
  const claims: string[] = [];
  const stop = startWorker('w2', claims);
  await inboxUntil(queue, 0, ended('batch-1'));
  expect(claims).toEqual(['w2 batch-1 1']);
  await stop();
});

test('a batch that a silent worker holds is taken only when its lock ran out', async () => {
  const claims: string[] = [];
  let release: (() => void) | undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const stop = startWorker('w1', claims, () => held);
  await queue.addBatches([await batchFor('w1')]);
  await expect.poll(() => claims.length).toBe(1);
  // Silent for the leader, though it works and renews its lock.
  await fixture.redis.zadd(workers, 1, 'w1');
  expect(await queue.takeBackBatches(lease)).toBe(0);
  release?.();
  await inboxUntil(queue, 0, ended('batch-1'));
  await stop();
  expect(claims).toHaveLength(1);
});

test('the batch of a worker that died at it goes to another, marked as handed out before', async () => {
  await queue.addBatches([await batchFor('dead')]);
  // What BullMQ leaves of a worker that took the job and died: active, without a lock.
  const list = '{mf0}:bull:delivery-dead';
  expect(await fixture.redis.lmove(`${list}:wait`, `${list}:active`, 'LEFT', 'RIGHT')).toBe('batch-1');
  await fixture.redis.set(`${list}:batch-1:lock`, 'token', 'PX', 300);
  expect(await queue.takeBackBatches(lease)).toBe(0);
  await expect.poll(() => fixture.redis.exists(`${list}:batch-1:lock`)).toBe(0);
  expect(await queue.takeBackBatches(lease)).toBe(1);
  const claims: string[] = [];
  const stop = startWorker('w2', claims);
  await inboxUntil(queue, 0, ended('batch-1'));
  expect(claims).toEqual(['w2 batch-1 1']);
  await stop();
});

test('a batch that was worked off is not taken back', async () => {
  const claims: string[] = [];
  const stop = startWorker('w1', claims);
  await queue.addBatches([await batchFor('w1')]);
  await inboxUntil(queue, 0, ended('batch-1'));
  await stop();
  expect(await queue.takeBackBatches(lease)).toBe(0);
  expect(await queue.outstandingBatches(0)).toEqual([]);
});

test('what waits for a worker that stops goes to the others', async () => {
  const claims: string[] = [];
  const stop = startWorker('w1', claims);
  await expect.poll(() => fixture.redis.zscore(workers, 'w1')).not.toBeNull();
  await stop();
  expect(Number(await fixture.redis.zscore(workers, 'w1'))).toBeLessThanOrEqual(Date.now() + 1000);
  await queue.addBatches([await batchFor('w1')]);
  await expect.poll(() => queue.takeBackBatches(lease)).toBe(1);
});

test('a worker that comes back while it is being forgotten keeps its batches', async () => {
  await fixture.redis.zadd(workers, 1, 'w1');
  const claims: string[] = [];
  const stop = startWorker('w1', claims);
  await expect.poll(async () => Number(await fixture.redis.zscore(workers, 'w1'))).toBeGreaterThan(1);
  await queue.takeBackBatches(lease);
  await queue.addBatches([await batchFor('w1')]);
  await inboxUntil(queue, 0, ended('batch-1'));
  expect(claims).toEqual(['w1 batch-1 0']);
  await stop();
});

describe('a batch that its worker hands over before it began it', () => {
  const handsOver =
    (to: string, answers: unknown[]) =>
    async ({ handOver }: ClaimedBatch): Promise<void> => {
      answers.push(handOver === undefined ? 'may not' : await handOver(to));
    };

  it('goes to the other one, which may not hand it on, and is ended once', async () => {
    const claims: string[] = [];
    const answers: unknown[] = [];
    const stops = [
      startWorker('w:1', claims, handsOver('w:2', answers)),
      startWorker('w:2', claims, handsOver('w:1', answers)),
    ];
    await expect.poll(() => fixture.redis.zcard(workers)).toBe(2);
    await queue.addBatches([await batchFor(undefined)]);
    const entries = await inboxUntil(queue, 0, ended('batch-1'));
    expect(claims.toSorted()).toEqual(['w:1 batch-1 0', 'w:2 batch-1 0']);
    expect(answers).toEqual([true, 'may not']);
    expect(entries.filter((entry) => entry.kind === 'batch-end')).toHaveLength(1);
    await Promise.all(stops.map((stop) => stop()));
    expect(await queue.outstandingBatches(0)).toEqual([]);
    expect(await fixture.redis.keys('*:lock')).toEqual([]);
  });

  it("is still the first one's when the other is silent or unknown", async () => {
    const claims: string[] = [];
    const answers: unknown[] = [];
    await fixture.redis.zadd(workers, 1, 'silent');
    const stop = startWorker('w1', claims, async (claimed) => {
      await handsOver('silent', answers)(claimed);
      await handsOver('unknown', answers)(claimed);
    });
    await queue.addBatches([await batchFor(undefined)]);
    await inboxUntil(queue, 0, ended('batch-1'));
    await stop();
    expect([claims, answers]).toEqual([['w1 batch-1 0'], [false, false]]);
  });

  it("is the other one's once, however often it is handed over, and none of whose lock is lost", async () => {
    const claims: string[] = [];
    const answers: unknown[] = [];
    await fixture.redis.zadd(workers, Date.now() + 3_600_000, 'w2');
    const stop = startWorker('w1', claims, async (claimed) => {
      if (claimed.batch.id === 'batch-2') await fixture.redis.del('{mf0}:bull:delivery:batch-2:lock');
      await handsOver('w2', answers)(claimed);
      await handsOver('w2', answers)(claimed);
    });
    await queue.addBatches([await batchFor(undefined), await batchFor(undefined, 'batch-2')]);
    await expect.poll(() => answers.length).toBe(4);
    expect(answers).toEqual([true, true, true, true]);
    expect(await fixture.redis.lrange('{mf0}:bull:delivery-w2:wait', 0, '-1')).toEqual(['batch-1']);
    expect((await queue.outstandingBatches(0)).map(({ id }) => id).toSorted()).toEqual([
      'batch-1',
      'batch-2',
    ]);
    expect(await queue.recallBatches(0, ['batch-1'])).toEqual(['batch-1']);
    await stop();
  });

  it('comes back to all when the other one dies, is looked into, and is not handed over again', async () => {
    const claims: string[] = [];
    const answers: unknown[] = [];
    await fixture.redis.zadd(workers, Date.now() + 3_600_000, 'w2');
    const stop = startWorker('w1', claims, handsOver('w2', answers));
    await queue.addBatches([await batchFor(undefined)]);
    await expect.poll(() => fixture.redis.llen('{mf0}:bull:delivery-w2:wait')).toBe(1);
    await fixture.redis.zadd(workers, 1, 'w2');
    expect(await queue.takeBackBatches(lease)).toBe(1);
    await inboxUntil(queue, 0, ended('batch-1'));
    await stop();
    expect([claims, answers]).toEqual([
      ['w1 batch-1 0', 'w1 batch-1 1'],
      [true, 'may not'],
    ]);
  });

  it('is outstanding at every moment, and never vanished', async () => {
    const claims: string[] = [];
    const answers: unknown[] = [];
    await fixture.redis.zadd(workers, Date.now() + 3_600_000, 'w2');
    const ids = Array.from({ length: 60 }, (_, index) => `batch-${index}`);
    await queue.addBatches(await Promise.all(ids.map((id) => batchFor(undefined, id))));
    const stop = startWorker('w1', claims, handsOver('w2', answers));
    while (answers.length < ids.length) {
      const [outstanding, vanished] = await Promise.all([
        queue.outstandingBatches(0),
        queue.vanishedBatches(0, ids),
      ]);
      expect(outstanding.map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
      expect(vanished).toEqual([]);
    }
    await stop();
    expect(await fixture.redis.llen('{mf0}:bull:delivery-w2:wait')).toBe(ids.length);
  });
});
