/** The same life on a real Redis Cluster of three masters: each shard's keys are in one slot, shards are spread over nodes. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type RedisCluster, startRedisCluster } from '@mailfleet/test-kit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findServer } from './embedded/find-server.ts';
import { checkRedis, openQueue, type Queue } from './open-queue.ts';
import type { OperatorCommand } from './operator-ports.ts';
import {
  batchOf,
  inboxUntil,
  leaseOf,
  must,
  newMessage,
  nexthopOn,
  outcome,
  resultOf,
  testConfig,
} from './queue.fixture.ts';

const SHARDS = 4;
let directory: string;
let queue: Queue;
let cluster: RedisCluster;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'mailfleet-cluster-'));
  cluster = await startRedisCluster((await findServer()).path);
  queue = await openQueue({
    config: testConfig(directory, { scheduler_shards: String(SHARDS) }),
    redisUrl: cluster.url,
  });
}, 30_000);

afterAll(async () => {
  await queue?.close();
  await cluster?.[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

test('a message of several shards is delivered by workers and retired without a trace', async () => {
  const nexthops = Array.from({ length: SHARDS }, (_, shard) => nexthopOn(shard, SHARDS));
  expect(await queue.accept(newMessage('MSG', nexthops))).toBe('accepted');
  const drain = new AbortController();
  const working = queue.work({ sessions: 4, signal: drain.signal, name: 'worker' }, async ({ batch }) => {
    for (const { envelope, recipients } of batch.requests) {
      const outcomes = recipients.map(({ index }) => outcome(index, index === 0 ? 'bounced' : 'delivered'));
      await queue.record(batch, resultOf(envelope.queueId, ...outcomes));
    }
    return { returned: [] };
  });
  const noticing = queue.workNotices({ signal: drain.signal, name: 'bounce' }, async (request) => {
    const { entries } = must(await queue.noticeMaterial(request));
    await queue.noticePosted(
      request,
      { atMs: 1, step: 'notified' },
      entries.map(({ recipient }) => recipient.index),
    );
  });
  for (let shard = 0; shard < SHARDS; shard += 1) {
    const lease = await leaseOf(queue, shard);
    const messages = await queue.activate(lease, 'incoming', 10, Date.now());
    expect(messages).toHaveLength(1);
    await queue.addBatches([batchOf(messages, `batch-${shard}`, shard)]);
    const entries = await inboxUntil(queue, shard, (all) => all.some(({ kind }) => kind === 'batch-end'));
    if (shard === 0) {
      const request = { shard, queueId: 'MSG', pass: 0, notice: 'failure', term: 'test' } as const;
      await queue.conclude(lease, [{ kind: 'notice', request }], must(entries.at(-1)).id);
      await inboxUntil(queue, shard, (all) => all.some(({ kind }) => kind === 'notified'));
    }
    await queue.conclude(lease, [{ kind: 'retire', queueId: 'MSG' }], undefined);
    await queue.finishFanout(lease, 0);
  }
  drain.abort();
  await Promise.all([working, noticing]);
  expect(await queue.counts()).toEqual({ incoming: 0, active: 0, deferred: 0, hold: 0, corrupt: 0 });
  const left = (await Promise.all(cluster.masters.map((redis) => redis.keys('*:[mcpf]:MSG')))).flat();
  expect(left).toEqual([]);
  const used = await Promise.all(cluster.masters.map((redis) => redis.dbsize()));
  expect(used.filter((size) => size > 0).length).toBeGreaterThan(1);
}, 30_000);

test('one master that can lose mail is found, right after connecting', async () => {
  const redis = must(cluster.masters[1]);
  const redisUrl = cluster.url;
  await redis.config('SET', 'appendfsync', 'everysec');
  const answer = await checkRedis({ redisUrl, dataLossOk: false });
  await redis.config('SET', 'appendfsync', 'always');
  expect(answer).toEqual({
    ok: false,
    problem: expect.stringMatching(/appendfsync always \(it is everysec\)/),
  });
  expect(await checkRedis({ redisUrl, dataLossOk: false })).toEqual({ ok: true, warnings: [] });
});

test('many messages over all shards are listed once each', async () => {
  await Promise.all(
    Array.from({ length: 100 }, (_, i) => queue.accept(newMessage(`L${i}`, [`d${i}.example`]))),
  );
  const page = await queue.list({ limit: 1_000 });
  expect(new Set(page.messages.map(({ envelope }) => envelope.queueId)).size).toBe(100);
});

test('the first commands that may not be repeated reach every master, however many come at once', async () => {
  const first = await openQueue({
    config: testConfig(directory, { scheduler_shards: String(SHARDS) }),
    redisUrl: cluster.url,
  });
  try {
    const leases = await Promise.all(Array.from({ length: SHARDS }, (_, shard) => leaseOf(first, shard)));
    const nowMs = Date.now();
    await Promise.all(
      leases.flatMap((lease) => [1, 2].map(() => first.activate(lease, 'deferred', 1, nowMs))),
    );
    const batches = leases.map(({ shard, fence }) => ({ ...batchOf([], `own-${shard}`, shard), fence }));
    await Promise.all(batches.map((batch) => first.addBatches([batch])));
  } finally {
    await first.close();
  }
});

test('batches of every shard are handed over from worker to worker', async () => {
  const drain = new AbortController();
  const ended: string[] = [];
  const working = ['w1', 'w2'].map((name, index) =>
    queue.work({ sessions: 8, signal: drain.signal, name, ownBatches: true }, async ({ batch, handOver }) => {
      if (handOver !== undefined) expect(await handOver(index === 0 ? 'w2' : 'w1')).toBe(true);
      else ended.push(batch.id);
      return { returned: [] };
    }),
  );
  for (let shard = 0; shard < SHARDS; shard += 1) {
    // Both are heard of on each shard.
    await expect
      .poll(async () => {
        const counts = cluster.masters.map((redis) => redis.zcard(`{mf${shard}}:workers`).catch(() => 0));
        return Math.max(...(await Promise.all(counts)));
      })
      .toBe(2);
    const { fence } = await leaseOf(queue, shard);
    await queue.addBatches([{ ...batchOf([], `moved-${shard}`, shard), fence }]);
    await inboxUntil(queue, shard, (all) =>
      all.some((entry) => entry.kind === 'batch-end' && entry.batchId === `moved-${shard}`),
    );
  }
  drain.abort();
  await Promise.all(working);
  expect(ended.filter((id) => id.startsWith('moved-')).toSorted()).toEqual(
    Array.from({ length: SHARDS }, (_, shard) => `moved-${shard}`),
  );
}, 30_000);

test('operators command over all nodes, and the leader of each shard finds what has expired there', async () => {
  const nexthops = Array.from({ length: SHARDS }, (_, shard) => nexthopOn(shard, SHARDS));
  const where = { sender: 'ops@example.net' };
  const envelope = { sender: where.sender, createdMs: 1_000 };
  for (let i = 0; i < 6; i += 1) await queue.accept(newMessage(`OPS${i}`, nexthops, { envelope }));
  const does = async (command: OperatorCommand): Promise<number> => {
    let count = 0;
    let cursor: string | undefined;
    do {
      const page = await queue.commandWhere(command, { where, limit: 50, ...(cursor && { cursor }) });
      expect(page.refused).toEqual([]);
      count += page.touched.length;
      cursor = page.cursor;
    } while (cursor !== undefined);
    return count;
  };
  expect(await does({ kind: 'hold' })).toBe(6);
  expect(await does({ kind: 'release' })).toBe(6);
  expect((await queue.flushSite(must(nexthops[2]), { limit: 1_000 })).touched).toHaveLength(6);
  for (let shard = 0; shard < SHARDS; shard += 1) {
    const found = await queue.takeExpired(await leaseOf(queue, shard), 1, Date.now(), () => 0);
    expect(found).toMatchObject({ taken: [{ envelope: { sender: where.sender } }], looked: 1 });
    const { queueId } = must(found.taken[0]).envelope;
    await queue.conclude(await leaseOf(queue, shard), [{ kind: 'defer', queueId, dueMs: 1 }], undefined);
  }
  const route = async (address: string) => ({ address, transport: 'smtp', nexthop: must(nexthops[1]) });
  expect(await does({ kind: 'requeue', route })).toBe(6);
  expect(await does({ kind: 'expire' })).toBe(6);
  expect(await does({ kind: 'delete' })).toBe(6);
  expect((await queue.list({ where, limit: 1_000 })).messages).toEqual([]);
}, 30_000);
