/** The registry over a real Redis: each listed session is claimed once, in time, and of a worker that lives. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeConfig } from '@mailfleet/config';
import { openQueue, type Queue, startEmbeddedRedis } from '@mailfleet/queue';
import { randomFrom, testSeeds, waitFor } from '@mailfleet/test-kit';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { endpointSessions } from './keys.ts';
import { type ListedSession, openSessionRegistry, type SessionRegistry } from './registry.ts';
import { claimAt } from './scripts.ts';

let folder: string;
let server: Awaited<ReturnType<typeof startEmbeddedRedis>>;
let redis: Redis;
let queue: Queue;
let registry: SessionRegistry;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'scache-'));
  server = await startEmbeddedRedis({ directory: folder });
  redis = new Redis(server.url);
  const config = makeConfig({ content_directory: folder });
  queue = await openQueue({ config, redisUrl: server.url });
  registry = openSessionRegistry({ config, queue });
});

afterAll(async () => {
  await queue.close();
  redis.disconnect();
  await server.stop();
  rmSync(folder, { recursive: true });
});

beforeEach(async () => {
  await redis.flushall();
  await alive('w1', 'w2');
});

const destination = { shard: 0, transport: 'smtp', nexthop: 'a.example' };
const HOUR_MS = 3_600_000;

async function alive(...workers: readonly string[]): Promise<void> {
  for (const worker of workers) await redis.zadd('{mf0}:workers', Date.now() + HOUR_MS, worker);
}

const session = (id: string, more: Partial<ListedSession> = {}): ListedSession => ({
  id,
  destination,
  worker: 'w1',
  relay: 'mx.test[192.0.2.1]:25',
  sinceMs: 1000,
  uses: 1,
  ...more,
});

const listed = (): Promise<number> => redis.zcard('{mf0}:session:all');

/** Lists sessions one after the other; resolves when Redis has them. */
async function park(idleMs: number, ...sessions: readonly ListedSession[]): Promise<void> {
  for (const each of sessions) {
    registry.park(each, idleMs);
    await waitFor(async () => (await redis.hexists('{mf0}:session:records', each.id)) === 1);
  }
}

test('sessions of a destination are claimed oldest first, each once', async () => {
  await park(HOUR_MS, session('one'), session('two', { worker: 'w2' }));
  await park(HOUR_MS, session('other', { destination: { ...destination, nexthop: 'b.example' } }));
  expect(await registry.claim(destination, 1)).toEqual(['w1']);
  expect(await registry.claim(destination, 5)).toEqual(['w2']);
  expect(await registry.claim(destination, 5)).toEqual([]);
  expect(await listed()).toBe(1);
});

test('the same nexthop of another transport is another destination', async () => {
  await park(HOUR_MS, session('one'));
  expect(await registry.claim({ ...destination, transport: 'relay' }, 1)).toEqual([]);
});

test('a session that its worker took back is not claimed', async () => {
  await park(HOUR_MS, session('one'));
  registry.drop(session('one'));
  await waitFor(async () => (await listed()) === 0);
  expect(await registry.claim(destination, 1)).toEqual([]);
  expect((await redis.keys('{mf0}:session:*')).length).toBe(0);
});

test('nor one of a worker that is silent, or was never heard of', async () => {
  await redis.zadd('{mf0}:workers', 1, 'silent');
  await park(
    HOUR_MS,
    session('one', { worker: 'silent' }),
    session('two', { worker: 'unknown' }),
    session('three'),
  );
  expect(await registry.claim(destination, 3)).toEqual(['w1']);
});

test('a session is given up before its worker closes it, and leaves nothing behind', async () => {
  registry.park(session('short'), 20);
  await waitFor(async () => (await redis.hlen('{mf0}:session:records')) === 1);
  await waitFor(async () => (await registry.page(0, 0, 10)).length === 0);
  expect(await registry.claim(destination, 1)).toEqual([]);
  await park(HOUR_MS, session('next', { destination: { ...destination, nexthop: 'b.example' } }));
  expect(await redis.hkeys('{mf0}:session:records')).toEqual(['next']);
  for (const key of await redis.keys('{mf0}:session:*')) {
    expect(await redis.pttl(key), key).toBeGreaterThan(0);
  }
});

