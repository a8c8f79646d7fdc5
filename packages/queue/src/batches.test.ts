/** Batches on BullMQ: whatever becomes of a worker, each batch ends once, with what is left of it given back. */
import { fork } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Queue } from './open-queue.ts';
import type { ClaimedBatch, InboxEntry } from './ports.ts';
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
  queue = await fixture.open({ batch_lease_time: '2s' });
});
afterAll(() => fixture.stop());
beforeEach(() => fixture.redis.flushall());

type Deliver = (claimed: ClaimedBatch) => Promise<{ readonly returned: readonly string[] }>;

/** A worker that runs until the end of the test body. */
async function withWorker<T>(deliver: Deliver, body: (drain: AbortController) => Promise<T>): Promise<T> {
  const drain = new AbortController();
  const working = queue.work({ sessions: 2, signal: drain.signal, name: 'worker' }, deliver);
  try {
    return await body(drain);
  } finally {
    drain.abort();
    await working;
  }
}

async function twoMessages() {
  const lease = await leaseOf(queue);
  return batchOf(await activated(queue, lease, newMessage('ONE'), newMessage('TWO')));
}

const ended = (entries: readonly InboxEntry[]): boolean => entries.some(({ kind }) => kind === 'batch-end');
const endOf = (entries: readonly InboxEntry[]) => entries.filter(({ kind }) => kind === 'batch-end');

test('a batch reaches a worker as it was added, and its end the leader', async () => {
  const batch = await twoMessages();
  const claims: ClaimedBatch[] = [];
  await withWorker(
    async (claimed) => {
      claims.push(claimed);
      return { returned: ['TWO'] };
    },
    async () => {
      await queue.addBatches([batch]);
      const entries = await inboxUntil(queue, 0, ended);
      expect(endOf(entries)).toMatchObject([{ batchId: 'batch-1', returned: ['TWO'] }]);
    },
  );
  expect(claims).toMatchObject([{ batch, handedOutBefore: 0 }]);
});

test('adding a batch twice adds it once; outstanding and vanished tell waiting ones from others', async () => {
  const batch = await twoMessages();
  await queue.addBatches([batch, { ...batch, id: 'batch-2' }]);
  await queue.addBatches([batch]);
  expect((await queue.outstandingBatches(0)).map(({ id }) => id).sort()).toEqual(['batch-1', 'batch-2']);
  expect(await queue.vanishedBatches(0, ['batch-1', 'no-such', 'batch-2'])).toEqual(['no-such']);
});

test('delivery that throws gives back what has no outcome', async () => {
  const batch = await twoMessages();
  await withWorker(
    async () => {
      await queue.record(batch, resultOf('ONE', outcome(0, 'delivered')));
      throw new Error('a bug');
    },
    async () => {
      await queue.addBatches([batch]);
      expect(endOf(await inboxUntil(queue, 0, ended))).toMatchObject([{ returned: ['TWO'] }]);
    },
  );
  expect(await queue.outstandingBatches(0)).toEqual([]);
});

test('draining aborts the batch in hand, takes no other, and comes home when it ended', async () => {
  const batch = await twoMessages();
  let claimed = 0;
  const drain = new AbortController();
  const working = queue.work({ sessions: 1, signal: drain.signal, name: 'worker' }, async ({ signal }) => {
    claimed += 1;
    drain.abort();
    if (!signal.aborted) await once(signal, 'abort');
    return { returned: ['ONE', 'TWO'] };
  });
  await queue.addBatches([batch, { ...batch, id: 'batch-2' }]);
  await working;
  expect(claimed).toBe(1);
  expect(endOf(await queue.readInbox(0, '0', 0))).toMatchObject([{ batchId: 'batch-1' }]);
  expect((await queue.outstandingBatches(0)).map(({ id }) => id)).toEqual(['batch-2']);
});

test('a worker that is killed loses its batch to another, which finds what is done and what is in doubt', async () => {
  const batch = await twoMessages();
  const child = fork(new URL('./batch-worker.fixture.ts', import.meta.url), [fixture.server.url, '2s'], {
    execArgv: ['--conditions=source'],
  });
  await queue.addBatches([batch]);
  await once(child, 'message');
  child.kill('SIGKILL');
  await withWorker(
    async ({ handedOutBefore }) => {
      expect(handedOutBefore).toBe(1);
      const [one, two] = batch.requests;
      expect(await queue.openRecipients(batch, must(one))).toEqual({ open: [], inDoubt: false });
      expect(await queue.openRecipients(batch, must(two))).toEqual({ open: [0], inDoubt: true });
      await queue.record(batch, resultOf('TWO', outcome(0, 'delivered')));
      return { returned: [] };
    },
    async () => {
      const entries = await inboxUntil(queue, 0, ended);
      const results = entries.filter((entry) => entry.kind === 'result');
      expect(results.map(({ queueId }) => queueId)).toEqual(['ONE', 'TWO']);
      expect(endOf(entries)).toHaveLength(1);
    },
  );
}, 20_000);

test('a worker that lost its batch is told to stop and does not end it for the next one', async () => {
  const batch = await twoMessages();
  const stopped = new EventEmitter();
  const told = once(stopped, 'told');
  await withWorker(
    async ({ signal }) => {
      // As when the lease ran out while this process stood still, and another worker has the batch.
      await fixture.redis.set('{mf0}:bull:delivery:batch-1:lock', 'another worker');
      await once(signal, 'abort');
      stopped.emit('told');
      return { returned: ['ONE', 'TWO'] };
    },
    async () => {
      await queue.addBatches([batch]);
      await told;
    },
  );
  expect(endOf(await queue.readInbox(0, '0', 0))).toEqual([]);
}, 20_000);

test('a worker that hears nothing of its lock any more is told to stop by its own clock', async () => {
  const batch = await twoMessages();
  let pausedMs = 0;
  let toldMs = 0;
  await withWorker(
    async ({ signal }) => {
      if (toldMs === 0) {
        pausedMs = performance.now();
        await fixture.redis.call('CLIENT', 'PAUSE', '6000', 'ALL');
        await once(signal, 'abort');
        toldMs = performance.now();
      }
      return { returned: ['ONE', 'TWO'] };
    },
    async () => {
      await queue.addBatches([batch]);
      await inboxUntil(queue, 0, ended);
    },
  );
  expect(toldMs - pausedMs).toBeLessThan(4_000);
}, 20_000);
