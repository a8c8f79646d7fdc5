/** Messages with parts on several shards: copied once, delivered once, content kept as long as a part needs it. */

import { makeConfig } from '@mailfleet/config';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { keysOf } from './keys.ts';
import type { Queue } from './open-queue.ts';
import {
  activated,
  batchOf,
  leaseOf,
  must,
  newMessage,
  nexthopOn,
  startTestRedis,
  type TestRedis,
} from './queue.fixture.ts';

const SHARDS = 3;
let fixture: TestRedis;
let queue: Queue;
beforeAll(async () => {
  fixture = await startTestRedis();
  queue = await fixture.open({ scheduler_shards: String(SHARDS) });
});
afterAll(() => fixture.stop());
beforeEach(() => fixture.redis.flushall());

const nexthops = [1, 0, 2, 1].map((shard) => nexthopOn(shard, SHARDS));
/** The first recipient's shard is home. */
const HOME = 1;
const others = [0, 2];

/** Leaves what a crash between commit and copies leaves: the home shard's keys alone. */
async function crashAfterCommit(queueId: string): Promise<void> {
  const copies = await copiesOf(queueId);
  for (const shard of others) {
    const keys = keysOf(shard);
    await fixture.redis.del(keys.message(queueId), keys.incoming, keys.expiry, keys.inbox);
  }
  const home = keysOf(HOME);
  await fixture.redis.set(home.copies(queueId), copies);
  await fixture.redis.zadd(home.fanout, Date.now() - 60_000, queueId);
}

/** What accept wrote to be copied, rebuilt from the parts that were. */
async function copiesOf(queueId: string): Promise<string> {
  const parts: [number, string | null][] = [];
  for (const shard of others) {
    parts.push([shard, await fixture.redis.hget(keysOf(shard).message(queueId), 'e')]);
  }
  const expiryMs = Date.now() + makeConfig().get('maximal_queue_lifetime');
  return JSON.stringify({ hold: false, expiryMs, parts });
}

test('each shard gets its own recipients and is told', async () => {
  await queue.accept(newMessage('MSG', nexthops));
  for (const [shard, indexes] of [
    [0, [1]],
    [1, [0, 3]],
    [2, [2]],
  ] as const) {
    const lease = await leaseOf(queue, shard);
    expect((await queue.readInbox(shard, '0', 0)).map(({ kind }) => kind)).toEqual(['mail']);
    const [message] = await queue.activate(lease, 'incoming', 10, Date.now());
    expect(must(message).recipients.map(({ index }) => index)).toEqual(indexes);
    expect(must(message).contentShard).toBe(HOME);
    expect(await queue.content(must(batchOf([must(message)]).requests[0]))).toEqual(Buffer.from('hello'));
  }
});

test('the content goes with the last part, whichever that is', async () => {
  for (const order of [
    [0, 1, 2],
    [1, 2, 0],
    [2, 0, 1],
  ]) {
    await fixture.redis.flushall();
    await queue.accept(newMessage('MSG', nexthops));
    for (const [i, shard] of order.entries()) {
      expect(await fixture.redis.exists(keysOf(HOME).content('MSG'))).toBe(1);
      const lease = await leaseOf(queue, shard);
      await queue.activate(lease, 'incoming', 10, Date.now());
      await queue.conclude(lease, [{ kind: 'retire', queueId: 'MSG' }], undefined);
      if (i < 2) expect(await queue.accept(newMessage('MSG', nexthops))).toBe('exists');
    }
    expect(await fixture.redis.keys('*:[mcpf]:MSG')).toEqual([]);
  }
});

test('copies that a crash left undone are repeated by the home shard, once', async () => {
  await queue.accept(newMessage('MSG', nexthops));
  await crashAfterCommit('MSG');
  const lease = await leaseOf(queue, HOME);
  expect(await queue.finishFanout(lease, 120_000)).toBe(0);
  expect(await queue.finishFanout(lease, 30_000)).toBe(1);
  expect(await queue.finishFanout(lease, 30_000)).toBe(0);
  for (const shard of others) {
    const messages = await queue.activate(await leaseOf(queue, shard), 'incoming', 10, Date.now());
    expect(messages).toHaveLength(1);
  }
});

test('a part that was delivered before the copies are repeated is not delivered again', async () => {
  await queue.accept(newMessage('MSG', nexthops));
  const copies = await copiesOf('MSG');
  const lease = await leaseOf(queue, 0);
  await queue.activate(lease, 'incoming', 10, Date.now());
  await queue.conclude(lease, [{ kind: 'retire', queueId: 'MSG' }], undefined);
  const home = keysOf(HOME);
  await fixture.redis.set(home.copies('MSG'), copies);
  await fixture.redis.zadd(home.fanout, Date.now() - 60_000, 'MSG');
  expect(await queue.finishFanout(await leaseOf(queue, HOME), 30_000)).toBe(1);
  expect(await queue.activate(lease, 'incoming', 10, Date.now())).toEqual([]);
});

test('a retired part whose home was not told is settled later', async () => {
  await queue.accept(newMessage('MSG', [nexthopOn(HOME, SHARDS), nexthopOn(0, SHARDS)]));
  const home = await leaseOf(queue, HOME);
  await queue.activate(home, 'incoming', 10, Date.now());
  await queue.conclude(home, [{ kind: 'retire', queueId: 'MSG' }], undefined);
  // As after a crash right behind the script that retired the part.
  const keys = keysOf(0);
  await fixture.redis.del(keys.message('MSG'), keys.incoming, keys.expiry);
  await fixture.redis.zadd(keys.retiredParts, Date.now() - 3_600_000, `${HOME}:MSG`);
  expect(await fixture.redis.exists(keysOf(HOME).content('MSG'))).toBe(1);
  await queue.finishFanout(await leaseOf(queue, 0), 30_000);
  expect(await fixture.redis.keys('*:[mcpf]:MSG')).toEqual([]);
  expect(await fixture.redis.exists(keys.retiredParts)).toBe(0);
});

test('messages of one shard stay in it', async () => {
  const lease = await leaseOf(queue, 2);
  await activated(queue, lease, newMessage('ONE', [nexthopOn(2, SHARDS)]));
  expect(await fixture.redis.keys('{mf[01]}:*')).toEqual([]);
});