test('parked again, a session is listed once, with what it is now', async () => {
  await park(HOUR_MS, session('one'));
  await park(2 * HOUR_MS, session('one', { uses: 2 }));
  await waitFor(async () => (await registry.page(0, 0, 10))[0]?.session.uses === 2);
  const [only, ...more] = await registry.page(0, 0, 10);
  expect(more).toEqual([]);
  expect(only?.session).toEqual(session('one', { uses: 2 }));
  expect(only?.leftMs).toBeGreaterThan(HOUR_MS);
});

test('pages show each session once', async () => {
  await park(HOUR_MS, ...['a', 'b', 'c', 'd', 'e'].map((id) => session(id)));
  const ids: string[] = [];
  for (let from = 0; ; from += 2) {
    const page = await registry.page(0, from, 2);
    if (page.length === 0) break;
    ids.push(...page.map((each) => each.session.id));
  }
  expect(ids).toEqual(['a', 'b', 'c', 'd', 'e']);
});

test('with connection_cache_share off nothing is listed or found', async () => {
  const config = makeConfig({ content_directory: folder, connection_cache_share: 'no' });
  const off = openSessionRegistry({ config, queue });
  await park(HOUR_MS, session('one'));
  off.park(session('two'), HOUR_MS);
  expect(await off.claim(destination, 1)).toEqual([]);
  expect(await listed()).toBe(1);
});

test.each(testSeeds)(
  'however many claim at once while sessions come and go, none is claimed twice (seed %i)',
  async (seed) => {
    const random = randomFrom(seed);
    const claimers = [
      registry,
      ...[1, 2, 3].map(() => openSessionRegistry({ config: makeConfig({}), queue })),
    ];
    const holder = (id: number): string => `holder-${id}`;
    const claimed: string[] = [];
    let parked = 0;
    let dropped = 0;
    const steps: Promise<unknown>[] = [];
    for (let step = 0; step < 600; step += 1) {
      if (random.next() < 0.45) {
        parked += 1;
        // One worker each, so that a claim tells which session it got.
        await alive(holder(parked));
        registry.park(session(`s${parked}`, { worker: holder(parked) }), HOUR_MS);
      } else if (random.next() < 0.1 && parked > 0) {
        registry.drop(session(`s${random.below(parked) + 1}`));
        dropped += 1;
      } else {
        const claimer = claimers[random.below(claimers.length)] ?? registry;
        steps.push(claimer.claim(destination, random.below(3) + 1).then((owners) => claimed.push(...owners)));
      }
    }
    await Promise.all(steps);
    const rest = await registry.claim(destination, 1000);
    const all = [...claimed, ...rest];
    expect(new Set(all).size).toBe(all.length);
    expect(all.length).toBeGreaterThanOrEqual(parked - dropped);
    expect(claimed.length).toBeGreaterThan(50);
  },
);

