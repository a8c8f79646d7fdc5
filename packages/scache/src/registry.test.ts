/** The registry over a real Redis: each listed session is claimed once, in time, and of a worker that lives. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeConfig } from '@mailfleet/config';
import { openQueue, type Queue, startEmbeddedRedis } from '@mailfleet/queue';
import { randomFrom, testSeeds, waitFor } from '@mailfleet/test-kit';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type ListedSession, openSessionRegistry, type SessionRegistry } from './registry.ts';

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