describe('sessions of a server that several destinations share', () => {
  const at = (id: string, worker = 'w1') => ({ id, endpoint: 'smtp 192.0.2.1:25', worker });
  const key = endpointSessions('smtp 192.0.2.1:25');
  const count = (): Promise<number> => redis.zcard(key);
  async function parkAt(...sessions: readonly ReturnType<typeof at>[]): Promise<void> {
    for (const each of sessions) {
      registry.parkAt(each, HOUR_MS);
      await waitFor(async () => (await redis.zscore(key, `${each.id} ${each.worker}`)) !== null);
    }
  }
  const claim = (asking: string, ...endpoints: string[]) =>
    registry.claimAt(endpoints.length > 0 ? endpoints : ['smtp 192.0.2.1:25'], asking);

  test('are claimed by others than their worker, oldest first, each once', async () => {
    await parkAt(at('1', 'w1'), at('2', 'worker 2'), at('3', 'w1'));
    expect(await claim('w1')).toBe('worker 2');
    expect(await claim('w1')).toBeUndefined();
    expect(await claim('worker 2')).toBe('w1');
    expect(await claim('w3', 'another', 'smtp 192.0.2.1:25')).toBe('w1');
    expect(await claim('w3')).toBeUndefined();
    expect(await count()).toBe(0);
  });

  test('are not claimed once their worker took them, or their time is over', async () => {
    await parkAt(at('1'));
    registry.dropAt(at('1'));
    await waitFor(async () => (await count()) === 0);
    expect(await claim('w2')).toBeUndefined();
    registry.parkAt(at('2'), 400);
    await waitFor(async () => (await redis.exists(key)) === 1);
    await waitFor(async () => (await redis.exists(key)) === 0);
    expect(await claim('w2')).toBeUndefined();
  });

  test('stand in Redis without the name of their server', async () => {
    await parkAt(at('1'));
    expect(await redis.keys('*192.0.2.1*')).toEqual([]);
    expect(await redis.zrange(key, 0, '-1')).toEqual(['1 w1']);
  });

  test.each(testSeeds)('two claimers never get the same one (seed %i)', async (seed) => {
    const random = randomFrom(seed);
    const run = queue.openScripts([claimAt]);
    const claimed: string[] = [];
    const steps: Promise<unknown>[] = [];
    let parked = 0;
    for (let step = 0; step < 300; step += 1) {
      if (random.next() < 0.5) {
        parked += 1;
        // A worker each, so that a claim tells which one it got.
        registry.parkAt(at(`${parked}`, `holder-${parked}`), HOUR_MS);
      } else {
        const asking = `holder-${random.below(parked + 1)}`;
        // The bare script, for no answer counts as late.
        steps.push(
          run(claimAt, [key], [asking]).then((session) => {
            if (typeof session !== 'string') return;
            const [, owner = ''] = session.split(' ');
            expect(owner).not.toBe(asking);
            claimed.push(owner);
          }),
        );
      }
    }
    await Promise.all(steps);
    expect(new Set(claimed).size).toBe(claimed.length);
    expect(claimed.length).toBeGreaterThan(50);
    await waitFor(async () => (await count()) === parked - claimed.length);
  });
});

test('a claim by server is answered within its limit while Redis stands still, and at once while it is away', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'scache-still-'));
  const still = await startEmbeddedRedis({ directory });
  const config = makeConfig({ content_directory: directory });
  const other = await openQueue({ config, redisUrl: still.url });
  const admin = new Redis(still.url);
  try {
    const slow = openSessionRegistry({ config, queue: other });
    expect(await slow.claimAt(['a', 'b'], 'w1')).toBeUndefined();
    const shared = { id: '1', endpoint: 'a', worker: 'w2' };
    slow.parkAt(shared, HOUR_MS);
    await waitFor(async () => (await admin.exists(endpointSessions('a'))) === 1);
    await admin.call('CLIENT', 'PAUSE', '4000', 'ALL');
    const startMs = performance.now();
    expect(await slow.claimAt(['a', 'b', 'c'], 'w1')).toBeUndefined();
    expect(performance.now() - startMs).toBeLessThan(1000);
    admin.disconnect();
    await still.stop();
    expect(await slow.claimAt(['a', 'b', 'c'], 'w1')).toBeUndefined();
    slow.dropAt(shared);
  } finally {
    await other.close();
    rmSync(directory, { recursive: true });
  }
});

test('while Redis is away a claim is refused at once, and what is parked or dropped is no trouble', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'scache-away-'));
  const away = await startEmbeddedRedis({ directory });
  const config = makeConfig({ content_directory: directory });
  const other = await openQueue({ config, redisUrl: away.url });
  try {
    const cut = openSessionRegistry({ config, queue: other });
    expect(await cut.claim(destination, 1)).toEqual([]);
    await away.stop();
    await expect(cut.claim(destination, 1)).rejects.toThrow();
    cut.park(session('one'), HOUR_MS);
    cut.drop(session('one'));
  } finally {
    await other.close();
    rmSync(directory, { recursive: true });
  }
});

test('connection_cache_protocol_timeout: who asks a silent Redis goes on without a session', async () => {
  const config = makeConfig({ connection_cache_protocol_timeout: '1s', content_directory: folder });
  const silent = { ...queue, openScripts: () => () => new Promise<never>(() => undefined) };
  const askedMs = performance.now();
  await expect(openSessionRegistry({ config, queue: silent }).claim(destination, 1)).rejects.toThrow(
    'no answer within connection_cache_protocol_timeout (1s)',
  );
  expect(performance.now() - askedMs).toBeGreaterThan(900);
});
